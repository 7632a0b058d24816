"""The task of a table: whole files and frames, from their bytes to scores in the user's units."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner

from gatelab.sweeps.cli import main
from gatelab.tasks import Table, split_seeds, tasks
from gatelab.tasks.check import run_checks
from gatelab.tasks.check.data import check_data
from gatelab.tasks.check.scales import uneven_losses
from gatelab.tasks.check.subject import identical
from gatelab.tasks.tables.contents import TableError
from gatelab.training.configuration import Configuration
from gatelab.training.jobs import Job
from gatelab.training.member import Member, Recipe
from gatelab.training.work import Work

CASES = Path(__file__).parent / "tables"
SPLITS = ("train", "val", "test")
TARGETS = {"income": "binary", "weeks": "regression", "region": "multiclass"}


def people(rows: int = 120) -> pd.DataFrame:
    """A made table of all kinds, with gaps in features and targets."""
    random = np.random.default_rng(0)
    age = random.integers(18, 80, rows).astype(float)
    job = random.choice(["cook", "clerk", "nurse"], rows)
    weeks = 1000 + age + 5 * (job == "cook") + random.normal(0, 1, rows)
    made = pd.DataFrame(
        {
            "age": np.where(random.random(rows) < 0.1, np.nan, age),
            "job": job,
            "height": random.normal(170, 9, rows).round(1),
            "income": np.where(age + random.normal(0, 5, rows) > 45, "yes", "no"),
            "weeks": np.where(random.random(rows) < 0.2, np.nan, weeks.round(2)),
            "region": np.array([10, 2, 9])[(age // 21 - 0.5).astype(int) % 3],
        }
    )
    return made


@pytest.fixture
def people_file(tmp_path: Path) -> Path:
    file = tmp_path / "people.csv"
    people().to_csv(file, index=False)
    return file


def test_a_table_passes_the_suite_of_tasks(people_file: Path) -> None:
    found = run_checks(tasks.get("table"), path=str(people_file), targets=TARGETS)
    assert {outcome.check: outcome.reason for outcome in found if not outcome.ok} == {}


def test_a_table_that_time_divides_passes_too(people_file: Path) -> None:
    options = {"path": str(people_file), "targets": {"income": "binary"}, "split": {"time": "age"}}
    people().fillna({"age": 50}).to_csv(people_file, index=False)
    found = run_checks(tasks.get("table"), **options)
    assert {outcome.check: outcome.reason for outcome in found if not outcome.ok} == {}
    assert not split_seeds(Table(**options))
    with pytest.raises(TableError, match="by time divides the rows in one way alone"):
        Table(**options, split_seed=1)


def test_the_command_checks_a_table(people_file: Path) -> None:
    given = [f"--option=path={people_file}", "--option=targets={income: binary}"]
    done = CliRunner().invoke(main, ["check", "task", "table", *given])
    assert done.exit_code == 0, done.output
    assert "checks pass" in done.output and "FAIL" not in done.output


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([], "`path` must name the file of the table"),
        (["--option=pat=x"], "task 'table' has no option 'pat'; did you mean 'path'"),
        (["--option=path"], "`--option` must be NAME=VALUE, but got 'path'."),
    ],
)
def test_what_the_command_refuses(given: list[str], said: str) -> None:
    options = ["--option=targets={y: binary}", *given]
    done = CliRunner().invoke(main, ["check", "task", "table", *options])
    assert done.exit_code == 2 and said in done.output and done.output.count("\n") == 1


def test_a_file_and_a_frame_are_one_table(people_file: Path) -> None:
    one, other = Table(path=str(people_file), targets=TARGETS), Table(people(), targets=TARGETS)
    assert one.targets == other.targets
    for name in SPLITS:
        assert identical(one.split(name), other.split(name))


def test_targets_have_their_classes_and_their_unit(people_file: Path) -> None:
    task = Table(path=str(people_file), targets=TARGETS)
    income, weeks, region = task.targets
    assert (income.classes, region.classes, region.num_classes) == (
        *(("no", "yes"), ("2", "9", "10"), 3),
    )
    inputs, targets, mask, *_ = task.split("train")
    known = people()["weeks"].dropna()
    assert mask is not None and 0.7 < mask[:, 1].double().mean() < 0.9
    values = targets[mask[:, 1], 1].double()
    assert values.mean().item() == pytest.approx(0, abs=1e-5)
    assert values.square().mean().item() == pytest.approx(1, abs=1e-5)
    found = torch.cat([weeks.in_unit(s.targets[s.mask[:, 1], 1]) for s in map(task.split, SPLITS)])
    assert sorted(found.tolist()) == pytest.approx(sorted(known), abs=1e-4)
    assert inputs.shape[1] == 2 + 1 + 1, "age and height, the flag of age, and the id of job"
    assert uneven_losses(task) is None
    check_data(task)


def test_prices_are_scored_as_prices() -> None:
    """Prices in millions and shares in thousandths: rmse**2 = (1 - r2) * variance, in both."""
    random = np.random.default_rng(0)
    x = random.normal(size=200)
    frame = pd.DataFrame({"x": x, "price": 2e6 + 5e5 * x, "share": 0.004 + 0.001 * x})
    task = Table(frame, targets={"price": "regression", "share": "regression"})
    optimizer = {"name": "adam", "learning_rate": 0.01, "weight_decay": 0.0}
    member = Member(Configuration.of({}, {"num_experts": 2}, optimizer), 0)
    work = Work(task, [Job("evaluate", "one", "softmax", (member,))], Recipe(32, 20))
    while (step := work.step()[0]).endings is None:
        pass
    scores = step.endings[0].metrics
    for index, (name, variance) in enumerate({"price": 5e5**2, "share": 0.001**2}.items()):
        values = task.targets[index].in_unit(task.split("test").targets[:, index])
        tested = float(values.var(correction=0))
        assert tested == pytest.approx(variance, rel=0.7), "in the user's unit"
        wanted = math.sqrt((1 - scores[f"test/{name}/r2"]) * tested)
        assert scores[f"test/{name}/rmse"] == pytest.approx(wanted, rel=1e-6)
        assert scores[f"test/{name}/r2"] > 0.9


def test_a_relative_path_is_looked_for_below_the_data_folder_and_then_from_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, people_file: Path
) -> None:
    data, here = tmp_path / "data", tmp_path / "here"
    here.mkdir()
    (data / "sub").mkdir(parents=True)
    monkeypatch.chdir(here)
    monkeypatch.delenv("GATELAB_DATA", raising=False)
    with pytest.raises(TableError, match="there is no file .*; GATELAB_DATA.* is not set"):
        Table(path="sub/people.csv", targets=TARGETS)
    monkeypatch.setenv("GATELAB_DATA", str(data))
    with pytest.raises(TableError, match="there is no file .*data/sub.* or .*here/sub"):
        Table(path="sub/people.csv", targets=TARGETS)
    os.rename(people_file, data / "sub" / "people.csv")
    assert Table(path="sub/people.csv", targets=TARGETS).targets


def test_a_split_seed_moves_rows(people_file: Path) -> None:
    one, other = (Table(path=str(people_file), targets=TARGETS, split_seed=s) for s in (0, 1))
    assert [len(one.split(n).inputs) for n in SPLITS] == [
        len(other.split(n).inputs) for n in SPLITS
    ]
    assert not torch.equal(one.split("test").targets, other.split("test").targets)


def test_no_group_is_in_two_splits_and_its_column_is_no_feature() -> None:
    task = Table(
        path=str(CASES / "groups_of_rows.csv"),
        targets={"y": "binary"},
        split={"group": "patient"},
        only=["x"],
        rare="train",
    )
    rows = [len(task.split(name).inputs) for name in SPLITS]
    assert rows == [12, 6, 6] and task.split("train").inputs.shape[1] == 1


def test_shops_that_train_never_saw_have_the_unknown_id() -> None:
    task = Table(
        path=str(CASES / "unseen_category_by_time.csv"),
        targets={"y": "binary"},
        split={"time": "day"},
    )
    assert (task.split("train").inputs[:, -1] > 0).all()
    later = torch.cat([task.split(name).inputs[:, -1] for name in ("val", "test")])
    assert (later == 0).sum() == 6


def test_a_target_that_train_does_not_know() -> None:
    options: dict[str, Any] = {"targets": {"a": "regression", "b": "regression"}}
    path = str(CASES / "target_missing.csv")
    with pytest.raises(TableError, match="train knows no value of target 'a'"):
        Table(path=path, split={"time": "x"}, **options)
    assert Table(path=path, **options).split("train").mask is not None


def test_rare_classes_of_a_file() -> None:
    path, targets = str(CASES / "rare_class.csv"), {"region": "multiclass"}
    with pytest.raises(TableError, match="cannot be in three splits"):
        Table(path=path, targets=targets)
    assert Table(path=path, targets=targets, rare="drop").targets[0].num_classes == 2
    assert Table(path=path, targets=targets, rare="train").targets[0].num_classes == 4


def test_copies_of_rows_are_said_and_kept_together() -> None:
    frame = pd.concat([people(40)] * 3, ignore_index=True)
    kept, together = (
        Table(frame, targets={"income": "binary"}, duplicates=d) for d in ("keep", "together")
    )
    assert any("`duplicates: together`" in line for line in kept.warnings())
    assert not any("copies of rows of train" in line for line in together.warnings())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"duplicates": "drop"}, "`duplicates` must be keep or together, but got 'drop'"),
        ({"rare": "keep"}, "`rare` must be ask or drop or train, but got 'keep'"),
        ({"min_frequency": 0}, "`min_frequency >= 1` must hold"),
        ({"split_seed": -1}, "`split_seed >= 0` must hold"),
        (
            {"duplicates": "together", "split": {"group": "job"}},
            "`duplicates: together` needs a random split, but got one by group",
        ),
        ({"targets": {"incom": "binary"}}, "incom"),
        ({"path": "people.csv"}, "or a frame be given, one of both"),
        ({"only": []}, "no column is left as a feature"),
    ],
)
def test_options_that_cannot_work(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError) as error:
        Table(people(), **{"targets": TARGETS, **options})
    assert said in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["breast_cancer", "diabetes"])
def test_tables_of_scikit_learn(name: str, tmp_path: Path) -> None:
    from sklearn import datasets

    frame = getattr(datasets, f"load_{name}")(as_frame=True).frame
    file = tmp_path / "table.csv"
    frame.to_csv(file, index=False)
    kind = "binary" if name == "breast_cancer" else "regression"
    task = Table(path=str(file), targets={"target": kind})
    shapes = [tuple(task.split(n).inputs.shape) for n in SPLITS]
    rows, features = frame.shape
    assert sum(shape[0] for shape in shapes) == rows
    assert {shape[1] for shape in shapes} == {features - 1}
    inputs = task.split("train").inputs.double()
    assert (
        inputs.mean(0).abs().max() < 1e-5 and (inputs.var(0, correction=0) - 1).abs().max() < 1e-4
    )
    assert task.fitted.categories == {}
