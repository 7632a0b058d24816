"""Classes of which a split has too few rows to score a target by."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gatelab.tasks.tables.division import SPLIT_NUMBERS
from gatelab.tasks.tables.splitting import Assignment
from gatelab.tasks.tables.target_columns import TargetColumn

FEWEST_ROWS_OF_A_CLASS = 50
"""Of a binary target's rarer class in test: scores of fewer rows vary by chance."""


def scarcity(target_columns: Sequence[TargetColumn], splits: Assignment) -> tuple[str, ...]:
    """Return a line for each class that val or test lacks, and each that is scarce in test.

    Args:
        target_columns: The targets; those of regression have no classes.
        splits: Of each row, ``(rows,)``.
    """
    return tuple(line for target in target_columns for line in _of(target, splits))


def _of(target: TargetColumn, splits: Assignment) -> Iterator[str]:
    whose = f"of target `{target.name}`"
    for split in ("val", "test"):
        here = target.values[splits == SPLIT_NUMBERS[split]]
        counts = {name: int((here == place).sum()) for place, name in enumerate(target.classes)}
        if lacking := [name for name, count in counts.items() if not count]:
            more = f" (and {len(lacking) - 1} more)" if len(lacking) > 1 else ""
            yield f"{split} has no row of class {lacking[0]!r}{more} {whose}."
        elif split == "test" and target.kind == "binary":
            rarer = min(counts, key=lambda name: counts[name])
            if counts[rarer] < FEWEST_ROWS_OF_A_CLASS:
                yield (
                    f"class {rarer!r} {whose} stands in {counts[rarer]} of {sum(counts.values())}"
                    f" known rows of test: with fewer than {FEWEST_ROWS_OF_A_CLASS}, "
                    "scores vary by chance."
                )
