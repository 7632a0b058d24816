"""The division of a table's rows: by hand, and what it keeps to with many tables."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from gatelab.tasks.tables.contents import Contents, TableError
from gatelab.tasks.tables.copies import copies
from gatelab.tasks.tables.division import divide, told_copies
from gatelab.tasks.tables.split_rule import split_rule
from gatelab.tasks.tables.splitting import (
    by_chance,
    by_column,
    by_group,
    by_time,
    rarest_classes,
)
from gatelab.tasks.tables.target_columns import TargetColumn
from tests.made_tables import category, number, table, target

GAP = math.nan
SHARES = (0.7, 0.15, 0.15)


def split_by(contents: Contents, found: tuple[TargetColumn, ...], **options: Any) -> np.ndarray:
    rule = split_rule(options.pop("split", "random"))
    return divide(contents, found, rule, **{"together": False, "split_seed": 0, **options})


def test_each_row_belongs_to_its_rarest_class_by_hand() -> None:
    """a: n 4 rows, y 2; b: p 1, q 3, unknown 2; c is known in 3 rows."""
    a = target("a", "binary", [0, 0, 0, 0, 1, 1], "ny")
    b = target("b", "multiclass", [0, 1, GAP, 1, 1, GAP], "pq")
    c = target("c", "regression", [GAP, GAP, 2.5, 1, GAP, 3])
    found = rarest_classes([a, b, c])
    kinds = ["p", "q", "c", "q", "y", "y"]
    assert [kinds.index(kinds[row]) for row in range(6)] == [
        found.tolist().index(stratum) for stratum in found
    ]


def test_rows_that_know_nothing_are_a_stratum() -> None:
    assert rarest_classes([target("a", "regression", [1, GAP, 2, GAP])]).tolist() == [0, -1, 0, -1]
    classes = target("a", "binary", [0, 0, 1, 1, GAP, GAP], "ny")
    assert rarest_classes([classes]).tolist() == [0, 0, 1, 1, -1, -1]
    others = target("b", "multiclass", [0, 0, 1, 2, GAP, GAP], "pqr")
    found = rarest_classes([classes, others]).tolist()
    assert len({*found[2:5]}) == 3 and found[4] == found[5] == -1, "q and r are one row each"


@pytest.mark.parametrize(
    ("strata", "wanted"),
    [
        ([20], [[14, 3, 3]]),
        ([3], [[1, 1, 1]]),
        ([2], [[2, 0, 0]]),
        ([1, 3, 4, 32], [[1, 0, 0], [1, 1, 1], [2, 1, 1], [24, 4, 4]]),
        ([2, 2, 2, 2, 2, 30], [*[[2, 0, 0]] * 5, [18, 6, 6]]),
    ],
)
def test_strata_are_divided_by_hand(strata: list[int], wanted: list[list[int]]) -> None:
    """Of 40 rows val has 6: what rare classes take for one row in each split, the last makes good.

    Of a class with fewer rows than splits all are in train.
    """
    of_row = np.repeat(np.arange(len(strata)), strata)
    splits = by_chance(np.arange(len(of_row)), of_row, SHARES, 0)
    found = [np.bincount(splits[of_row == s], minlength=3).tolist() for s in range(len(strata))]
    assert found == wanted


@pytest.mark.parametrize(
    ("shares", "wanted"),
    [((0.1, 0.8, 0.1), ([1, 1, 1], [1, 2, 1])), ((0.1, 0.1, 0.8), ([1, 1, 1], [1, 1, 2]))],
)
def test_a_small_stratum_leaves_a_row_for_each_however_large_a_share_is(
    shares: tuple[float, float, float], wanted: tuple[list[int], list[int]]
) -> None:
    """Of 3 rows the large share would be 2, and of 4 rows 3."""
    for rows, counts in zip((3, 4), wanted, strict=True):
        splits = by_chance(np.arange(rows), np.zeros(rows, np.int64), shares, 0)
        assert np.bincount(splits).tolist() == counts


def test_every_class_of_many_rare_targets_is_in_every_split() -> None:
    """Ten targets at 2%, 600 rows: a class of fewer than three rows apart, none is missing."""
    random = np.random.default_rng(0)
    missing = 0
    for seed in range(20):
        values = (random.random((10, 600)) < 0.02).astype(float)
        found = [target(f"t{i}", "binary", v.tolist(), "ny") for i, v in enumerate(values)]
        splits = by_chance(np.arange(600), rarest_classes(found), SHARES, seed)
        assert np.bincount(splits).tolist() == pytest.approx([420, 90, 90], abs=5)
        missing += sum(not values[i, splits == s].any() for i in range(10) for s in range(3))
    assert missing <= 1, "of 600; at random it is 85"


def test_a_split_seed_moves_rows_and_keeps_their_number() -> None:
    rows = np.arange(200)
    first, again, second = (by_chance(rows, rows * 0, SHARES, seed) for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert np.bincount(first).tolist() == np.bincount(second).tolist() == [140, 30, 30]
    assert 0.2 < (first != second).mean() < 0.7


def test_copies_stay_together() -> None:
    contents = table(
        number("x", [0.0, -0.0, 1, GAP, GAP, 1] * 10),
        category("z", ["a", "a", "b", None, None, "c"] * 10),
    )
    numbers = copies(contents.columns.values(), 60)
    assert len(set(numbers)) == 4
    assert [numbers[0] == numbers[1], numbers[3] == numbers[4], numbers[2] == numbers[5]] == [
        *(True, True, False)
    ]
    found = (target("x", "regression", [1.0] * 60),)
    splits = split_by(contents, found, together=True)
    for number_ in set(numbers):
        assert len(set(splits[numbers == number_])) == 1
    assert set(splits) == {0, 1, 2}
    assert told_copies(contents.columns.values(), splits) == ()


def test_copies_in_two_splits_are_said() -> None:
    """Rows 0, 1 and 3 are alike: one is in train, one in val, one in test."""
    column = number("x", [5, 5, 6, 5, 7])
    [line] = told_copies([column], np.array([0, 1, 1, 2, 2], np.uint8))
    assert line.startswith("1 of 2 rows of val and 1 of 2 of test are copies of rows of train")
    assert "`duplicates: together`" in line
    [line] = told_copies([column], np.array([0, 2, 1, 1, 1], np.uint8), random=False)
    assert line.startswith("1 of 3 rows of val and 1 of 1 of test are copies of rows of train")
    assert "`duplicates" not in line
    for other, counts in ((1, "1 of 4 rows of val and 0 of 0"), (2, "0 of 0 rows of val and 1 of")):
        [line] = told_copies([number("x", [5, 5, 6, 7, 8])], np.array([0, *[other] * 4], np.uint8))
        assert line.startswith(counts)


def test_a_column_says_where_rows_belong() -> None:
    fold = category("fold", ["a", "v", "t", "b", "t"])
    rule = split_rule({"column": "fold", "val": "v", "test": "t"})
    assert by_column(fold, rule).tolist() == [0, 1, 2, 0, 2]
    numbered = category("fold", ["1", "2", "3"])
    assert by_column(numbered, split_rule({"column": "fold", "val": 2, "test": 3})).tolist() == [
        *(0, 1, 2)
    ]


def test_words_for_true_and_false_are_those_of_the_column() -> None:
    """YAML's are Python's, however the file writes them."""
    rule = split_rule({"column": "fold", "val": True, "test": False})
    for words in (["x", "true", "false"], ["x", "True", "False"], ["x", "TRUE", "FALSE"]):
        assert by_column(category("fold", words), rule).tolist() == [0, 1, 2]
    own = split_rule({"column": "fold", "val": "true", "test": "false"})
    both = category("fold", ["TRUE", "true", "FALSE", "false"])
    assert by_column(both, own).tolist() == [0, 1, 0, 2], "of two that stand there it is itself"


def test_a_number_of_a_spec_is_the_columns_however_it_is_written() -> None:
    rule = split_rule({"column": "fold", "val": 2.0, "test": "3.0"})
    assert by_column(category("fold", ["1", "2", "3"]), rule).tolist() == [0, 1, 2]
    assert by_column(category("fold", ["a", "2.0", "3.0"]), rule).tolist() == [0, 1, 2]


def test_a_column_leaves_rows_for_train() -> None:
    rule = split_rule({"column": "fold", "val": "v", "test": "t"})
    with pytest.raises(TableError, match="every row is of val or test by 'fold'"):
        by_column(category("fold", ["v", "t", "t"]), rule)
    with pytest.raises(TableError, match="val and test are both 'v' in 'fold'"):
        split_rule({"column": "fold", "val": "v", "test": "v"})


def test_no_group_is_in_two_splits() -> None:
    groups = category("who", [f"p{i % 40}" for i in range(400)])
    found = [by_group(groups, SHARES, seed) for seed in (0, 0, 1)]
    for splits in found:
        assert np.bincount(splits).tolist() == [280, 60, 60]
        assert all(len(set(splits[who::40])) == 1 for who in range(40))
    assert np.array_equal(found[0], found[1]) and not np.array_equal(found[0], found[2])


def test_four_groups_leave_one_for_val_and_one_for_test() -> None:
    splits = by_group(category("who", list("aaaaaabbbbbbccccccdddddd")), SHARES, 0)
    assert np.bincount(splits).tolist() == [12, 6, 6]


def test_time_is_cut_where_the_shares_are_met_best_by_hand() -> None:
    """Ten rows, cuts due before 7 and 8.5: times 3 end at 6, times 4 at 8, 5 at 9."""
    times = [1, 2, 3, 3, 3, 3, 4, 4, 5, 6]
    assert by_time(number("day", times), SHARES).tolist() == [0] * 6 + [1, 1, 2, 2]
    assert by_time(number("day", times[::-1]), SHARES).tolist() == [2, 2, 1, 1] + [0] * 6
    assert by_time(number("day", [1, 1, 1, 1, 2, 3]), SHARES).tolist() == [0] * 4 + [1, 2]
    assert by_time(number("day", [1, 2, 3, 3, 3, 3]), SHARES).tolist() == [0, 1, 2, 2, 2, 2]


TWELVE = table(
    number("x", list(range(12))),
    category("who", ["a"] * 11 + [None]),
    category("fold", ["a"] * 11 + ["t"]),
    number("day", [1] * 11 + [GAP]),
    number("pair", [1] * 11 + [2]),
    category("two", ["a"] * 11 + ["b"]),
)
X = (target("x", "regression", list(range(12))),)


@pytest.mark.parametrize(
    ("split", "said"),
    [
        ({"group": "who"}, "`split`: 'who' has no value in 1 of 12 rows (first: row 12)"),
        ({"time": "day"}, "`split`: 'day' has no value in 1 of 12 rows (first: row 12)"),
        ({"time": "pair"}, "'pair' has 2 times, but three are the least"),
        ({"group": "two"}, "'two' has 2 groups, but three are the least"),
        ({"column": "fold", "val": "v", "test": "t"}, "no row has 'v', of val, in 'fold'"),
        ({"group": "whom"}, "the column of `split` 'whom' is no column of the table; did you mean"),
    ],
)
def test_a_column_that_cannot_divide(split: Any, said: str) -> None:
    with pytest.raises(TableError) as error:
        split_by(TWELVE, X, split=split)
    assert said in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (None, "`split` must be random, or a mapping"),
        ("group", "`split` must be random, or a mapping"),
        ({"grup": "a"}, "`split` by random has the unknown key 'grup'"),
        ({"group": "a", "time": "b"}, "`split` by group has the unknown key 'time'"),
        ({"group": 3}, "`split: group` must name a column, but got 3"),
        ({"column": "a", "val": 1}, "`split` by column must say which of its values is test"),
        ({"shares": [0.5, 0.5]}, "`shares` must be three numbers above 0 that add up to 1"),
        ({"shares": [0.7, 0.2, 0.2]}, "`shares` must be three numbers above 0 that add up to 1"),
        ({"shares": [1, 0.5, -0.5]}, "`shares` must be three numbers above 0 that add up to 1"),
        ({"stratify": "no"}, "`stratify` must be true or false"),
    ],
)
def test_a_rule_that_is_none(given: Any, said: str) -> None:
    with pytest.raises(TableError) as error:
        split_rule(given)
    assert said in str(error.value)


def test_too_few_rows() -> None:
    with pytest.raises(TableError, match="9 rows are too few for three splits: at least 10"):
        split_by(table(number("x", list(range(9)))), X)
