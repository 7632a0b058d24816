"""Weights of a table's rows and classes: read, checked, fitted with, trained with and told."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.preprocessing import StandardScaler
from sklearn.utils.class_weight import compute_class_weight, compute_sample_weight
from torch import Tensor

from gatelab.sweeps.cluster.provenance import fingerprint
from gatelab.tasks import Table, tasks
from gatelab.tasks.check import run_checks
from gatelab.tasks.check.data import check_data
from gatelab.tasks.tables.contents import TableError
from gatelab.tracking.schema import Tags
from gatelab.training.weighting import loss_factors
from tests.in_process import gatelab
from tests.launched import read

CASES = Path(__file__).parent / "tables"
SPLITS = ("train", "val", "test")
TARGETS: dict[str, Any] = {
    "income": {"kind": "binary", "class_weight": "balanced"},
    "weeks": "regression",
    "region": {"kind": "multiclass", "class_weight": "balanced"},
}


def people(rows: int = 120) -> pd.DataFrame:
    """A made table whose weights have a 0 now and then, and go with income."""
    random = np.random.default_rng(0)
    age = random.integers(18, 80, rows).astype(float)
    income = np.where(age + random.normal(0, 5, rows) > 60, "yes", "no")
    weights = random.uniform(0.2, 4, rows).round(3) * (1 + (income == "yes"))
    weeks = 1000 + 3 * age + random.normal(0, 1, rows)
    return pd.DataFrame(
        {
            "age": np.where(random.random(rows) < 0.1, np.nan, age),
            "part": random.choice(["train", "train", "val", "test"], rows),
            "w": np.where(random.random(rows) < 0.1, 0, weights),
            "income": income,
            "weeks": np.where(random.random(rows) < 0.2, np.nan, weeks.round(2)),
            "region": random.choice(["north", "south", "east"], rows, p=[0.6, 0.3, 0.1]),
        }
    )


FRAME = people()
GIVEN: dict[str, Any] = {"split": {"column": "part", "val": "val", "test": "test"}}


@pytest.fixture(scope="module")
def task() -> Table:
    return Table(FRAME, targets=TARGETS, weights="w", **GIVEN)


def of_train(name: str) -> tuple[Any, Any]:
    """Return the known values of a column in train's rows of a weight, and the weights."""
    rows = FRAME[(FRAME["part"] == "train") & (FRAME["w"] > 0)].dropna(subset=[name])
    return rows[name], rows["w"]


def test_weights_are_no_feature_and_stand_in_every_split(task: Table) -> None:
    for name in SPLITS:
        split, rows = task.split(name), FRAME[FRAME["part"] == name]
        assert split.weights is not None and split.weights.dtype == torch.float32
        assert split.weights.tolist() == pytest.approx([*rows["w"]])
        assert split.inputs.shape == (len(rows), 2), "age and its flag"
        assert split.mask is not None and not split.mask[split.weights == 0].any()
        assert split.mask[:, 0].tolist() == [*(rows["w"] > 0)]
    check_data(task)


def test_targets_and_numbers_are_fitted_to_what_rows_weigh(task: Table) -> None:
    values, weights = of_train("weeks")
    fitted = StandardScaler().fit(values.to_numpy()[:, None], sample_weight=weights.to_numpy())
    weeks = task.targets[1]
    assert weeks.offset == pytest.approx(fitted.mean_[0]) == np.average(values, weights=weights)
    assert weeks.scale == pytest.approx(fitted.scale_[0])
    split = task.data("train")
    assert split.mask is not None and split.weights is not None
    known = split.mask[:, 1]
    found, here = split.targets[known, 1].double(), split.weights[known].double()
    assert float(found @ here) / float(here.sum()) == pytest.approx(0, abs=1e-6)
    age = task.fitted.numbers["age"]
    ages, weights = (FRAME[(FRAME["part"] == "train") & (FRAME["w"] > 0)][n] for n in ("age", "w"))
    assert age.fill == ages.median()
    assert age.scale.mean == pytest.approx(np.average(ages.fillna(age.fill), weights=weights))


def test_balanced_classes_are_scikit_learns(task: Table) -> None:
    for index, name in ((0, "income"), (2, "region")):
        values, weights = of_train(name)
        counts = [weights[values == label].sum() for label in sorted(set(values))]
        expected = [weights.sum() / (len(counts) * count) for count in counts]
        assert task.targets[index].class_weights == pytest.approx(expected)
        factors = loss_factors(task.targets, task.data("train"))
        assert factors is not None
        by_class = [
            factors[task.data("train").targets[:, index] == place, index].sum()
            for place in range(len(counts))
        ]
        if index:  # income's class 0 has the unknown rows too, which weigh nothing
            assert [float(it) for it in by_class] == pytest.approx([float(by_class[0])] * 3)
    unweighted = Table(FRAME.drop(columns="w"), targets=TARGETS, **GIVEN)
    for index, name in ((0, "income"), (2, "region")):
        values = FRAME[FRAME["part"] == "train"][name]
        expected = compute_class_weight("balanced", classes=np.unique(values), y=values)
        assert unweighted.targets[index].class_weights == pytest.approx(list(expected))
        factors = loss_factors(unweighted.targets, unweighted.data("train"))
        assert factors is not None
        rows = compute_sample_weight("balanced", values)
        assert factors[:, index].tolist() == pytest.approx(list(rows))
    assert unweighted.split("val").weights is None and unweighted.targets[1].class_weights is None


