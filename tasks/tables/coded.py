"""A column of text as its distinct values: what is decided of a value is decided once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from gatelab.tasks.tables.spelling import canonical

NUMERAL = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
INFINITE = r"(?i)^[+-]?inf(inity)?$"


@dataclass(frozen=True)
class Coded:
    """A column of text, its values without spaces around them.

    Attributes:
        name: The column's.
        values: The distinct values in order of appearance, (distinct,) strings.
        codes: Which of them each row has, (rows,); -1 where it has none.
        first_row: What the first row is called: 2 where a header is row 1.
        spaced: In how many rows spaces were stripped.
    """

    name: str
    values: pa.Array
    codes: npt.NDArray[np.int64]
    first_row: int
    spaced: int = 0

    @cached_property
    def counts(self) -> npt.NDArray[np.int64]:
        """How many rows have each value, (distinct,)."""
        return np.bincount(self.codes[self.codes >= 0], minlength=len(self.values))

    @property
    def known(self) -> int:
        """How many rows have a value."""
        return int(self.counts.sum())

    @cached_property
    def texts(self) -> list[str]:
        """The distinct values as Python's strings."""
        texts: list[str] = self.values.to_pylist()
        return texts

    @cached_property
    def numbers(self) -> npt.NDArray[np.float64]:
        """The distinct values as numbers, (distinct,) float64; NaN where one is none."""
        return as_numbers(self.values)

    def row(self, chosen: npt.NDArray[np.bool_]) -> tuple[int, str]:
        """Return the first row with one of the chosen values, (distinct,), and its value."""
        at = int(np.flatnonzero(np.append(chosen, False)[self.codes])[0])
        return self.first_row + at, self.texts[self.codes[at]]

    def spread(self, of_values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return the number of each row, (rows,), from those of the values; NaN where missing."""
        return np.append(of_values, np.nan)[self.codes]

    def without(self, words: npt.NDArray[np.bool_]) -> Coded:
        """Return the column with the chosen values, (distinct,), taken for missing."""
        if not words.any():
            return self
        places = np.where(words, -1, np.cumsum(~words) - 1)
        codes = np.append(places, -1)[self.codes]
        return Coded(
            self.name, self.values.filter(pa.array(~words)), codes, self.first_row, self.spaced
        )

    def canonical(self) -> Coded:
        """Return the column with one spelling a value: `1.0` and `1` are `1`."""
        return _coded(self.name, canonical(self.values), self.codes, self.first_row, self.spaced)

    def per_row(self) -> pa.Array:
        """Return the text of each row, (rows,) strings; null where it is missing."""
        return self.values.take(pa.array(self.codes, mask=self.codes < 0))


def code_texts(name: str, texts: pa.Array, first_row: int) -> Coded:
    """Return a column of text by its distinct values; an empty text is no value."""
    encoded = texts.dictionary_encode()
    raw = encoded.dictionary.cast(pa.large_string())
    codes = np.asarray(encoded.indices.fill_null(-1), dtype=np.int64)
    stripped = pc.utf8_trim_whitespace(raw)
    changed = np.append(np.asarray(pc.not_equal(raw, stripped)), False).astype(bool)
    values = pc.if_else(pc.equal(stripped, ""), None, stripped)
    return _coded(name, values, codes, first_row, int(changed[codes].sum()))


def _coded(
    name: str, values: pa.Array, codes: npt.NDArray[np.int64], first_row: int, spaced: int
) -> Coded:
    merged = values.dictionary_encode()
    places = np.asarray(merged.indices.fill_null(-1), dtype=np.int64)
    return Coded(name, merged.dictionary, np.append(places, -1)[codes], first_row, spaced)


def as_numbers(values: pa.Array) -> npt.NDArray[np.float64]:
    """Return texts as float64, (values,); NaN where one is no number."""
    fits = pc.or_(
        pc.match_substring_regex(values, NUMERAL), pc.match_substring_regex(values, INFINITE)
    )
    numbers = pc.if_else(fits, values, None).cast(pa.float64())
    return np.asarray(numbers.fill_null(np.nan), dtype=np.float64)


def matches(values: pa.Array, pattern: str) -> npt.NDArray[np.bool_]:
    """Return which texts a regular expression (RE2) finds itself in, (values,)."""
    return np.asarray(pc.match_substring_regex(values, pattern), dtype=bool)


def among(values: pa.Array, words: Iterable[str]) -> npt.NDArray[np.bool_]:
    """Return which texts are one of some words of lower case, (values,)."""
    return np.asarray(pc.is_in(pc.utf8_lower(values), pa.array(words, values.type)), dtype=bool)
