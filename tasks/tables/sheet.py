"""A sheet: what a source holds before a kind is decided, in Arrow's plain types."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gatelab.rules import as_line
from gatelab.tasks.tables.contents import TableError
from gatelab.tasks.tables.identity import as_float, decoded, is_text

_FOUND = b"gatelab"
"""Among the metadata of a file that a frame is kept in."""


@dataclass(frozen=True)
class Sheet:
    """A source as it was read.

    Attributes:
        columns: By name: strings, booleans, whole numbers, float64, dates or timestamps.
        rows: How many.
        digest: SHA-256 of the source.
        first_row: What its first row is called: 2 where a header is row 1.
        said: What was found in reading, a line each.
        left_out: Why, for columns that are no feature whatever they hold.
        reading: Of the keys of `reading` those that were found and are no default.
    """

    columns: Mapping[str, pa.Array]
    rows: int
    digest: str
    first_row: int = 1
    said: tuple[str, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)
    reading: Mapping[str, str] = field(default_factory=dict)


def column_name(name: object) -> str:
    """Return a column's name in one line, without spaces around it: forms have long headers."""
    return " ".join(filter(None, map(str.strip, str(name).splitlines())))


def said_of_names(names: Iterable[object]) -> list[str]:
    """Return a line for each name that is written in several."""
    broken = [name for name in names if len(str(name).strip().splitlines()) > 1]
    return [f"`{column_name(it)}` is written in several lines: its name is one." for it in broken]


def check_no_doubles(names: Iterable[str], where: str) -> None:
    """Check that no two columns have the same name.

    Raises:
        TableError: If two have.
    """
    name, count = next(iter(Counter(names).most_common(1)), ("", 0))
    if count > 1:
        raise TableError(f"{where}: {_WORDS.get(count, count)} columns are called `{name}`.")


_WORDS = {2: "two", 3: "three"}


def sheet_of_typed(table: pa.Table, digest: str, where: str) -> Sheet:
    """Return a table whose types are trusted: of Parquet, or of a frame.

    Raises:
        TableError: If it has no rows, or two columns of one name.
    """
    names = [column_name(name) for name in table.column_names]
    check_no_doubles(names, where)
    if not table.num_rows:
        raise TableError(f"{where} has no rows.")
    columns: dict[str, pa.Array] = {}
    left_out: dict[str, str] = {}
    for name, values in zip(names, table.columns, strict=True):
        why = _no_feature(name, values.type) or _unsound(values)
        if why:
            left_out[name] = why
        else:
            columns[name] = plain_values(values)
    kept = json.loads((table.schema.metadata or {}).get(_FOUND, "{}"))
    said = (*kept.get("said", ()), *said_of_names(table.column_names))
    left_out |= kept.get("left_out", {})
    return Sheet(columns, table.num_rows, digest, said=said, left_out=left_out)


def as_kept(sheet: Sheet) -> pa.Table:
    """Return what is kept of a frame in a file: read again it is the same sheet.

    Columns that no file need have are named there, and why they are left out.
    """
    found = {"said": sheet.said, "left_out": dict(sheet.left_out)}
    return pa.table(dict(sheet.columns), metadata={_FOUND: json.dumps(found)})


def _unsound(values: pa.ChunkedArray) -> str:
    """Return what is wrong with values that are none of their type, as texts of Latin-1 may be."""
    try:
        values.validate(full=True)
    except pa.ArrowInvalid as error:
        return "text that is no UTF-8" if "UTF8" in str(error) else as_line(str(error), 100)
    return ""


def _no_feature(name: str, kind: pa.DataType) -> str:
    """Return why a column of this type is left out, or nothing."""
    if name.startswith("__index_level_"):
        return "the index of a pandas frame"
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_nested(kind) or isinstance(kind, pa.BaseExtensionType):
        return str(kind).partition("<")[0]
    if any(test(kind) for test in _UNREADABLE):
        return str(kind)
    return ""


_UNREADABLE = (
    *(pa.types.is_binary, pa.types.is_large_binary, pa.types.is_fixed_size_binary),
    pa.types.is_binary_view,
    *(pa.types.is_duration, pa.types.is_time, pa.types.is_interval),
)


def plain_values(values: pa.ChunkedArray) -> pa.Array:
    """Return a column in one piece: decimals and floats as float64, NaN and null as null."""
    values = decoded(values)
    kind = values.type
    if pa.types.is_null(kind) or is_text(kind):
        values = values.cast(pa.large_string())
    elif pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        values = as_float(values)
        values = pc.if_else(pc.is_nan(values), None, values)
    return pa.concat_arrays(values.chunks) if values.num_chunks else pa.array([], values.type)


def is_row_numbers(texts: pa.Array) -> bool:
    """Return whether a column of text counts its rows from 0 or from 1."""
    first = texts[0].as_py()
    if first not in {"0", "1"} or texts[-1].as_py() != str(int(first) + len(texts) - 1):
        return False
    counted = np.arange(int(first), int(first) + len(texts))
    return bool(texts.equals(pa.array(counted).cast(texts.type)))