def test_what_is_said(task: Table) -> None:
    said = "\n".join(task.said)
    above, zeros = FRAME["w"][FRAME["w"] > 0], int((FRAME["w"] == 0).sum())
    assert f"rows are weighted by `w`: {above.min():g} to {above.max():g}; {zeros} of 120" in said
    assert "classes of `income` are weighted in its loss: 'no' " in said
    plain = Table(FRAME[FRAME["w"] > 0], targets={"income": "binary"}, weights="w", **GIVEN)
    assert plain.said[0].endswith(f"{above.min():g} to {above.max():g}")
    assert not any("weighted" in line for line in Table(FRAME, targets={"income": "binary"}).said)


def test_a_weighted_table_passes_the_suite_of_tasks(tmp_path: Path) -> None:
    FRAME.drop(columns="part").to_csv(tmp_path / "people.csv", index=False)
    options = {"path": str(tmp_path / "people.csv"), "targets": TARGETS, "weights": "w"}
    found = run_checks(tasks.get("table"), **options)
    assert {outcome.check: outcome.reason for outcome in found if not outcome.ok} == {}


def test_weights_are_part_of_what_the_task_is(task: Table) -> None:
    other = FRAME.assign(w=FRAME["w"] * np.linspace(1, 2, len(FRAME)))
    plain = {"targets": {"income": "binary"}, "drop": ["w"], **GIVEN}
    made = [Table(FRAME, **plain), Table(FRAME, **plain, weights="w")]
    made.append(Table(other, **plain, weights="w"))
    assert len({fingerprint(one) for one in made}) == 3
    assert [one.split("train").inputs.shape[1] for one in made] == [5, 5, 5]


CASE = CASES / "row_weights.csv"


def mended() -> pd.DataFrame:
    frame = pd.read_csv(CASE)
    return pd.concat([frame.assign(w=frame["w"].abs(), x=frame["x"] + 12 * n) for n in range(3)])


def test_the_case_of_row_weights() -> None:
    with pytest.raises(TableError, match=r"^`w` has -1 \(row 9\), but a weight is a finite number"):
        Table(path=str(CASE), targets={"y": "binary"}, weights="w")
    weighted = Table(mended(), targets={"y": "regression"}, weights="w")
    rows, y = mended(), torch.cat([weighted.data(name).targets[:, 0] for name in SPLITS])
    assert len(rows) == len(y) == 36
    changed = rows.assign(y=rows["y"].where(rows["w"] > 0, 1000), x=rows["x"])
    again = Table(changed, targets={"y": "regression"}, weights="w")
    assert again.targets[0].offset == weighted.targets[0].offset
    assert again.targets[0].scale == weighted.targets[0].scale


def test_a_split_of_weight_0_is_refused() -> None:
    frame = FRAME.assign(w=np.where(FRAME["part"] == "val", 0, FRAME["w"]))
    with pytest.raises(TableError) as error:
        Table(frame, targets={"income": "binary"}, weights="w", **GIVEN)
    said = "val knows no value of target 'income', in a row of a weight above 0, of "
    assert str(error.value).startswith(said)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (["1", "x", "2"], "`w` has `x` (row 3), but a weight is a finite number of 0 or more."),
        (["1", "NA", "2"], "`w` has `NA` (row 3), but a weight is a finite number of 0 or more."),
        (["1", "2", ""], "`w` has no value (row 4), but a weight is a finite number of 0 or more."),
        (["-0.5", "2", "1"], "`w` has -0.5 (row 2), but a weight is a finite number of 0 or more."),
        (["1", "inf", "1"], "`w` has inf (row 3), but a weight is a finite number of 0 or more."),
        (["1", "1e39", "1"], "`w` has 1e+39 (row 3), but a weight is a finite number"),
        (["0", "0.0", "0"], "`w` is 0 in every row, so that nothing has a weight."),
    ],
)
def test_weights_that_are_none(tmp_path: Path, values: list[str], said: str) -> None:
    frame = pd.DataFrame({"w": values * 10, "x": range(30), "y": [0, 1, 1] * 10})
    file = tmp_path / "table.csv"
    frame.to_csv(file, index=False)
    with pytest.raises(TableError) as error:
        Table(path=str(file), targets={"y": "binary"}, weights="w")
    assert str(error.value).startswith(said) and "\n" not in str(error.value)


