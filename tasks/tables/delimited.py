"""A text file (CSV and its relatives) becomes a sheet of strings, every row accounted for."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

import pyarrow as pa
from pyarrow import csv

from gatelab.tasks.tables.contents import TableError
from gatelab.tasks.tables.decimal_commas import rewritten
from gatelab.tasks.tables.dialect import Dialect, as_utf8, find_dialect, marked_encoding
from gatelab.tasks.tables.row_numbers import first_row
from gatelab.tasks.tables.sheet import (
    Sheet,
    check_no_doubles,
    column_name,
    is_row_numbers,
    said_of_names,
)
from gatelab.tasks.tables.wanted import Wanted

_BLANK_LINES = re.compile(rb"([ \t]*(\r\n|\r|\n))+")
_STRADDLING = "straddling"
"""In Arrow's error of a row that is longer than a block."""
_BLOCK, _LARGEST_BLOCK = 2**20, 2**31 - 1
"""Bytes that Arrow reads at once: by default, and at most."""
_EXCEL_LINE = re.compile(rb"\"?sep=([^\r\n\"\x80-\xff])\"?\r?\n", re.IGNORECASE)


def sheet_of_text(
    raw: bytes, reading: Mapping[str, Any], wanted: Wanted, digest: str, where: str
) -> Sheet:
    """Return the sheet of a text file, all columns as strings.

    Raises:
        TableError: If it is no table, a row has too many or too few fields, two columns have one
            name, or the user must say how it is to be read.
    """
    text, blank = _without_blank_lines(as_utf8(raw, reading.get("encoding"), where))
    text, excel = _without_excel_line(text)
    dialect = find_dialect(text, {**excel, **reading}, where)
    above = 1 + blank + bool(excel)
    names, broken = _names(dialect, where)
    first = first_row(text, dialect.delimiter, above, header=dialect.header)
    table = _parse(text, dialect, names, where, first)
    _check_quotes(text, table, where)
    columns = {name: pa.concat_arrays(table[name].chunks) for name in names}
    unnamed = _unnamed(columns, where)
    decimal: list[str] = []
    if _may_have_commas(dialect, reading):
        points = wanted.of_another and dialect.delimiter == ","
        about = (wanted, reading.get("decimal"), where, first)
        columns, decimal = rewritten(columns, *about, points=points)
    said = (*_said_of_excel(excel), *broken, *dialect.said, *decimal)
    found = {
        "delimiter": dialect.delimiter if dialect.delimiter != "," else "",
        "decimal": "," if decimal else "",
        "encoding": "utf-16" if marked_encoding(raw) == "utf-16" else "",
    }
    found = {key: value for key, value in found.items() if value and key not in reading}
    return Sheet(columns, table.num_rows, digest, first, said, unnamed, found)


def _without_blank_lines(text: bytes) -> tuple[bytes, int]:
    """Return a text without the blank lines that it begins with, and how many these are.

    Of them Arrow's reader would skip one in place of the header, and take that for a row.
    """
    blank = _BLANK_LINES.match(text)
    return (text[blank.end() :], len(blank[0].splitlines())) if blank else (text, 0)


def _without_excel_line(text: bytes) -> tuple[bytes, dict[str, str]]:
    """Return a text without the line by which Excel is told the delimiter, and that delimiter."""
    line = _EXCEL_LINE.match(text)
    return (text[line.end() :], {"delimiter": line[1].decode()}) if line else (text, {})


def _said_of_excel(excel: Mapping[str, str]) -> list[str]:
    return [f"the first line, `sep={it}`, is Excel's, and no row." for it in excel.values()]


def _names(dialect: Dialect, where: str) -> tuple[list[str], list[str]]:
    """Return the names of the columns, and a line for each that was written in several."""
    if not dialect.header:
        return [f"c{at}" for at in range(1, len(dialect.start[0]) + 1)], []
    names = [column_name(name) for name in dialect.start[0]]
    check_no_doubles(filter(None, names), where)
    if names.count("") > 1:
        raise TableError(f"{where}: {names.count('')} columns have no name; give them some.")
    return names, said_of_names(dialect.start[0])


