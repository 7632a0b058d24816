"""A table that Python makes of a frame is the task of a sweep, as a file that workers read."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from gatelab.sweeps.spec.given import spec_of
from gatelab.sweeps.spec.given_tables import with_tables_kept
from gatelab.sweeps.spec.made_task import make_task
from gatelab.sweeps.spec.spec import SpecError
from gatelab.tasks import Table
from gatelab.tasks.sarcos import Sarcos
from gatelab.tasks.tables.contents import TableError
from gatelab.tasks.tables.sources import as_arrow
from gatelab.tracking.store_errors import StoreUnavailable

ROWS = 120


def frame() -> pd.DataFrame:
    random = np.random.default_rng(0)
    made = pd.DataFrame({"x": random.normal(size=ROWS), "zone": np.arange(ROWS) % 4})
    made["town"] = pd.Categorical(random.choice(["Oslo", "Bonn"], ROWS))
    made["seen"] = pd.date_range("2026-01-01", periods=ROWS, tz="Europe/Oslo")
    made["paid"] = pd.array([None if at % 7 == 0 else at % 2 == 0 for at in range(ROWS)], "boolean")
    made["tags"] = [[1, 2]] * ROWS
    made["px"], made["py"] = made["x"] * 3e6, random.normal(size=ROWS)
    return made


OPTIONS: dict[str, Any] = {
    "targets": {
        "place": {"columns": ["px", "py"], "kind": "regression", "weight": np.float64(0.5)},
        "paid": {"kind": "binary", "class_weight": "balanced"},
    },
    "kinds": {"zone": "category"},
    "drop": ("tags",),
    "missing": {"x": [np.int64(-999)], "tags": []},
    "split": {"time": "seen", "shares": (0.6, 0.2, 0.2)},
    "min_frequency": 2,
}


def given(task: object) -> dict[str, Any]:
    return {"name": "mine", "task": task, "gates": ["softmax"], "model": {"num_experts": 4}}


@pytest.mark.parametrize("make", [frame, lambda: as_arrow(frame())])
def test_a_frame_is_kept_as_the_same_table(make: Any, tmp_path: Path) -> None:
    task = Table(make(), **OPTIONS)
    with with_tables_kept(given(task), tmp_path / "runs") as named:
        made = make_task(spec_of(named))
    [file] = (tmp_path / "runs" / "tables").iterdir()
    assert file.name == f"{task.contents.digest[:12]}.parquet"
    assert isinstance(made, Table) and made.targets == task.targets
    for name in ("train", "val", "test"):
        one, other = task.split(name), made.split(name)
        for field in ("inputs", "targets", "mask"):
            assert getattr(one, field).equal(getattr(other, field)), (name, field)
    assert made.recipe() == task.recipe()


def test_what_was_found_in_a_frame_is_told_of_the_file_too(tmp_path: Path) -> None:
    """Columns that no file has were left out without a word."""
    told = frame().rename(columns={"x": "x,\nin metres"})
    told["tour"] = [pd.Timedelta(at, "min") for at in range(len(told))]
    task = Table(told, **OPTIONS | {"drop": (), "missing": (), "kinds": {"zone": "category"}})
    with with_tables_kept(given(task), tmp_path / "runs") as named:
        made = make_task(spec_of(named))
    assert made.said == task.said
    for line in ("`tags` is left out: list.", "`tour` is left out: duration[us].", "several lines"):
        assert any(line in said for said in made.said), line


def test_two_sweeps_share_a_frame_and_a_refusal_takes_its_own_away(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    task = Table(frame(), **OPTIONS)
    with pytest.raises(SpecError), with_tables_kept({**given(task), "gates": 3}, runs) as named:
        spec_of(named)
    assert not runs.exists()
    with with_tables_kept(given(task), runs) as named:
        [file] = (runs / "tables").iterdir()
        state = file.stat()
        with pytest.raises(SpecError), with_tables_kept({**given(task), "gates": 3}, runs) as named:
            spec_of(named)
    assert file.stat() == state


def test_a_table_of_a_file_is_named_by_its_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    frame()[["x", "town", "px"]].to_csv(path, index=False)
    task = Table(path=str(path), targets={"px": "regression"})
    with with_tables_kept(given(task), tmp_path / "runs") as named:
        assert named["task"]["path"] == str(path)  # type: ignore[index,call-overload]
        assert spec_of(named).task.name == "table"
    assert not (tmp_path / "runs").exists()


def test_what_is_no_table_is_as_it_was(tmp_path: Path) -> None:
    for spec in ("mine.yaml", given({"name": "table"}), given(Sarcos)):
        with with_tables_kept(spec, tmp_path / "runs") as named:
            assert named is spec
    assert not (tmp_path / "runs").exists()


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("mine")
    with pytest.raises(StoreUnavailable, match="is no folder"):
        with with_tables_kept(given(Table(frame(), **OPTIONS)), tmp_path / "runs"):
            raise AssertionError


SCRIPT = """
import os
import numpy, pandas
from gatelab import launch, predict, resume
from gatelab.tasks import Table

if __name__ == "__main__":
    random = numpy.random.default_rng(0)
    frame = pandas.DataFrame(random.normal(size=(200, 3)), columns=["a", "b", "c"])
    frame["price"] = 1e6 + 1e5 * frame["a"]
    done = launch({
        "name": "mine", "task": Table(frame, targets={"price": "regression"}), "baselines": False,
        "gates": ["softmax"], "model": {"num_experts": 2}, "evaluation": {"seeds": 2},
        "training": {"max_epochs": 30, "batch_size": 32}, "search": {"trials": 1},
    }, progress=False)
    frame[["a", "b", "c"]].to_csv("new.csv", index=False)
    predict("mine", "new.csv")
    made = pandas.read_csv("predictions.csv")["price"]
    assert numpy.corrcoef(made, frame["price"])[0, 1] > 0.9 and 9e5 < made.mean() < 1.1e6
    os.rename("gatelab_runs", "moved")
    predict("mine", "new.csv", output="again.csv", folder="moved")
    assert made.equals(pandas.read_csv("again.csv")["price"])
    more = resume("mine", folder="moved", overrides=["evaluation.seeds=3"], progress=False)
    print("predicted", len(made), "with", more.sweep)
"""


@pytest.mark.slow
def test_a_script_launches_a_frame_and_predicts_and_goes_on_where_it_was_moved(
    tmp_path: Path,
) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].startswith("predicted 200 with ")
    assert "refused" not in done.stdout + done.stderr


@pytest.mark.parametrize("column", [pd.Series([1.0, 2.0]), pa.chunked_array([[1.0, 2.0]])])
def test_a_column_alone_is_no_table(column: object) -> None:
    """It was said to have a column that Arrow cannot hold, of polars' series too."""
    with pytest.raises(TableError, match=rf"^a table is .* but got a {type(column).__name__}\.$"):
        as_arrow(column)
