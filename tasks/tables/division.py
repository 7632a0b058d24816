"""A table's rows divided by its rule, and what there is to say of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import numpy as np

from gatelab.tasks.tables.contents import Column, Contents, TableError
from gatelab.tasks.tables.copies import copies
from gatelab.tasks.tables.fitted import Rows
from gatelab.tasks.tables.lines import shown_text
from gatelab.tasks.tables.split_rule import SplitRule
from gatelab.tasks.tables.splitting import (
    Assignment,
    by_chance,
    by_column,
    by_group,
    by_time,
    check_filled,
    rarest_classes,
)
from gatelab.tasks.tables.target_columns import TargetColumn, column_of
from gatelab.tasks.task import SplitName

Duplicates = Literal["keep", "together"]
SPLIT_NUMBERS: Mapping[SplitName, int] = {"train": 0, "val": 1, "test": 2}
FEWEST_ROWS = 10


def divide(
    contents: Contents,
    target_columns: Sequence[TargetColumn],
    rule: SplitRule,
    *,
    together: bool,
    split_seed: int,
) -> Assignment:
    """Return the split of each row.

    Args:
        contents: The table.
        target_columns: Its targets.
        rule: By what its rows are divided.
        together: Whether copies of rows are kept in one split; of random ones.
        split_seed: Another one divides the same rows anew, where there is chance in it.

    Raises:
        TableError: If the rows are too few, or the rule does not fit them.
    """
    check_rows(contents.rows)
    if rule.column is not None:
        column = column_of(contents, rule.column, "the column of `split`")
        check_filled(column, contents.first_row)
        return _by(rule, column, split_seed)
    numbered = np.arange(contents.rows)
    units = copies(contents.columns.values(), contents.rows) if together else numbered
    strata = rarest_classes(target_columns) if rule.stratify else np.zeros_like(numbered)
    return by_chance(units, strata, rule.shares, split_seed)


def check_rows(rows: int) -> None:
    """Check that there are rows enough for three splits.

    Raises:
        TableError: If there are fewer than 10.
    """
    if rows < FEWEST_ROWS:
        raise TableError(
            f"{rows} row{'s are' if rows != 1 else ' is'} too few for three splits: at least "
            f"{FEWEST_ROWS} are needed."
        )


def _by(rule: SplitRule, column: Column, split_seed: int) -> Assignment:
    if rule.by == "column":
        return by_column(column, rule)
    if rule.by == "group":
        return by_group(column, rule.shares, split_seed)
    return by_time(column, rule.shares)


def check_division(
    target_columns: Iterable[TargetColumn], splits: Assignment, *, weighted: bool = False
) -> None:
    """Check that all targets can be learnt and scored.

    Args:
        target_columns: The targets.
        splits: Of each row.
        weighted: Whether rows are, so that those of weight 0 know nothing.

    Raises:
        TableError: If a split knows no value of a target, or train lacks a class or has only one
            value.
    """
    for target in target_columns:
        for name, number in SPLIT_NUMBERS.items():
            if not (target.known & (splits == number)).any():
                rows = "in a row of a weight above 0, " if weighted else ""
                raise TableError(
                    f"{name} knows no value of target {target.name!r}, {rows}of "
                    f"{target.known.sum()} that are known: give another `split`."
                )
        _check_train(target, target.values[target.known & (splits == 0)])


def _check_train(target: TargetColumn, known: Rows) -> None:
    found = np.unique(known)
    lacking = [c for place, c in enumerate(target.classes) if place not in found]
    if lacking:
        raise TableError(
            f"train has no row of class {shown_text(lacking[0])!r} of target {target.name!r}: "
            "give another `split`, or leave such rows out by `missing`."
        )
    if len(found) < 2:
        raise TableError(
            f"train knows no value of target {target.name!r} but {found[0]:g}: give another "
            "`split`."
        )


def told_copies(
    columns: Iterable[Column], splits: Assignment, *, random: bool = True
) -> tuple[str, ...]:
    """Return a line where rows of val or test are copies of rows of train; else none.

    Args:
        columns: In which rows are alike.
        splits: Of each row.
        random: Whether rows are divided by chance, so that copies can be kept together.
    """
    numbers = copies(columns, len(splits))
    counts = [int(np.isin(numbers[splits == n], numbers[splits == 0]).sum()) for n in (1, 2)]
    if not any(counts):
        return ()
    val, test = (int((splits == n).sum()) for n in (1, 2))
    key = "; `duplicates: together` keeps copies in one split" if random else ""
    return (
        f"{counts[0]:,} of {val:,} rows of val and {counts[1]:,} of {test:,} of test are copies of "
        f"rows of train, so that scores are too good{key}.",
    )
