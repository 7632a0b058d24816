"""Targets that are asked for, and what a division of rows must hold for them: by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from gatelab.tasks.tables.contents import TableError
from gatelab.tasks.tables.division import check_division
from gatelab.tasks.tables.prepared import prepare
from gatelab.tasks.tables.split_rule import split_rule
from gatelab.tasks.tables.splitting import by_chance, rarest_classes
from gatelab.tasks.tables.target_columns import TargetColumn, target_columns
from gatelab.tasks.tables.target_options import asked_targets
from gatelab.tasks.tables.told_division import told_division
from tests.made_tables import binary, category, number, table, target

GAP = math.nan
SHARES = (0.7, 0.15, 0.15)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (None, "`targets` must say the kind of each target"),
        ({}, "`targets` must say the kind of each target"),
        ({"a": "binar"}, "target 'a' has the unknown kind 'binar'; did you mean 'binary'?"),
        ({"a": {"weight": 2}}, "target 'a' has the unknown kind None"),
        ({"a": {"kind": "binary", "wieght": 2}}, "target 'a' has the unknown key 'wieght'"),
    ],
)
def test_targets_that_are_none(given: Any, said: str) -> None:
    with pytest.raises(TableError) as error:
        asked_targets(given)
    assert said in str(error.value)


def regions(**options: Any) -> TargetColumn:
    texts = ["n"] * 6 + ["s"] * 6 + ["w"] * 2 + ["e"] + [None]
    contents = table(category("region", texts, ("e", "n", "s", "w")))
    return target_columns(contents, asked_targets({"region": "multiclass"}), **options)[0]


def test_rare_classes_are_asked_about_dropped_or_left_in_train() -> None:
    with pytest.raises(TableError, match="'e' \\(1 row\\), 'w' \\(2 rows\\) cannot be in three"):
        regions(rare="ask")
    dropped = regions(rare="drop")
    assert dropped.classes == ("n", "s")
    assert dropped.labels.tolist() == [0] * 6 + [1] * 6 + [-1] * 4
    kept = regions(rare="train")
    assert kept.classes == ("e", "n", "s", "w")
    assert kept.labels.tolist() == [1] * 6 + [2] * 6 + [3, 3, 0, -1]
    splits = by_chance(np.arange(16), rarest_classes([kept]), SHARES, 0)
    assert splits[12:].tolist()[:3] == [0, 0, 0]
    check_division([kept], splits)


def test_targets_that_cannot_be_learnt() -> None:
    contents = table(number("x", [1, 1, GAP]), binary("b", [GAP] * 3, ("n", "y")))
    for asked, said in (
        ({"x": "regression"}, "target 'x' has no value but 1"),
        ({"b": "binary"}, "'n' \\(0 rows\\), 'y' \\(0 rows\\) cannot be in three splits"),
        ({"y": "binary"}, "target 'y' is no column of the table; valid: b, x."),
    ):
        with pytest.raises(TableError, match=said):
            target_columns(contents, asked_targets(asked), "ask")


def test_a_target_of_too_many_classes() -> None:
    texts = [str(i) for i in range(1001)]
    contents = table(category("price", texts, tuple(texts)))
    with pytest.raises(TableError, match="'price' has 1,001 classes, of at most 1,000"):
        target_columns(contents, asked_targets({"price": "multiclass"}), "ask")


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (target("a", "regression", [1, 2, GAP, 4]), "val knows no value of target 'a', of 3"),
        (target("a", "multiclass", [0, 1, 2, 0], "xyz"), "train has no row of class 'z'"),
        (target("a", "regression", [3, 3, 1, 2]), "train knows no value of target 'a' but 3"),
    ],
)
def test_a_division_that_cannot_be_learnt_from(found: TargetColumn, said: str) -> None:
    with pytest.raises(TableError) as error:
        check_division([found], np.array([0, 0, 1, 2], np.uint8))
    assert said in str(error.value)


def test_what_is_in_each_split_is_said() -> None:
    found = [
        target("won", "binary", [0, 1, 1, GAP, 0], "ny"),
        target("weeks", "regression", [1, 2, 3, GAP, 5]),
    ]
    known = "known in 2 of train, 1 of val, 1 of test"
    assert told_division(found, np.array([0, 0, 1, 1, 2], np.uint8)) == (
        "2 rows of train, 2 of val, 1 of test.",
        f"`won` is {known}; 'y' in 1 of train, 1 of val, 0 of test.",
        f"`weeks` is {known}.",
    )
    splits = np.array([0, 0, 1, 3, 2], np.uint8)
    assert told_division(found, splits) == (
        "2 rows of train, 1 of val, 1 of test; every target is known in all.",
        "`won` is 'y' in 1 of train, 1 of val, 0 of test.",
    )
    whole = target("days", "regression", [1, 2, 3, 4, 5])
    assert told_division([whole, found[0]], np.array([0, 0, 1, 1, 2], np.uint8)) == (
        "2 rows of train, 2 of val, 1 of test.",
        f"`won` is {known}; 'y' in 1 of train, 1 of val, 0 of test.",
    )
    assert told_division(found[1:], splits) == told_division(found, splits)[:1]


def test_a_table_by_hand() -> None:
    """Weeks of the train rows are 1 and 3, of mean 2 and deviation 1; x are 10 and 30."""
    days = [1, 1, 1, 1, 1, 1, 2, 2, 3, 3]
    contents = table(
        number("x", [10, 30, 10, 30, 10, 30, 40, 20, 20, 20]),
        number("weeks", [1, 3, 1, 3, 1, 3, 4, GAP, 2, 0]),
        binary("won", [0, 1, 0, 1, 0, 1, 1, 0, 1, GAP], ("no", "yes")),
        number("day", days),
    )
    asked = asked_targets({"weeks": {"kind": "regression", "weight": 0.5}, "won": "binary"})
    found = prepare(contents, target_columns(contents, asked, "ask"), split_rule({"time": "day"}))
    inputs, targets, mask, *_ = found.split("val")
    assert inputs.tolist() == [[2], [0]]
    assert targets.tolist() == [[2, 1], [0, 0]]
    assert mask is not None and mask.tolist() == [[True, True], [False, True]]
    weeks, won = found.targets()
    assert (weeks.scale, weeks.offset, weeks.weight) == (1, 2, 0.5)
    assert weeks.in_unit(targets[:1, 0]).tolist() == [4]
    assert won.classes == ("no", "yes")
    assert found.split("test").targets.tolist() == [[0, 1], [-2, 0]]
    assert len(found.digest) == 64


def test_of_many_targets_the_fewest_and_the_most_are_said() -> None:
    rows = [1, 1, 0, 1, GAP, 0, 1]
    found = [target(f"won_{i}", "binary", rows, "ny") for i in range(12)]
    found.append(target("weeks", "regression", [GAP, GAP, 3, GAP, 5, 6, 7]))
    assert told_division(found, np.array([0, 0, 0, 1, 1, 2, 2], np.uint8)) == (
        "3 rows of train, 2 of val, 2 of test.",
        "each of 13 targets is known in 1 to 3 of train, 1 of val, 2 of test.",
        "each of 12 binary targets is positive in 2 of train, 1 of val, 1 of test.",
    )
