"""The learner `em` beside gradients: one line for each bad spec, and one table for both."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from optuna.distributions import FloatDistribution

from gatelab.results.comparison import compare_runs
from gatelab.results.comparison.given import given_otherwise
from gatelab.sweeps.spec.reading import parse_spec
from gatelab.sweeps.spec.space import space
from gatelab.tasks import BrainEncoding
from gatelab.tracking.mlflow_model import load_model
from gatelab.training.learners.em import Em
from tests.bad_specs import run, spec
from tests.commands import ROOT
from tests.in_process import gatelab
from tests.launched import mlflow_at, read
from tests.test_in_process import scores

OPTIONS = {"words": 60, "voxels": 12, "regions": 2}
TASK = BrainEncoding(**OPTIONS)
SMALL = f"{{name: brain_encoding, {', '.join(f'{k}: {v}' for k, v in OPTIONS.items())}}}"


def one(said: str, task: str = SMALL) -> str:
    return spec(task=task, gates=f"{{one: {said}}}", model="{num_experts: 2}")


def em(options: str) -> str:
    return f"{{gate: softmax, learner: {{name: em, {options}}}}}"


CASES: list[tuple[str, tuple[str, ...]]] = [
    (em("ridge: 0"), ("gates.one.learner.ridge", "0 < ridge < inf", "ridge=0.0")),
    (em("ridge: .inf"), ("gates.one.learner.ridge", "finite")),
    (em("ridge: {low: -1, high: 1}"), ("gates.one.learner.ridge", "ridge=-1.0")),
    (em("gate_ridge: [0.1, -1]"), ("gates.one.learner.gate_ridge", "gate_ridge=-1.0")),
    (em("restarts: 0"), ("gates.one.learner.restarts", "restarts >= 1", "restarts=0")),
    (em("restarts: 1.5"), ("gates.one.learner.restarts", "1.5")),
    (em("start: kmean"), ("gates.one.learner.start", "'kmean'", "'kmeans'")),
    (em("temperature: 0.5"), ("gates.one.learner.temperature", "1 <= temperature", "=0.5")),
    (em("temperature: hot"), ("gates.one.learner.temperature", "1 <= temperature", "'hot'")),
    (em("temperature: true"), ("gates.one.learner.temperature", "1 <= temperature", "True")),
    (em("rigde: 1"), ("gates.one.learner", "unknown key 'rigde'", "'ridge'")),
    (
        "{gate: top_k, k: 1, learner: em}",
        ("gates.one.learner", "its gate must be softmax", "TopKGate", "use `joint`"),
    ),
    (
        "{gate: softmax, balance_weight: 0.1, learner: em}",
        ("gates.one.balance_weight", "balance_weight = 0", "no auxiliary loss", "=0.1"),
    ),
]


def refused(text: str, folder: Path) -> str:
    """Return the one line that a launch of a spec says."""
    path = folder / "bad.yaml"
    path.write_text(text)
    code, said = run("launch", str(path), "--folder", str(folder / "runs"))
    assert (code, said.count("\n")) == (2, 1), said
    assert [each.name for each in folder.iterdir()] == ["bad.yaml"]
    return said


@pytest.mark.parametrize(("said", "words"), CASES, ids=[said for said, _ in CASES])
def test_a_bad_spec_is_one_line(said: str, words: tuple[str, ...], tmp_path: Path) -> None:
    line = refused(one(said), tmp_path)
    assert all(word in line for word in words), line


@pytest.mark.parametrize(
    ("task", "why"),
    [
        ("synthetic_groups", "there must be one target, of any number of columns, but there are"),
        ("polyhedral", "its target must be of regression, but 'inside' is binary"),
    ],
)
def test_a_task_that_it_cannot_fit_is_one_line(task: str, why: str, tmp_path: Path) -> None:
    line = refused(one(em("ridge: 1"), task), tmp_path)
    assert "gates.one.learner: `em` fits linear experts alone" in line
    assert why in line and "use `joint` in its place" in line


def test_nothing_of_the_optimiser_is_searched_for_it() -> None:
    """Beside it others search that, and what hangs on it."""
    content = yaml.safe_load(
        spec(
            task=SMALL,
            gates=f"{{one: {{gate: softmax}}, two: {em('ridge: {low: 0.1, high: 10}')}}}",
            optimizer="{name: sgd, learning_rate: {low: 0.01, high: 0.5, log: true}}",
            training="{max_epochs: 4, schedule: [constant, cosine],"
            " warmup: {low: 0.1, high: 0.5, when: {schedule: cosine}}}",
        )
    )
    first, second = (space(parse_spec(content), label, TASK) for label in ("one", "two"))
    assert set(first.distributions) == {
        *("optimizer.learning_rate", "training.schedule", "training.warmup"),
    }
    assert second.distributions == {"learner.ridge": FloatDistribution(0.1, 10.0)}
    assert (second.parents, second.otherwise) == ({}, {})
    assert second.fixed["training.schedule"] == "constant"
    assert 0.01 <= second.fixed["optimizer.learning_rate"] <= 0.5


SWEEP = f"""
name: NAME
task: {SMALL}
model: {{num_experts: 2}}
gates:
  gradients: {{gate: softmax}}
  em: {{gate: softmax, learner: {{name: em, restarts: 2, ridge: {{low: 0.1, high: 9, log: true}}}}}}
