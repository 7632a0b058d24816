"""Columns that bring little: copies of another one, and columns of almost one value."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping

import numpy as np

from gatelab.tasks.tables.contents import Column, Contents
from gatelab.tasks.tables.lines import drop_key
from gatelab.tasks.tables.sample import codes, sampled

NEAR_CONSTANT = 0.98
_CORRELATION = 0.99999


def redundancy(contents: Contents, targets: Collection[str]) -> tuple[str, ...]:
    """Return a line for each group of features that are copies, and each that hardly varies.

    Copies have the same values in other words, or are numbers with a correlation of .99999 or
    more. Nearly constant is one value in 98% of the rows where there is one. At most 10,000 rows
    are looked at.
    """
    columns = {name: it for name, it in sampled(contents).items() if name not in targets}
    return (*_copies(columns), *_lines(columns), *_near_constant(columns))


def _copies(columns: Mapping[str, Column]) -> Iterator[str]:
    """Tell of columns with the same codes; what differs in each row is a copy of nothing."""
    groups: dict[bytes, list[str]] = defaultdict(list)
    for name, column in columns.items():
        values = codes(column)
        if 1 < values.max(initial=-1) + 1 <= len(values) / 2:
            groups[values.tobytes()].append(name)
    for names in groups.values():
        if len(names) > 1:
            yield _line_of(names)


def _line_of(names: list[str]) -> str:
    shown = ", ".join(f"`{name}`" for name in names[:-1]) + f" and `{names[-1]}`"
    keys = ", ".join(map(drop_key, names[1:]))
    return f"{shown} are copies of each other; {keys}?"


def _lines(columns: Mapping[str, Column]) -> Iterator[str]:
    """Tell of pairs of numbers without gaps, each of many values, on one line."""
    numbers = {name: it.numbers for name, it in columns.items() if it.kind == "number"}
    full = {name: it for name, it in numbers.items() if it is not None and _varies(it)}
    if len(full) < 2:
        return
    names = [*full]
    alike = np.triu(np.abs(np.corrcoef(np.stack([*full.values()]))) >= _CORRELATION, 1)
    for one, other in np.argwhere(alike):
        if _codes_differ(columns[names[one]], columns[names[other]]):
            yield _line_of([names[one], names[other]])


def _varies(numbers: np.ndarray) -> bool:
    return len(numbers) > 2 and not np.isnan(numbers).any() and numbers.min() < numbers.max()


def _codes_differ(one: Column, other: Column) -> bool:
    """Return whether two columns are not told of as copies already."""
    mine, theirs = codes(one), codes(other)
    return mine.max() + 1 > len(mine) / 2 or not np.array_equal(mine, theirs)


def _near_constant(columns: Mapping[str, Column]) -> Iterator[str]:
    for name, column in columns.items():
        values = codes(column)
        counts = np.bincount(values[values >= 0])
        share = counts.max(initial=0) / max(counts.sum(), 1)
        if NEAR_CONSTANT <= share < 1:
            yield f"`{name}` is nearly constant: one value in {share:.1%} of the rows."
