"""What a table holds once it is read: columns of a kind each, and what was said about them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

ColumnKind = Literal["number", "binary", "category", "levels"]
"""How a column is read; ``levels`` is an ordered list that the user gave."""


class TableError(ValueError):
    """What a table cannot be read for, or what its user must say first, in one line."""


@dataclass(frozen=True)
class Column:
    """One column of a table, all its rows read as one kind.

    Attributes:
        name: As in the file, without spaces around it.
        kind: ``number``, ``binary``, ``category`` or ``levels``.
        numbers: Of all kinds but category, (rows,): a binary column has 0 and 1, one of levels
            their places from 0, a time seconds of the epoch; NaN where a value is missing.
        texts: Of a category, (rows,) strings, each value in one spelling (``1``, ``1.0`` and
            ``"1"`` are ``1``); null where it is missing.
        values: Of a binary column the texts of 0 and 1, of levels those of 0, 1, ..., of a
            multiclass target its classes by value; empty otherwise.
    """

    name: str
    kind: ColumnKind
    numbers: npt.NDArray[np.float64] | None = None
    texts: pa.Array | None = None
    values: tuple[str, ...] = ()


@dataclass(frozen=True)
class Contents:
    """A table as it is read.

    Attributes:
        rows: How many it has, without its header.
        columns: By name, in the file's order, without those that are left out.
        left_out: Why, for each column that is left out unless ``drop`` or ``only`` says so.
        said: What was found, a line each that names column, count and the key that settles it.
        doubtful: Values that probably stand for none, as texts, by column: what `missing` may say.
        digest: SHA-256 of what was read, 64 hexadecimal digits; where it lies is no part of it.
        first_row: What its first row is called: 2 where a header is row 1.
    """

    rows: int
    columns: Mapping[str, Column]
    left_out: Mapping[str, str]
    said: tuple[str, ...]
    doubtful: Mapping[str, tuple[str, ...]]
    digest: str
    first_row: int = 1
