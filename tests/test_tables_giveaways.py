"""Columns that give a target away are told, those that do not are not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.metrics import roc_auc_score

from gatelab.tasks.tables.giveaways import auc, giveaways, line_score
from gatelab.tasks.tables.redundancy import redundancy
from gatelab.tasks.tables.rounding import rounded
from gatelab.tasks.tables.table import Table
from tests.written_tables import TABLES, contents_of


def told(source: object, targets: Sequence[str], **keys: Any) -> list[str]:
    return [*giveaways(contents_of(source, **keys), targets)]


def mixed(rows: int = 40) -> dict[str, np.ndarray]:
    """Return columns of noise: a measure, an answer, a category of three, another measure."""
    draws = np.random.default_rng(0)
    return {
        "price": draws.normal(size=rows),
        "won": draws.integers(0, 2, rows),
        "place": np.array(["hill", "lake", "town"])[draws.integers(0, 3, rows)],
        "age": draws.normal(40, 9, rows),
    }


def test_a_copy_in_words_is_told() -> None:
    (line,) = told(TABLES / "leak_copy.csv", ["y"])
    assert "`won_text` gives `y` away" in line and "16 rows" in line and "drop: [won_text]" in line


def test_a_ranking_is_told_and_what_is_of_another_target() -> None:
    path = TABLES / "leak_other_target.csv"
    (line,) = told(path, ["over50"])
    assert "`income` alone ranks `over50` (AUC 1.0)" in line and "drop" in line
    (note,) = told(path, ["income", "over50"])
    assert note.startswith("target `income`") and "drop" not in note


def test_a_sum_is_told_with_its_parts() -> None:
    (line,) = told(TABLES / "leak_sum.csv", ["count"])
    assert "`count` is a sum of `casual` and `registered`" in line and "temp" not in line


def test_lines_through_one_and_several_columns() -> None:
    columns = mixed()
    columns["euro"] = columns["price"] * 0.9 + 3
    (line,) = told(pd.DataFrame(columns), ["price"])
    assert "`euro` gives `price` away: a line through it" in line
    columns["euro"] = columns["price"] * 0.9 + columns["age"]
    (line,) = told(pd.DataFrame(columns), ["price"])
    assert "`price` is on a line through `age` and `euro`" in line
    columns["euro"] += np.random.default_rng(1).normal(size=40) * 0.05
    assert told(pd.DataFrame(columns), ["price"]) == []


def test_gaps_and_falling_numbers_hide_nothing() -> None:
    columns = mixed()
    columns["score"] = np.where(columns["won"] == 1, -columns["age"], columns["age"])
    columns["score"][::7] = np.nan
    (line,) = told(pd.DataFrame(columns), ["won"])
    assert "`score` alone ranks `won` (AUC 1.0)" in line and "34 rows" in line


def test_below_ten_rows_nothing_is_told() -> None:
    frame = pd.read_csv(TABLES / "leak_copy.csv")
    assert told(frame.head(9), ["y"]) == []
    assert len(told(frame.head(10), ["y"])) == 1


def test_groups_are_told_by_what_they_fix_or_by_name() -> None:
    (line,) = told(TABLES / "groups_of_rows.csv", ["y"])
    assert "`patient` repeats (4 values in 24 rows), each with one `y`" in line
    assert "`split: {group: patient}`" in line
    columns = mixed()
    columns["customer_id"] = np.arange(40) // 4
    (line,) = told(pd.DataFrame(columns), ["won"])
    assert "`customer_id` repeats (10 values in 40 rows): `split: {group: customer_id}`" in line
    columns["customer_id"] = np.arange(40)
    assert told(pd.DataFrame(columns), ["won", "place", "price"]) == []


def test_real_tables_have_no_false_ones() -> None:
    cancer = load_breast_cancer(as_frame=True).frame
    cancer = cancer.drop(columns=[name for name in cancer if "error" in name])
    worst = [name for name in cancer if name.startswith("worst")]
    assert told(cancer, ["target", *worst]) == []
    assert told(load_diabetes(as_frame=True).frame, ["target"]) == []


def test_many_rows_are_sampled_over_the_whole_table() -> None:
    columns = mixed(50_000)
    columns["score"] = columns["won"] + columns["age"] * 1e-6
    (line,) = told(pd.DataFrame(columns), ["won"])
    assert "`score`" in line and "10000 rows" in line


def test_arithmetic() -> None:
    truth, numbers = np.array([0.0, 0, 1, 1]), np.array([1.0, 2, 2, 3])
    assert auc(truth, numbers) == 0.875  # three pairs right and one a tie, of four
    assert auc(truth, -numbers) == pytest.approx(roc_auc_score(truth, numbers))
    assert auc(np.ones(4), numbers) == 0.5
    inputs = np.arange(10.0)[:, None]
    assert line_score(inputs, 3 * inputs[:, 0] + 1) == pytest.approx(1)
    alone = np.zeros((10, 1))  # each fold's mean of 5 and 0..4 more
    assert line_score(alone, np.arange(10.0) % 5) == pytest.approx(1 - 1.25**2)


def test_columns_that_vary_by_rounding_alone_are_told() -> None:
    """With digits that tell them apart; what float64 holds beside a large mean is learnt."""
    columns = mixed(200)
    columns["five"] = 5 + np.arange(200) % 7 * 1e-14
    columns["year"] = 2000 + np.arange(200) * 1e-8
    made = contents_of(pd.DataFrame(columns))
    what = "`five` varies from 5 to 5.00000000000006 only, as a constant does by rounding"
    assert [*rounded(made, ["won"])] == [f"{what}, and is read as one; `drop: [five]`?"]
    assert [*rounded(made, ["five"])] == [f"{what}: is there anything to learn?"]
    numbers = pd.DataFrame(columns)[["five", "year", "won"]]
    task = Table(numbers, targets={"won": "binary"})
    assert any("`five` varies" in line for line in task.warnings())
    five, year = task.data("train").inputs.abs().amax(0)
    assert five < 1e-12 and year > 1, "what is said is so"


def test_copies_and_columns_of_one_value_are_told() -> None:
    (line,) = redundancy(contents_of(TABLES / "bool_words.csv"), ["y"])
    assert "`yn`, `onoff` and `y10` are copies of each other" in line
    columns = mixed(200)
    columns["years"] = columns["age"] / 12
    columns["flag"] = np.arange(200) == 7
    copies, constant = redundancy(contents_of(pd.DataFrame(columns)), ["won"])
    assert "`age` and `years` are copies of each other; `drop: [years]`" in copies
    assert "`flag` is nearly constant: one value in 99.5%" in constant
    assert redundancy(contents_of(pd.DataFrame(mixed(200))), ["won"]) == ()
