"""A target of several columns of a table: read, divided, scored, exported and predicted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
import torch

from gatelab.sweeps.export.export import export
from gatelab.sweeps.export.predict import predict
from gatelab.tasks import Table, Target
from gatelab.tasks.check import run_checks
from gatelab.tasks.tables.contents import TableError
from gatelab.tracking.schema import FOLDER
from gatelab.tracking.sqlite import default_uri
from tests.in_process import gatelab
from tests.launched import read

TARGETS = {"on": "binary", "place": {"columns": ["x", "y"], "kind": "regression", "weight": 2}}


def frame(rows: int = 120) -> pd.DataFrame:
    """Return rows whose places follow from two features, with a gap in each of two columns."""
    draw = np.random.default_rng(0)
    a, b = draw.normal(size=(2, rows))
    made = pd.DataFrame({"a": a, "b": b, "on": np.where(a > 0, "yes", "no")})
    made["x"], made["y"] = 100 + 10 * a, 0.1 * b - a
    made.loc[3, "x"] = made.loc[5, "y"] = np.nan
    return made


def test_a_tables_columns_are_one_target() -> None:
    """Standardised by column over the rows where both are known, and masked by row."""
    made = frame()
    split = np.array(["train"] * 60 + ["val"] * 30 + ["test"] * 30)
    by_part = {"column": "part", "val": "val", "test": "test"}
    task = Table(made.assign(part=split), targets=TARGETS, split=by_part)
    on, place = task.targets
    both = made[:60].dropna()
    assert len(both) == 58
    assert place == Target("place", "regression", weight=2, width=2, columns=("x", "y"))
    assert place.offset == pytest.approx((both.x.mean(), both.y.mean()))
    assert place.scale == pytest.approx((both.x.std(ddof=0), both.y.std(ddof=0)))
    found = task.data("train")
    assert found.targets.shape == (60, 3) and found.mask is not None
    assert (~found.mask).nonzero().tolist() == [[3, 1], [5, 1]]
    known = found.mask[:, 1]
    values = place.in_unit(found.targets[:, 1:])[known].numpy()
    np.testing.assert_allclose(values, both[["x", "y"]], rtol=1e-5, atol=1e-5)
    yes = (made["on"][:60] == "yes").sum()
    assert "`place` is known in 58 of train, 30 of val, 30 of test." in task.said
    assert any(line.startswith(f"`on` is 'yes' in {yes} of train, ") for line in task.said)
    assert "place: in 2 rows some of its columns have no value: it is unknown there" in task.said
    turned = dict([*TARGETS.items()][::-1])
    mask = Table(made.assign(part=split), targets=turned, split=by_part).data("train").mask
    assert mask is not None and (~mask).nonzero().tolist() == [[3, 0], [5, 0]]
    assert on == Target("on", "binary", classes=("no", "yes"))
    assert [*task.features] == ["a", "b"]


@pytest.mark.parametrize(
    ("targets", "said"),
    [
        ({"p": {"columns": "xy", "kind": "regression"}}, "'p': `columns` must be a list of two"),
        (
            {"p": {"columns": ["x"], "kind": "regression"}},
            "`columns` must be a list of two columns",
        ),
        ({"p": {"columns": ["x", 1], "kind": "regression"}}, "a number in quotes, but got"),
        ({"p": {"columns": ["x", "y", "x"], "kind": "regression"}}, "names a column twice"),
        (
            {"p": {"columns": ["x", "y"], "kind": "binary"}},
            "kind must be regression, but is 'binary'",
        ),
        ({"p": {"columns": ["x", "y"]}}, "kind must be regression, but is None"),
        ({"p": {"columns": ["x", "y"], "kind": "regression", "name": "q"}}, "unknown key 'name'"),
        (
            {"p": {"columns": ["x", "z"], "kind": "regression"}},
            "no column `z`; valid: a, b",
        ),
        ({"a b": {"columns": ["x", "y"], "kind": "regression"}}, "metrics need a name of 1 to 100"),
        (
            {"x": "regression", "p": {"columns": ["x", "y"], "kind": "regression"}},
            "column 'x' is of two targets",
        ),
        ({"p": {"columns": ["x", "on"], "kind": "regression"}}, "`on` is to be a number"),
        ({"p": {"columns": ["x", "y"], "kind": "regression", "weight": 0}}, "`0 < weight < inf`"),
    ],
)
def test_targets_that_cannot_be(targets: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError) as error:
        Table(frame(), targets=targets)
    assert said in str(error.value) and "\n" not in str(error.value)
    assert isinstance(error.value, TableError) or "weight" in said


SPEC = """
name: places
task:
  name: table
  path: places.csv
  targets: {on: binary, place: {columns: [x, y], kind: regression, weight: 2}}
metrics: [r2, mae, accuracy]
model: {num_experts: 3, expert_width: 16}
gates: [top_k, constant]
baselines: false
optimizer: {learning_rate: 0.01}
training: {max_epochs: 25, batch_size: 16}
search: {trials: 1, early_stopping: false}
evaluation: {seeds: 1}
"""
NEW = "b,a\n0.5,1\n-1,0\n,2\n"


@pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType")
@pytest.mark.slow
def test_from_a_file_to_predictions(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is scored is in the user's units, and what predicts has a column for each."""
    frame(300).to_csv(place / "places.csv", index=False)
    (place / "places.yaml").write_text(SPEC)
    monkeypatch.chdir(place)
    gatelab(place, "launch", "places.yaml")
    scores = {run.tags["gate"]: run.metrics for run in read(place, "places").of("evaluate")}
    assert scores["top_k"]["test/place/r2"] > 0.6 > scores["constant"]["test/place/r2"]
    deviations = frame(300)[["x", "y"]].std()
    mae = scores["constant"]["test/place/mae"]
    assert 0.5 * deviations.mean() < mae < deviations.mean()
    (place / "new.csv").write_text(NEW)
    found = predict("places", "new.csv", gate="top_k", folder=FOLDER)
    predicted = pd.read_csv(found.path)
    assert [*predicted.columns] == ["on=no", "on=yes", "place[x]", "place[y]"]
    assert predicted["place[x]"][:2].tolist() == pytest.approx([110, 100], abs=6)
    made = export("places", gate="top_k", folder=FOLDER)
    mlflow.set_tracking_uri(default_uri(Path(FOLDER)))
    try:
        served: Any = mlflow.pyfunc.load_model(made.uri).predict(pd.read_csv("new.csv"))
    finally:
        mlflow.set_tracking_uri(None)  # type: ignore[arg-type]  # as it was
    np.testing.assert_allclose(served.to_numpy(), predicted.to_numpy(), rtol=1e-5, atol=1e-5)
    assert [*served.columns] == [*predicted.columns]


def test_every_check_passes(tmp_path: Path) -> None:
    frame(200).to_csv(tmp_path / "places.csv", index=False)
    found = run_checks(Table, path=str(tmp_path / "places.csv"), targets=TARGETS)
    assert [it for it in found if not it.ok] == []
    task = Table(frame(200), targets=TARGETS)
    assert task.network().tower(task.targets[1])(torch.zeros(1, 64)).shape == (1, 2)
