"""What the option `split` of a table says, and that its rows are divided by just that."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gatelab.tasks.tables.contents import TableError
from gatelab.tasks.tables.division import divide
from gatelab.tasks.tables.split_rule import SplitRule, split_rule
from gatelab.tasks.tables.splitting import by_chance, by_column
from tests.made_tables import category, number, table, target

ROWS = 100
CONTENTS = table(
    number("x", list(range(ROWS))),
    category("group", [str(row) for row in range(ROWS)]),
    number("day", list(range(ROWS))),
)
RARE = (target("y", "binary", [float(row < 3) for row in range(ROWS)], "ny"),)
"""A class of three rows: stratified, one in each split."""


def splits_of(given: Any, split_seed: int = 0) -> np.ndarray:
    return divide(CONTENTS, RARE, split_rule(given), together=False, split_seed=split_seed)


@pytest.mark.parametrize("by", [{}, {"group": "group"}, {"time": "day"}])
def test_shares_are_of_train_val_and_test(by: dict[str, str]) -> None:
    found = splits_of({**by, "shares": [0.2, 0.5, 0.3]})
    assert np.bincount(found).tolist() == [20, 50, 30]


def test_shares_need_not_add_up_to_the_last_digit() -> None:
    third = 1 / 3
    assert split_rule({"shares": (third, third, third)}).shares == (third, third, third)
    assert split_rule({"shares": [0.3333333] * 3}).shares == (0.3333333,) * 3
    with pytest.raises(TableError, match="`shares` must be three numbers above 0"):
        split_rule({"shares": [0.333333] * 3})


@pytest.mark.parametrize("shares", [[0, 0.5, 0.5], [0.5, 0.5, 0], ["0.5", 0.3, 0.2], 1, "0.5"])
def test_shares_that_are_none(shares: Any) -> None:
    with pytest.raises(TableError, match="`shares` must be three numbers above 0"):
        split_rule({"shares": shares})


def test_without_strata_chance_alone_decides() -> None:
    """A class of three rows is then missing in some split more often than not."""
    plain = {"shares": [0.7, 0.15, 0.15], "stratify": False}
    rows, missing = np.arange(ROWS), 0
    for seed in range(10):
        assert np.bincount(splits_of("random", seed)[:3]).tolist() == [1, 1, 1]
        found = splits_of(plain, seed)
        assert np.array_equal(found, by_chance(rows, rows * 0, (0.7, 0.15, 0.15), seed))
        missing += len({*found[:3].tolist()}) < 3
    assert missing > 5


@pytest.mark.parametrize(
    "given",
    [
        {"shares": [0.5, 0.3, 0.2], "stratify": False},
        {"column": "fold", "val": "v", "test": "t"},
        {"group": "group", "shares": [0.5, 0.3, 0.2]},
        {"time": "day", "format": "%d.%m.%Y", "shares": [0.5, 0.3, 0.2]},
    ],
)
def test_an_option_is_said_as_it_was_given(given: dict[str, Any]) -> None:
    rule = split_rule(given)
    assert rule.as_option() == given and split_rule(rule.as_option()) == rule
    assert rule.fixed is ("column" in given or "time" in given)
    assert split_rule("random") == SplitRule() == split_rule({})


def test_a_value_in_another_case_is_another_value() -> None:
    """But for true and false, which YAML writes as it likes."""
    rule = split_rule({"column": "fold", "val": "V", "test": "t"})
    with pytest.raises(TableError, match=r"no row has 'V', of val, in 'fold'; did you mean 'v'"):
        by_column(category("fold", ["a", "v", "t"]), rule)


def test_val_and_test_are_different_values() -> None:
    with pytest.raises(TableError, match="val and test are both '1' in 'fold'"):
        split_rule({"column": "fold", "val": 1, "test": "1"})