def _parse(text: bytes, dialect: Dialect, names: list[str], where: str, first: int) -> pa.Table:
    given = [*names, "dropped"] if dialect.extra else names
    try:
        table = _read(text, dialect, len(given))
    except pa.ArrowInvalid as error:
        bad: list[csv.InvalidRow] = []
        with suppress(pa.ArrowInvalid):  # the same error, which is not of a row
            _read(text, dialect, len(given), bad.append)
        raise TableError(_ragged(bad, error, len(given), dialect, where, first)) from None
    if not table.num_rows:
        raise TableError(f"{where} has names and no rows.")
    if dialect.extra and table.column(len(names)).null_count < table.num_rows:
        raise TableError(f"{where}: some rows have {len(given)} fields, the header {len(names)}.")
    return table.select(range(len(names))).rename_columns(names)


def _read(
    text: bytes,
    dialect: Dialect,
    width: int,
    note: Callable[[csv.InvalidRow], None] | None = None,
) -> pa.Table:
    """Read all fields as strings; to note wrong rows takes one thread, which numbers them."""
    try:
        return _read_blocks(text, dialect, width, note, block=None)
    except pa.ArrowInvalid as error:
        if _STRADDLING not in str(error):
            raise
        return _read_blocks(text, dialect, width, note, block=min(len(text) + 1, _LARGEST_BLOCK))


def _read_blocks(
    text: bytes,
    dialect: Dialect,
    width: int,
    note: Callable[[csv.InvalidRow], None] | None,
    block: int | None,
) -> pa.Table:
    places = [f"{at}" for at in range(width)]
    return csv.read_csv(
        io.BytesIO(text),
        csv.ReadOptions(
            column_names=places,
            skip_rows_after_names=dialect.header,
            use_threads=note is None and len(text) > _BLOCK,  # threads read a block each
            block_size=block,
        ),
        csv.ParseOptions(
            delimiter=dialect.delimiter,
            newlines_in_values=True,
            invalid_row_handler=None if note is None else partial(_skip, note),
        ),
        csv.ConvertOptions(
            column_types=dict.fromkeys(places, pa.large_string()),
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            null_values=[""],
        ),
    )


def _skip(note: Callable[[csv.InvalidRow], None], row: csv.InvalidRow) -> str:
    note(row)
    return "skip"


def _ragged(
    bad: list[csv.InvalidRow],
    error: Exception,
    width: int,
    dialect: Dialect,
    where: str,
    first: int,
) -> str:
    if not bad and dialect.header and len(dialect.start) == 1:
        return f"{where} has names and no rows."
    if not bad:
        return f"{where} cannot be read: {' '.join(str(error).split())}"
    row, fields = first + (bad[0].number - 1 - dialect.header), bad[0].actual_columns
    whole = "the header" if dialect.header else "the first row"
    count = "1 field" if fields == 1 else f"{fields} fields"
    return f"{where}: row {row} has {count}, {whole} {width}."


def _check_quotes(text: bytes, table: pa.Table, where: str) -> None:
    """A quote that is never closed takes all rows below it into one value, without an error."""
    last = table.column(table.num_columns - 1)[-1].as_py() or ""
    if text.count(b'"') % 2 and "\n" in last:
        row = f"{where}: a quote is opened and never closed"
        raise TableError(f"{row}; the last value has {last.count(chr(10)) + 1} lines.")


def _unnamed(columns: dict[str, pa.Array], where: str) -> dict[str, str]:
    """Take out a column without a name, and return why it is left out."""
    if "" not in columns:
        return {}
    values = columns.pop("")
    if is_row_numbers(values):
        return {"": "row numbers"}
    if values.null_count == len(values):
        return {"": "all missing"}
    raise TableError(f"{where}: a column has no name and is no row number; name it.")


def _may_have_commas(dialect: Dialect, reading: Mapping[str, Any]) -> bool:
    """Return whether decimal commas are looked for: they are said, or part no fields."""
    decimal = reading.get("decimal")
    return decimal == "," or (decimal is None and dialect.delimiter != ",")
