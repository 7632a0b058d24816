"""What the rows of a text file are called: numbers by which an editor finds them."""

from __future__ import annotations

import csv
import io
import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Self

_BLANK = re.compile(rb"(?:\r\n|\n|\r)(?:\r\n|\n|\r)")
_LONGEST_FIELD = 2**31 - 1
"""Characters that Python's reader is allowed of one field: as many as Arrow's."""


class FirstRow(int):
    """What a table's first row is called: of what is added, blank lines of the file count too."""

    blanks: Sequence[int]
    """Of every blank line how many rows stand above it."""

    def __new__(cls, number: int, blanks: Sequence[int] = ()) -> Self:
        """Make it of its own number, without the blank lines right above it."""
        made = super().__new__(cls, number)
        made.blanks = blanks
        return made

    def __getnewargs__(self) -> tuple[int, Sequence[int]]:  # type: ignore[override]
        """Return what a copy is made of."""
        return int(self), self.blanks

    def __add__(self, at: int) -> int:
        """Return what the row is called that so many rows stand above."""
        return int(self) + at + bisect_right(self.blanks, at)

    __radd__ = __add__


def first_row(text: bytes, delimiter: str, above: int, *, header: bool) -> FirstRow:
    """Return what the first row of a text in UTF-8 is called.

    Args:
        text: The header, if it has one, and the rows.
        delimiter: Between fields.
        above: What the text's first line is called.
        header: Whether it is a header.
    """
    blanks = [max(0, rows - header) for rows in _blank_lines(text, delimiter)]
    return FirstRow(above + header, blanks)


def _blank_lines(text: bytes, delimiter: str) -> list[int]:
    """Return of every blank line outside of quotes how many rows and headers stand above it."""
    if not _BLANK.search(text, 0, len(text.rstrip())):
        return []
    lines = io.TextIOWrapper(io.BytesIO(text), "utf-8", newline="")
    with any_length():
        rows = csv.reader(lines, delimiter=delimiter)
        empty = [at for at, row in enumerate(rows) if not row]
    return [at - before for before, at in enumerate(empty)]


@contextmanager
def any_length() -> Iterator[None]:
    """Let Python's reader of CSV take fields of any length, which it refuses past 128 KiB."""
    before = csv.field_size_limit(_LONGEST_FIELD)
    try:
        yield
    finally:
        csv.field_size_limit(before)
