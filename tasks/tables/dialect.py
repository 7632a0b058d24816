"""How a text file writes a table: its encoding, delimiter and header, found on its start."""

from __future__ import annotations

import codecs
import csv
import io
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from gatelab.registry import near_misses
from gatelab.rules import written
from gatelab.tasks.tables.coded import NUMERAL, matches
from gatelab.tasks.tables.contents import TableError
from gatelab.tasks.tables.row_numbers import any_length

READING_KEYS = ("delimiter", "decimal", "encoding", "header")
_DELIMITERS = {",": "comma", ";": "`;`", "\t": "tab", "|": "`|`"}
_START, _LEAST_LINES = 2**16, 10
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # whose first half is the mark of UTF-16
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_SAVE, _UNPACK = "save it as CSV or Parquet", "unpack it"
_FOREIGN = (
    (b"PK\x03\x04", "a ZIP or Excel file", _SAVE),
    (b"\xd0\xcf\x11\xe0", "an Excel file", _SAVE),
    (b"\x1f\x8b", "a gzip file", _UNPACK),
    (b"BZh91AY&SY", "a bzip2 file", _UNPACK),
    (b"\xfd7zXZ\0", "an xz file", _UNPACK),
    (b"7z\xbc\xaf\x27\x1c", "a 7z file", _UNPACK),
    (b"\x28\xb5\x2f\xfd", "a Zstandard file", _UNPACK),
    (b"SQLite format 3\0", "an SQLite database", _SAVE),
    (b"\x89HDF\r\n", "an HDF5 file", _SAVE),
    (b"ARROW1\0\0", "an Arrow or Feather file", _SAVE),
    (b"Obj\x01", "an Avro file", _SAVE),
    (b"\x93NUMPY", "a NumPy file", _SAVE),
    (b"\x80\x04\x95", "a pickle", _SAVE),
    (b"\x80\x05\x95", "a pickle", _SAVE),
    (b"PAR1", "a packed Parquet file", _UNPACK),  # a plain one is not read as text
    (b"%PDF-", "a PDF", _SAVE),
    (b"{\\rtf", "an RTF text", _SAVE),
    (b"\x89PNG", "a picture", "it holds no table"),
    (b"\xff\xd8\xff", "a picture", "it holds no table"),
)
"""How files begin that are no table, what they are, and what to do."""


@dataclass(frozen=True)
class Dialect:
    """How a text file writes a table.

    Attributes:
        delimiter: Between fields.
        header: Whether its first row names the columns.
        start: The first rows, each its fields; at least one.
        extra: Whether each row ends in a delimiter that the header lacks.
        said: What was found, a line each.
    """

    delimiter: str
    header: bool
    start: list[list[str]]
    extra: bool
    said: tuple[str, ...]


def check_reading(reading: Mapping[str, Any]) -> None:
    """Check the keys of `reading`, and their values.

    Raises:
        TableError: If a key is unknown, or a value cannot be.
    """
    for key, value in reading.items():
        if key not in READING_KEYS:
            raise TableError(f"`reading` has no key {key!r}; {near_misses(key, READING_KEYS)}")
        rule, holds = _RULES[key]
        if not holds(value):
            raise TableError(f"`reading.{key}` must be {rule}, but got {written(value)}.")


def _is_encoding(value: object) -> bool:
    """Return whether Python turns bytes into text by it, as not by rot13 or undefined."""
    try:
        return isinstance(value, str) and bool(b"a".decode(value))
    except UnicodeDecodeError:
        return True  # as of UTF-16, of which one byte is half a sign
    except (LookupError, ValueError):
        return False


_RULES: dict[str, tuple[str, Callable[[object], bool]]] = {
    "delimiter": ("one character", lambda it: isinstance(it, str) and len(it) == 1),
    "decimal": ("`.` or `,`", lambda it: it in (".", ",")),
    "encoding": ("an encoding that Python knows", _is_encoding),
    "header": ("true or false", lambda it: isinstance(it, bool)),
}


def as_utf8(raw: bytes, encoding: str | None, where: str) -> bytes:
    """Return a file's text as UTF-8 without a mark.

    Raises:
        TableError: If the file is no text, or none of this encoding.
    """
    _check_is_text(raw, where)
    found = marked_encoding(raw)
    try:
        text = raw.decode(encoding or found)
        _check_no_nul(text, where)
        text = text.removeprefix("\N{ZERO WIDTH NO-BREAK SPACE}")
        if not text.strip():
            raise TableError(f"{where} is empty.")
        return text.encode() if (encoding or found) != "utf-8" else raw
    except UnicodeDecodeError as error:
        raise TableError(_undecoded(raw, error, encoding or found, where)) from None
    except UnicodeError as error:
        raise TableError(
            f"{where} is no {encoding or found} ({error}); say which it is, as "
            "`reading: {encoding: cp1252}`."
        ) from None


def _check_no_nul(text: str, where: str) -> None:
    """Check that no sign is NUL, as every other one is of UTF-16 that is read as another."""
    if count := text.count("\0"):
        line = text.count("\n", 0, text.index("\0")) + 1
        asks = ": `reading: {encoding: utf-16}`?" if count * 4 > len(text) else "; take it out."
        raise TableError(f"{where}, line {line}: a NUL character{asks}")


