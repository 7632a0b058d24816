"""What tables of published data sets have in common: their division, and one cell a target."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from warnings import catch_warnings, simplefilter

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numpy.exceptions import ComplexWarning

from gatelab.registry import near_misses
from gatelab.tasks.data_sets.data_set import DataError, DataSet
from gatelab.tasks.data_sets.matlab import read_matlab

Floats = npt.NDArray[np.float64]

PART_COLUMN = "part"
"""The column that says to which split a row belongs as published."""
_WAYS = ("published", "random")


def with_parts(table: pa.Table, parts: Sequence[str]) -> pa.Table:
    """Return a table with a column of the splits' names."""
    return table.append_column(PART_COLUMN, pa.array(parts))


def published_split(way: str, parts: Sequence[str]) -> dict[str, Any]:
    """Return the option ``split`` of a table whose parts are published.

    Args:
        way: ``published``, or ``random``: all rows, in parts as large.
        parts: The split of each row as published.

    Raises:
        ValueError: If it is another.
    """
    if way == "published":
        return {"column": PART_COLUMN, "val": "val", "test": "test"}
    if way != "random":
        raise ValueError(f"`split`: unknown {way!r:.100}; {near_misses(str(way), _WAYS)}")
    counts = [parts.count(name) for name in ("train", "val", "test")]
    return {"shares": [count / len(parts) for count in counts]}


def read_cells(
    data_set: DataSet, file: str, inputs: str, targets: str
) -> tuple[list[Floats], list[Floats]]:
    """Return inputs ``(rows, features)`` and values ``(rows,)`` of each cell of two variables.

    Raises:
        DataError: If the file of the data set cannot be read, or its variables do not hold a cell a
            target, of as many rows and features.
    """
    path, names = data_set.found(file), (inputs, targets)
    x, y = (
        [finite_numbers(path, name, cell) for cell in np.ravel(found)]
        for name, found in zip(names, read_matlab(data_set, file, names), strict=True)
    )
    y = [values.ravel() for values in y]
    forms = [it.shape for it in x]
    if not x or forms != [(len(values), *forms[0][-1:]) for values in y]:
        raise DataError(f"{path}: {inputs} and {targets} are not cells of as many rows a target.")
    return x, y


def finite_numbers(path: Path, name: str, content: Any) -> Floats:
    """Return what a variable of a MATLAB file holds.

    Raises:
        DataError: If it is no array of finite numbers.
    """
    try:
        with catch_warnings():
            simplefilter("error", ComplexWarning)  # which numpy takes for the real part
            found = np.asarray(content, float)
    except (TypeError, ValueError, ComplexWarning):
        raise DataError(f"{path}: {name} is no array of real numbers.") from None
    if not np.isfinite(found).all():
        raise DataError(f"{path}: {name} holds numbers that are not finite.")
    return found


def cells_as_table(x: Sequence[Floats], y: Sequence[Floats], names: Sequence[str]) -> pa.Table:
    """Return a row for each row of each cell: its features, and the one target that it knows.

    Args:
        x: By target ``(rows, features)``.
        y: By target ``(rows,)``.
        names: Of the targets.
    """
    features = np.concatenate(x)
    owner = np.repeat(np.arange(len(y)), [len(values) for values in y])
    values = np.concatenate(y)
    columns = {f"x{i + 1:02}": pa.array(features[:, i]) for i in range(features.shape[1])}
    for number, name in enumerate(names):
        columns[name] = pa.array(values, mask=owner != number)
    return pa.table(columns)
