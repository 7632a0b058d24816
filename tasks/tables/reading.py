"""A table is read: from its source to columns of a kind each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from gatelab.tasks.tables.contents import Contents
from gatelab.tasks.task import Kind


def read_contents(
    source: object,
    *,
    kinds: Mapping[str, str | Sequence[str]] = {},
    missing: Iterable[object] | Mapping[str, Iterable[object]] = (),
    drop: Iterable[str] = (),
    only: Iterable[str] | None = None,
    reading: Mapping[str, Any] = {},
    targets: Mapping[str, Kind] = {},
    times: Iterable[str] = (),
) -> Contents:
    """Return what a table holds, every column read as one kind over all its rows.

    A column that ``kinds``, ``targets`` or ``times`` names is never left out: name there what
    must be kept though it is no feature (weights are a ``number``, groups and given splits a
    ``category``). A binary target has the larger value as 1.

    Args:
        source: Path of a CSV or Parquet file, or a frame (pandas, polars, pyarrow, NumPy).
        kinds: Of columns, ``number``, ``binary``, ``category`` or a list of levels in order.
        missing: Values that stand for none, in all columns or by column.
        drop: Columns that are not read.
        only: The features to read, all where it is None; targets and times are read anyway.
        reading: Of a CSV, ``delimiter``, ``decimal``, ``encoding``, ``header``; found otherwise.
        targets: The kind of each target: ``regression``, ``binary`` or ``multiclass``.
        times: Columns of ISO dates, or of numbers, that rows are ordered by.

    Raises:
        TableError: In one line, if the table cannot be read, or a key must settle how.
    """
    raise NotImplementedError
