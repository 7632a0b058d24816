"""Which value of a binary target is 1, and the order of classes, as the user says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from gatelab.tasks import Table
from gatelab.tasks.tables.contents import TableError
from tests.in_process import gatelab

STAGES = ["I", "II", "III", "IV"]


def people(rows: int = 90) -> pd.DataFrame:
    """A made table of targets in words, whose order by code point is not that of their meaning."""
    random = np.random.default_rng(3)
    return pd.DataFrame(
        {
            "age": random.integers(18, 80, rows),
            "income": random.choice(["high", "low"], rows),
            "sick": random.choice(["Yes", "no", "NO"], rows),
            "grade": random.choice([1.0, 2.0], rows),
            "stage": random.choice(STAGES, rows),
            "size": random.choice(["small", "medium", "large"], rows),
        }
    )


FRAME = people()


def made(name: str, asked: Any, frame: pd.DataFrame = FRAME) -> Table:
    return Table(frame, targets={name: asked}, only=["age"])


def learnt(task: Table) -> np.ndarray:
    """What the rows are trained by, in the table's order."""
    return task.target_columns[0].values


@pytest.mark.parametrize("said", [{"positive": "high"}, {"classes": ["low", "high"]}])
def test_the_positive_is_the_value_that_the_user_names(said: dict[str, Any]) -> None:
    task = made("income", {"kind": "binary", **said})
    assert task.targets[0].classes == ("low", "high")
    np.testing.assert_array_equal(learnt(task), FRAME.income == "high")
    ones = int(task.split("train").targets.sum())
    assert f"`income` is 'high' in {ones} of train, " in task.said[-1]


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"positive": "low"},
        {"positive": None},
        {"positive": "larger"},
        {"classes": "found"},
        {"classes": None},
        {"classes": ["high", "low"]},
        {"positive": "low", "classes": "found"},
    ],
)
def test_by_default_it_is_the_larger(said: dict[str, Any]) -> None:
    task = made("income", {"kind": "binary", **said})
    assert task.targets[0].classes == ("high", "low")
    np.testing.assert_array_equal(learnt(task), FRAME.income == "low")


def test_a_column_may_have_larger_as_a_value() -> None:
    frame = FRAME.assign(income=np.where(FRAME.income == "low", "smaller", "larger"))
    task = made("income", {"kind": "binary", "positive": "larger"}, frame)
    np.testing.assert_array_equal(learnt(task), frame.income == "larger")


@pytest.mark.parametrize("said", ["no", "NO", "No", False, np.False_])
def test_words_of_a_pair_are_known_in_any_case(said: object) -> None:
    frame = FRAME if isinstance(said, str) else FRAME.assign(sick=FRAME.sick == "Yes")
    task = made("sick", {"kind": "binary", "positive": said}, frame)
    expected = frame.sick.isin(["no", "NO"]) if isinstance(said, str) else ~frame.sick
    np.testing.assert_array_equal(learnt(task), expected)


def test_both_words_of_a_pair_may_be_named() -> None:
    frame = FRAME.assign(sick=FRAME.sick == "Yes")
    task = made("sick", {"kind": "binary", "classes": [True, False]}, frame)
    assert task.targets[0].classes == ("true", "false")
    task = made("sick", {"kind": "binary", "classes": ["YES", "No"]})
    np.testing.assert_array_equal(learnt(task), FRAME.sick != "Yes")


@pytest.mark.parametrize("said", [1, 1.0, "1", "1.0", np.int64(1)])
def test_numbers_are_known_however_they_are_written(said: object) -> None:
    task = made("grade", {"kind": "binary", "positive": said})
    assert task.targets[0].classes == ("2", "1")
    np.testing.assert_array_equal(learnt(task), FRAME.grade == 1)


def test_an_unknown_value_stays_unknown() -> None:
    frame = FRAME.assign(income=FRAME.income.where(FRAME.index % 4 > 0))
    task = made("income", {"kind": "binary", "positive": "high"}, frame)
    np.testing.assert_array_equal(np.isnan(learnt(task)), frame.income.isna())
    np.testing.assert_array_equal(learnt(task) == 1, frame.income == "high")


def test_classes_stand_in_the_order_that_the_user_gives() -> None:
    order = ["small", "medium", "large"]
    task = made("size", {"kind": "multiclass", "classes": order})
    assert task.targets[0].classes == (*order,)
    np.testing.assert_array_equal(learnt(task), FRAME["size"].map(order.index))
    np.testing.assert_array_equal(
        learnt(made("size", {"kind": "multiclass"})), FRAME["size"].map(sorted(order).index)
    )


