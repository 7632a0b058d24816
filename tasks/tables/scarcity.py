"""Targets and classes of which a split has too few rows to score by."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from gatelab.tasks.tables.division import SPLIT_NUMBERS
from gatelab.tasks.tables.lines import shown_text
from gatelab.tasks.tables.splitting import Assignment
from gatelab.tasks.tables.target_columns import TargetColumn

FEWEST_ROWS_OF_A_CLASS = 50
"""Of a binary target's rarer class in test: scores of fewer rows vary by chance."""
FEWEST_ROWS_OF_A_TARGET = 10
"""Of those in which a regression's target is known, in val or test."""


def scarcity(target_columns: Sequence[TargetColumn], splits: Assignment) -> tuple[str, ...]:
    """Return a line for each class that val or test lacks, or that is scarce, and for numbers.

    Args:
        target_columns: The targets.
        splits: Of each row, ``(rows,)``.
    """
    lines = (line for target in target_columns for line in _of(target, splits))
    return tuple(dict.fromkeys(lines))  # columns of one target are known together


def _of(target: TargetColumn, splits: Assignment) -> Iterator[str]:
    whose = f"of target `{target.vector or target.name}`"
    for split in ("val", "test"):
        here = target.values[splits == SPLIT_NUMBERS[split]]
        if not target.classes:
            yield from told_numbers(whose, split, int((~np.isnan(here)).sum()))
            continue
        counts = {name: int((here == place).sum()) for place, name in enumerate(target.classes)}
        yield from told_classes(whose, split, counts)


def told_classes(whose: str, split: str, counts: Mapping[str, int]) -> Iterator[str]:
    """Yield a line where a split lacks a class, or a test split has few rows of one of two.

    Args:
        whose: The words for the target.
        split: The split's name.
        counts: The known rows of each class.
    """
    if lacking := [name for name, count in counts.items() if not count]:
        more = f" (and {len(lacking) - 1} more)" if len(lacking) > 1 else ""
        what = f"{split} has no row of class {shown_text(lacking[0])!r}{more} {whose}"
        yield f"{what}: no model can learn it." if split == "train" else f"{what}."
    elif split == "test" and len(counts) == 2:
        rarer = min(counts, key=lambda name: counts[name])
        if counts[rarer] < FEWEST_ROWS_OF_A_CLASS:
            yield (
                f"class {shown_text(rarer)!r} {whose} stands in {counts[rarer]} of "
                f"{sum(counts.values())} known rows of test: with fewer than "
                f"{FEWEST_ROWS_OF_A_CLASS}, scores vary by chance."
            )


def told_numbers(whose: str, split: str, known: int) -> Iterator[str]:
    """Yield a line where a split knows a regression target in few rows."""
    if known < FEWEST_ROWS_OF_A_TARGET:
        rows = "1 row" if known == 1 else f"{known or 'no'} rows"
        yield (
            f"{rows} of {split} {whose} {'is' if known == 1 else 'are'} known: with fewer than "
            f"{FEWEST_ROWS_OF_A_TARGET}, scores vary by chance."
        )