def marked_encoding(raw: bytes) -> str:
    """Return the encoding that a file's mark says, UTF-8 where it has none."""
    return next((name for mark, name in _MARKS if raw.startswith(mark)), "utf-8")


def _check_is_text(raw: bytes, where: str) -> None:
    if not raw.strip():
        raise TableError(f"{where} is empty.")
    for mark, what, advice in _FOREIGN:
        if raw.startswith(mark):
            raise TableError(f"{where} is {what}: {advice}.")
    if raw[:200].lstrip().lower().startswith((b"<!doctype", b"<html")):
        raise TableError(f"{where} is an HTML page, not a table.")


def _undecoded(raw: bytes, error: UnicodeDecodeError, encoding: str, where: str) -> str:
    line = raw.count(b"\n", 0, error.start) + 1
    name = "UTF-8" if encoding == "utf-8" else encoding
    byte = f"{where}, line {line}: byte 0x{raw[error.start]:02x} is no {name}"
    return f"{byte}; say which it is, as `reading: {{encoding: cp1252}}`."


def find_dialect(text: bytes, reading: Mapping[str, Any], where: str) -> Dialect:
    """Return how a file in UTF-8 writes its table.

    Raises:
        TableError: If the delimiter or the header is to be said by the user.
    """
    start = _start(text)
    delimiter = reading.get("delimiter") or _delimiter(start, where)
    rows = _fields(start, delimiter)
    _check_parts_long_rows(rows, delimiter, where)
    header = reading.get("header")
    if header is None:
        header = _check_header(rows, where)
    extra = header and _ends_in_delimiter(rows)
    said = []
    if delimiter != "," and "delimiter" not in reading:
        key = "\\t" if delimiter == "\t" else delimiter
        said.append(f'delimiter {_DELIMITERS[delimiter]} (`reading: {{delimiter: "{key}"}}`).')
    if extra:
        said.append("each row ends in a delimiter that the header lacks: empty last field dropped.")
    return Dialect(delimiter, header, rows, extra, tuple(said))


def _start(text: bytes) -> str:
    """Return the start of a file, up to the end of a line: 64 KiB, or more where lines are long."""
    end = 0
    for _ in range(_LEAST_LINES):
        end = text.find(b"\n", end) + 1 or len(text)
    end = max(end, text.rfind(b"\n", 0, _START) + 1)
    return text[: end if len(text) > _START else len(text)].decode(errors="ignore")


def _fields(start: str, delimiter: str) -> list[list[str]]:
    with any_length():
        rows = list(csv.reader(io.StringIO(start, newline=""), delimiter=delimiter))
    if len(start) > _START // 8 and len(rows) > 2:
        rows = rows[:-1]  # it may be cut inside quotes
    return [row for row in rows if row]


def _check_parts_long_rows(rows: list[list[str]], delimiter: str, where: str) -> None:
    """Check that a delimiter parts rows of which each would be a text that nobody writes."""
    longest = max((len(row[0]) for row in rows), default=0)
    if longest > _START and all(len(row) == 1 for row in rows):
        raise TableError(
            f"{where}: by the delimiter {delimiter!r} rows are one field, of {longest:,} "
            "characters: are they parted by another one?"
        )


def _delimiter(start: str, where: str) -> str:
    """Return the delimiter by which most rows have one number of fields, and more are numbers."""
    fields = {it: _fields(start, it) for it in _DELIMITERS}
    scores = {it: _score(rows) for it, rows in fields.items()}
    best = max(scores, key=lambda it: scores[it])
    if scores[best] == (0.0, 0.0):
        raise TableError(
            f"{where} has one column by each of comma, `;`, tab and `|`: "
            "say how it is parted, as `reading: {delimiter: ...}`."
        )
    return best


def _score(rows: list[list[str]]) -> tuple[float, float]:
    widths = Counter(map(len, rows))
    width, most = max(widths.items(), key=lambda it: (it[1], it[0]), default=(0, 0))
    if width < 2:
        return 0.0, 0.0
    fields = pa.array([field.strip().replace(",", ".") for row in rows for field in row])
    return most / len(rows), 1e-9 + float(np.mean(matches(fields, NUMERAL)))


def _check_header(rows: list[list[str]], where: str) -> bool:
    """Return that the first row is a header, unless it looks like data."""
    for at, name in enumerate(rows[0]):
        below = [row[at].strip() for row in rows[1:] if at < len(row)]
        if name.strip() and _is_data(name.strip(), below):
            raise TableError(
                f"{where}: the header looks like data (`{name.strip()}`): `reading: {{header: "
                f"false}}` names the columns c1 to c{len(rows[0])}, `header: true` keeps it."
            )
    return True


def _is_data(name: str, below: list[str]) -> bool:
    """Return whether a name is a number, or a word that stands below it again."""
    number = bool(matches(pa.array([name]), NUMERAL)[0])
    return number or name in below


def _ends_in_delimiter(rows: list[list[str]]) -> bool:
    width = len(rows[0]) + 1
    return len(rows) > 1 and all(len(row) == width and not row[-1].strip() for row in rows[1:])
