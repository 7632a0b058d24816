"""A part of a table's rows, evenly spread, in which columns are compared with each other."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from gatelab.tasks.tables.contents import Column, Contents

MOST_ROWS = 10_000


def sampled(contents: Contents) -> Mapping[str, Column]:
    """Return the columns of at most 10,000 rows, the same of all, spread over the table."""
    if contents.rows <= MOST_ROWS:
        return contents.columns
    rows = np.linspace(0, contents.rows - 1, MOST_ROWS).astype(np.int64)
    return {name: _taken(column, rows) for name, column in contents.columns.items()}


def _taken(column: Column, rows: npt.NDArray[np.int64]) -> Column:
    numbers = None if column.numbers is None else column.numbers[rows]
    texts = None if column.texts is None else column.texts.take(rows)
    return Column(column.name, column.kind, numbers, texts, column.values)


def codes(column: Column) -> npt.NDArray[np.int64]:
    """Return a number for each row's value, (rows,), counted as they appear; -1 where missing.

    Two columns that are one another in other words have the same codes.
    """
    if column.texts is not None:
        return np.asarray(column.texts.dictionary_encode().indices.fill_null(-1), dtype=np.int64)
    assert column.numbers is not None
    made = np.full(len(column.numbers), -1, dtype=np.int64)
    known = ~np.isnan(column.numbers)
    _, first, inverse = np.unique(column.numbers[known], return_index=True, return_inverse=True)
    made[known] = np.argsort(np.argsort(first))[inverse]
    return made