def test_rare_classes_that_are_dropped_leave_the_order() -> None:
    frame = FRAME.assign(size=FRAME["size"].where(FRAME.index > 1, "huge"))
    order = ["small", "huge", "medium", "large"]
    asked = {"size": {"kind": "multiclass", "classes": order}}
    task = Table(frame, targets=asked, only=["age"], rare="drop")
    assert task.targets[0].classes == ("small", "medium", "large")
    assert np.isnan(learnt(task)[:2]).all()


def test_weights_of_classes_follow_the_order() -> None:
    asked = {"kind": "binary", "class_weight": "balanced"}
    plain, turned = made("income", asked), made("income", {**asked, "positive": "high"})
    assert plain.targets[0].class_weights is not None
    assert turned.targets[0].class_weights == plain.targets[0].class_weights[::-1]


LINES = [
    ("income", {"kind": "binary", "positive": "hihg"},
     "target `income`: `positive` names `hihg`, which no row has; did you mean 'high'"),
    ("size", {"kind": "multiclass", "classes": ["small", "medium", "larg", "large"]},
     "target `size`: `classes` names `larg`, which no row has; did you mean 'large'"),
    ("size", {"kind": "multiclass", "classes": ["small", "large"]},
     "is none of its `classes` (small, large): add it there, or `missing: {size: [medium]}`"),
    ("grade", {"kind": "regression", "positive": 1},
     "target 'grade': only classes have `positive`, but its kind is regression."),
    ("grade", {"kind": "regression", "classes": [1, 2]},
     "target 'grade': only classes have `classes`, but its kind is regression."),
    ("size", {"kind": "multiclass", "positive": "small"},
     "target 'size': only binary ones have a `positive`, but its kind is multiclass; `cl"),
    ("income", {"kind": "binary", "positive": ["low"]},
     "target 'income': `positive` must be a value of the column, but got ['low']."),
    ("income", {"kind": "binary", "positive": "low", "classes": ["high", "low"]},
     "target 'income': say `positive` or `classes`, whose last is the positive, not both."),
    ("income", {"kind": "binary", "classes": ["low"]},
     "target 'income': `classes` must be a list of both values of the column, each once, but "),
    ("grade", {"kind": "binary", "classes": [1, 1.0]}, "each once, but got [1, 1.0]."),
    ("income", {"kind": "binary", "classes": ["low", "high", "middle"]}, "a list of both values"),
    ("size", {"kind": "multiclass", "classes": "small"},
     "target 'size': `classes` must be a list of two values or more of the column, each once"),
    ("size", {"kind": "multiclass", "classes": []}, "a list of two values or more"),
    ("size", {"kind": "multiclass", "classes": ["small", "large", "medium", "small"]}, "each once"),
    ("size", {"kind": "multiclass", "classes": {"small": 0}}, "a list of two values or more"),
    ("income", {"kind": "binary", "positiv": "low"}, "unknown key 'positiv'; did you mean 'posi"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "asked", "line"), LINES)
def test_what_is_no_order_is_one_line(name: str, asked: Any, line: str) -> None:
    with pytest.raises(TableError) as caught:
        made(name, asked)
    assert line in str(caught.value) and "\n" not in str(caught.value)


def test_the_row_of_a_class_that_is_not_named_is_said(tmp_path: Path) -> None:
    file = tmp_path / "people.csv"
    FRAME.assign(size=["small"] * 30 + ["large"] * 30 + ["medium"] * 30).to_csv(file, index=False)
    asked = {"size": {"kind": "multiclass", "classes": ["small", "large"]}}
    with pytest.raises(TableError, match=r"has `medium` \(row 62\), which is none"):
        Table(path=str(file), targets=asked)


def test_a_new_sweep_writes_which_of_two_words_is_positive(
    tmp_path: Path,
) -> None:
    FRAME.to_csv(tmp_path / "people.csv", index=False)
    targets = ("income", "sick", "grade", "stage")
    asked = [it for name in targets for it in ("--target", name)]
    gatelab(tmp_path, "new", "sweep", "people.csv", *asked)
    written = yaml.safe_load((tmp_path / "people.yaml").read_text())["task"]["targets"]
    assert written["income"] == {"kind": "binary", "positive": "low"}
    assert written["sick"] == written["grade"] == "binary" and written["stage"] == "multiclass"