metrics: [rmse, two_against_two]
baselines: false
optimizer: {{learning_rate: {{low: 0.01, high: 0.1, log: true}}}}
training: {{max_epochs: 4, batch_size: 20}}
search: {{trials: 3, early_stopping: {{grace_epochs: 2, reduction_factor: 2}}}}
evaluation: {{seeds: 2}}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the finished sweep, and one of the same that was stopped in between."""
    place = tmp_path_factory.mktemp("em")
    for name in ("whole", "halves"):
        (place / f"{name}.yaml").write_text(SWEEP.replace("NAME", name))
    (place / "said.txt").write_text(gatelab(place, "launch", "whole.yaml"))
    gatelab(place, "launch", "halves.yaml", code=130, most=5)
    gatelab(place, "resume", "halves")
    return place


@pytest.mark.slow
def test_both_are_in_one_table_and_what_differs_is_said(folder: Path) -> None:
    record, said = read(folder, "whole"), (folder / "said.txt").read_text()
    comparison = compare_runs(record)
    assert {row.gate for row in comparison.subjects} == {"gradients", "em"}
    first, second = given_otherwise(comparison)
    assert first.startswith("gradients had one model for all targets, which all read the same rows")
    assert second.startswith(f"em had {Em.given} (") and "restarts 2" in second
    for words in (first, second):
        assert words in re.sub(r"\s+", " ", said)
    for end in record.of("evaluate"):
        assert {"test/loss", "test/mean/two_against_two"} <= end.metrics.keys()
        assert ("learner/log_likelihood" in end.metrics) == (end.gate == "em")
    rates = {run.params["optimizer.learning_rate"] for run in record.of("search", "em")}
    assert len(rates) == 1, "which nothing reads"


@pytest.mark.slow
def test_a_sweep_that_was_stopped_ends_as_one_that_was_not(folder: Path) -> None:
    assert scores(folder, "halves") == scores(folder, "whole")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType")
@torch.no_grad()
def test_the_exported_model_has_the_recorded_score(folder: Path) -> None:
    said = gatelab(folder, "export", "whole", "--gate", "em")
    (recorded,) = re.findall(r"test/loss ([\d.]+)\.", said)
    with mlflow_at(folder / "gatelab_runs"):
        model = load_model("models:/whole-em/1")
    test = TASK.split("test")
    loss = (model(test.inputs) - test.targets).square().mean()
    assert float(loss) == pytest.approx(float(recorded), rel=1e-3)


@pytest.mark.slow
def test_regions_of_the_kept_models_are_told(folder: Path) -> None:
    command = [sys.executable, str(ROOT / "examples" / "results" / "regions.py"), "whole"]
    said = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout
    _, _, *rows = said.splitlines()
    told = {cells[1].strip(): cells[2:-1] for cells in (row.split("|") for row in rows)}
    assert told.keys() == {"gradients", "em"}
    assert all(0 <= float(cell) <= 1 for cells in told.values() for cell in cells)
