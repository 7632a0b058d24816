"""Copies: rows of a table that are equal in every column."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from gatelab.tasks.tables.contents import Column

Words = npt.NDArray[np.uint64]


def copies(columns: Iterable[Column], rows: int) -> npt.NDArray[np.int64]:
    """Return a number for each row, ``(rows,)``, that copies share and others do not.

    Rows are told apart by 64 bits of a hash, by which two of a million rows that differ are taken
    for copies once in 40 million tables.
    """
    hashed = np.zeros(rows, np.uint64)
    for column in columns:
        hashed = _mixed(hashed * np.uint64(0x9E3779B97F4A7C15) + _mixed(_words(column)))
    found: npt.NDArray[np.int64] = np.unique(hashed, return_inverse=True)[1]
    return found


def _words(column: Column) -> Words:
    """Return 64 bits for each value of a column, equal where values are; missing ones are equal."""
    if column.numbers is not None:
        numbers = np.where(np.isnan(column.numbers), np.nan, column.numbers + 0.0)  # no -0.0
        return numbers.view(np.uint64)
    assert column.texts is not None
    codes = column.texts.dictionary_encode().indices.fill_null(-1)
    return np.asarray(codes, np.int64).view(np.uint64)


def _mixed(words: Words) -> Words:
    """Return 64 bits of which each depends on all of a word's.

    Source: the finaliser of SplitMix64, Steele, Lea and Flood, Fast Splittable Pseudorandom Number
    Generators, 2014.
    """
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))
