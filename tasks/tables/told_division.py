"""What is said of how a table's rows were divided."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from gatelab.tasks.tables.division import SPLIT_NUMBERS
from gatelab.tasks.tables.lines import shown_text
from gatelab.tasks.tables.splitting import Assignment
from gatelab.tasks.tables.target_columns import TargetColumn

MOST_TOLD = 12
"""Of so many targets each is told of by itself."""


def told_division(target_columns: Sequence[TargetColumn], splits: Assignment) -> tuple[str, ...]:
    """Return a line of the rows of each split, and lines of the known values of targets.

    Of a target that is known in all rows nothing is told, unless it is binary. Of more than
    ``MOST_TOLD`` targets the fewest and the most are told.
    """
    targets = {target.vector or target.name: target for target in target_columns}
    counts = {name: _count(target, splits) for name, target in targets.items()}
    rows = [int((splits == number).sum()) for number in SPLIT_NUMBERS.values()]
    first, *others = zip(rows, SPLIT_NUMBERS, strict=True)
    line = f"{first[0]:,} rows of {first[1]}, " + ", ".join(f"{n:,} of {it}" for n, it in others)
    if all(count.known == rows for count in counts.values()):
        line += "; every target is known in all"
    told = _told_each if len(targets) <= MOST_TOLD else _told_together
    return (f"{line}.", *told(counts, rows))


class _Count(NamedTuple):
    """In how many rows of each split a target is known, and in how many it is positive."""

    known: list[int]
    positive: list[int] | None
    positive_class: str


def _count(target: TargetColumn, splits: Assignment) -> _Count:
    values = [target.values[splits == number] for number in SPLIT_NUMBERS.values()]
    known = [int((~np.isnan(it)).sum()) for it in values]
    if target.kind != "binary":
        return _Count(known, None, "")
    return _Count(known, [int(np.nansum(it)) for it in values], target.classes[1])


def _told_each(counts: Mapping[str, _Count], rows: Sequence[int]) -> Iterator[str]:
    for name, count in counts.items():
        parts = [] if count.known == rows else [f"known in {_of_splits(count.known)}"]
        if count.positive is not None:
            word = f"{shown_text(count.positive_class)!r}"
            parts.append(f"{word} in {_of_splits(count.positive)}")
        if parts:
            yield f"`{name}` is {'; '.join(parts)}."


def _told_together(counts: Mapping[str, _Count], rows: Sequence[int]) -> Iterator[str]:
    known = [count.known for count in counts.values()]
    if any(each != rows for each in known):
        yield f"each of {len(counts)} targets is known in {_spans(known)}."
    positive = [count.positive for count in counts.values() if count.positive is not None]
    if positive:
        yield f"each of {len(positive)} binary targets is positive in {_spans(positive)}."


def _spans(counts: Sequence[Sequence[int]]) -> str:
    return _of_splits([_span(of_split) for of_split in zip(*counts, strict=True)])


def _span(counts: Sequence[int]) -> str:
    low, high = min(counts), max(counts)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _of_splits(counts: Sequence[int | str]) -> str:
    pairs = zip(counts, SPLIT_NUMBERS, strict=True)
    return ", ".join(f"{n if isinstance(n, str) else f'{n:,}'} of {name}" for n, name in pairs)
