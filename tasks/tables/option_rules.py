"""Which values of a table's options go together, as far as no column needs to be looked at."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, get_args

from gatelab.registry import near_misses
from gatelab.rules import check_not_negative, shown
from gatelab.tasks.tables.contents import TableError
from gatelab.tasks.tables.division import Duplicates
from gatelab.tasks.tables.split_rule import SplitRule
from gatelab.tasks.tables.target_columns import Rare


def check_rows_options(rule: SplitRule, rare: object, duplicates: str, split_seed: int) -> None:
    """Check what is said of rows, beside the rule that divides them.

    Raises:
        TableError: If a value is none of its choices, or the rule does without it.
        ValueError: If the seed is negative.
    """
    _check_choice("rare", rare, get_args(Rare))
    _check_duplicates(rule, duplicates)
    _check_seed(rule, split_seed)


def _check_choice(option: str, value: object, choices: Sequence[str]) -> None:
    if value not in choices:
        near = near_misses(str(value), choices)
        raise TableError(
            f"`{option}` must be {' or '.join(choices)}, but got {shown(value)}; {near}"
        )


def _check_duplicates(rule: SplitRule, duplicates: str) -> None:
    _check_choice("duplicates", duplicates, get_args(Duplicates))
    if duplicates == "together" and rule.by != "random":
        raise TableError(f"`duplicates: together` needs a random split, but got one by {rule.by}.")


def _check_seed(rule: SplitRule, split_seed: int) -> None:
    check_not_negative(split_seed=split_seed)
    if rule.fixed and split_seed:
        raise TableError(
            f"`split` by {rule.by} divides the rows in one way alone, so that `split_seed` must be "
            f"0, but got {split_seed}."
        )


def check_split_column(targets: Collection[str], rule: SplitRule) -> None:
    """Check that rows are not divided by what is to be learnt of them.

    Raises:
        TableError: If the column by which they are is a target.
    """
    if rule.column in targets:
        raise TableError(
            f"`split` by {rule.by} must name a column that is no target, but {rule.column!r} is "
            "one: train would know other values of it than test."
        )


def check_weights_column(weights: object, targets: Mapping[str, Any], rule: SplitRule) -> None:
    """Check that the column of rows' weights has nothing else to say.

    Raises:
        TableError: If it is no name, a target, or the column by which rows are divided.
    """
    if not isinstance(weights, str | None):
        raise TableError(f"`weights` must name a column, but got {shown(weights)}.")
    if weights is not None and weights in {*targets, rule.column}:
        what = "a target" if weights in targets else "the column of `split`"
        raise TableError(f"`weights` must name a column of its own, but {weights!r} is {what}.")


def check_no_feature(weights: str | None, **options: Collection[str]) -> None:
    """Check that no option says of the column of weights what is said of features.

    Raises:
        TableError: If one of them names it.
    """
    for option, names in options.items():
        if weights in names:
            raise TableError(
                f"`{option}` names {weights!r}, the column of `weights`, which is no feature "
                "and always numbers: leave it out there."
            )