def test_numbers_of_a_frame_are_counted_from_row_1() -> None:
    for value, told in ((np.nan, "no value"), (-2.0, "-2")):
        frame = FRAME.assign(w=np.where(np.arange(120) == 7, value, 1.0))
        with pytest.raises(TableError) as error:
            Table(frame, targets={"income": "binary"}, weights="w")
        assert str(error.value).startswith(f"`w` has {told} (row 8), but a weight")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"weights": "wt"}, "`weights`: no column `wt`; did you mean 'w'?"),
        ({"weights": 3}, "`weights` must name a column, but got 3."),
        ({"weights": "income"}, "but 'income' is a target."),
        ({"weights": "part", **GIVEN}, "but 'part' is the column of `split`."),
        (
            {"targets": {"income": {"kind": "binary", "class_weight": "balance"}}},
            "target 'income': `class_weight` must be balanced or null, but got 'balance'.",
        ),
        (
            {"targets": {"weeks": {"kind": "regression", "class_weight": "balanced"}}},
            "target 'weeks': only classes have a `class_weight`, but its kind is regression.",
        ),
        (
            {"targets": {"income": {"kind": "binary", "class_weights": "balanced"}}},
            "target 'income' has the unknown key 'class_weights'; did you mean 'class_weight' ",
        ),
    ],
)
def test_options_of_weights_that_cannot_work(options: dict[str, Any], said: str) -> None:
    with pytest.raises(TableError) as error:
        Table(FRAME, **{"targets": {"income": "binary"}, **options})
    assert said in str(error.value) and "\n" not in str(error.value)


def test_the_column_of_weights_is_no_feature_that_options_may_name(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    made = {"w": [1, 2, 3] * 10, "x": range(30), "y": [0, 1, 1] * 10}
    pd.DataFrame(made).to_csv(path, index=False)
    given: dict[str, Any] = {"path": str(path), "targets": {"y": "binary"}, "weights": "w"}
    assert Table(**given, only=["x"]).split("train").weights is not None
    told = "it is no feature, so that `drop` need not name it"
    assert told in "\n".join(Table(**given, drop=["w"]).said)
    assert told not in "\n".join(Table(**given).said)
    for option, value in (("only", ["w", "x"]), ("kinds", {"w": "category"})):
        with pytest.raises(TableError, match=f"`{option}` names 'w', the column of `weights`, wh"):
            Table(**given, **{option: value})


def test_a_weight_of_0_is_a_value_though_0_stands_for_none_elsewhere() -> None:
    frame = FRAME.assign(x=np.arange(120) % 3, w=np.arange(120) % 4)
    task = Table(frame, targets={"income": "binary"}, weights="w", missing=[0])
    weights = torch.cat([cast(Tensor, task.split(name).weights) for name in SPLITS])
    assert (weights == 0).sum() == 30 and "x" in task.fitted.flagged
    with pytest.raises(TableError, match=r"`w` has no value \(row 1\)"):
        Table(frame, targets={"income": "binary"}, weights="w", missing={"w": [0]})


SPEC = """
name: weighted
task:
  name: table
  path: people.csv
  weights: w
  targets:
    income: {kind: binary, class_weight: balanced}
    weeks: regression
gates: [top_k]
model: {num_experts: 2, expert_width: 4, tower_width: 4}
training: {max_epochs: 2, batch_size: 32}
search: {trials: 2}
evaluation: {seeds: 2, splits: 2}
"""


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType")  # MLflow's own
def test_a_sweep_says_what_is_weighted(place: Path) -> None:
    FRAME.drop(columns="part").to_csv(place / "people.csv", index=False)
    (place / "weighted.yaml").write_text(SPEC)
    said = gatelab(place, "launch", "weighted.yaml")
    assert "rows are weighted by `w`: " in said and "classes of `income` are weighted" in said
    assert "test unweighted_loss" in said and "which unweighted_loss counts alike" in said
    record = read(place, "weighted")
    (sweep,) = record.of("sweep")
    assert sweep.params["task.weights"] == "w"
    warned = sweep.tags[Tags.WARNINGS]
    assert "Rows are weighted in losses and metrics, by " in warned
    assert "Classes are weighted in the loss of `income`, of train, val and test" in warned
    assert "all rows counting alike" in record.meanings["unweighted_loss"]
    for run in [*record.of("search"), *record.of("evaluate")]:
        assert run.metrics["objective"] == run.metrics["val/loss"]
        assert run.metrics["val/loss"] != run.metrics["val/unweighted_loss"]
    for run in record.of("gate"):
        assert {"test/unweighted_loss", "test/weeks/unweighted_loss"} <= run.metrics.keys()
    page = (place / "gatelab_runs/sweeps/weighted/report/report.html").read_text()
    for words in ("Rows are weighted in losses and metrics", "weeks: unweighted_loss"):
        assert words in page
    assert "test/loss" in gatelab(place, "export", "weighted", "--gate", "top_k")
