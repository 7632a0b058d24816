"""One gate under two learners in a sweep: what is recorded, told, gone on with and exported."""

from __future__ import annotations

import re
from pathlib import Path

import mlflow
import pytest
import torch
import yaml
from torch import nn

from gatelab.results.comparison import compare_runs
from gatelab.results.comparison.given import given_otherwise
from gatelab.tasks import SyntheticGroups
from gatelab.tracking.mlflow_model import load_model
from gatelab.tracking.runs import SweepRecord
from gatelab.tracking.schema import Metrics
from gatelab.tracking.sqlite import default_uri
from gatelab.training.learners.gossip import Gossip
from tests.commands import ROOT
from tests.in_process import gatelab
from tests.launched import read
from tests.test_in_process import scores

pytestmark = [
    pytest.mark.slow,
    # MLflow warns of its own type hints when its pyfunc is first imported.
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType"),
]
OPTIONS = {"num_targets": 3, "train_rows": 128, "val_rows": 64, "test_rows": 64}
TASK = SyntheticGroups(**OPTIONS)
SPEC = f"""
name: learners
task: {{name: synthetic_groups, {", ".join(f"{k}: {v}" for k, v in OPTIONS.items())}}}
model: {{num_experts: 4}}
gates:
  together: {{gate: top_k, k: 2, static: false}}
  agents:
    gate: top_k
    k: 2
    static: false
    learner: {{name: gossip, graph: [ring, none], correlation: {{low: 0.0, high: 0.9}}}}
baselines: false
training: {{max_epochs: 4, batch_size: 64}}
search: {{trials: 3, early_stopping: {{grace_epochs: 2, reduction_factor: 2}}}}
evaluation: {{seeds: 3}}
"""
WORDS = (
    "together had one model for all targets, which all read the same rows at each step.",
    "agents had a model for each target, which learns from that target's loss alone and hears of "
    "the others by averages of bottom and experts (rows own, graph ",
)


def numbers(module: nn.Module) -> int:
    return sum(each.numel() for each in module.parameters())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the finished sweep, and one of the same that was stopped in between."""
    place = tmp_path_factory.mktemp("learners")
    for name in ("whole", "halves"):
        (place / f"{name}.yaml").write_text(SPEC.replace("learners", name))
    said = gatelab(place, "launch", "whole.yaml")
    (place / "said.txt").write_text(said)
    gatelab(place, "launch", "halves.yaml", code=130, most=5)
    gatelab(place, "resume", "halves")
    return place


@pytest.fixture(scope="module")
def record(folder: Path) -> SweepRecord:
    return read(folder, "whole")


def test_options_are_params_of_every_run_of_their_gate(record: SweepRecord) -> None:
    runs = [*record.of("search"), *record.of("evaluate")]
    assert {run.gate for run in runs} == {"together", "agents"}
    for run in runs:
        own = {name: v for name, v in run.params.items() if name.startswith("learner")}
        if run.gate == "together":
            assert own == {}
            continue
        assert (own["learner"], own["learner.rows"]) == ("gossip", "own")
        assert own["learner.graph"] in ("ring", "none")
        assert 0 <= float(own["learner.correlation"]) <= 0.9
    assert len({run.params.get("learner.correlation") for run in record.of("search")}) > 2


def test_facts_are_recorded_with_what_they_mean(record: SweepRecord) -> None:
    facts = {f"learner/{name}" for name in Gossip.diagnostics}
    for run in record.of("evaluate"):
        told = {name for name in run.metrics if name.startswith("learner/")}
        assert told == (facts if run.gate == "agents" else set())
    for name, meaning in Gossip.diagnostics.items():
        assert record.meanings[name] == meaning


def test_sizes_are_of_all_copies_that_serve(record: SweepRecord) -> None:
    """Three bottoms and sets of experts; gates and towers are as many as ever.

    An expert of one copy is none of another's: a row runs two of each.
    """
    of = {run.gate: run.metrics for run in record.of("evaluate")}
    joint, agents = of["together"], of["agents"]
    assert agents["gate/experts_per_row"] == 3 * 2 > joint["gate/experts_per_row"]
    assert agents[Metrics.GATE_PARAMETERS] == joint[Metrics.GATE_PARAMETERS]
    ((make, _),) = (network := TASK.network()).experts(4)
    expert, towers = numbers(make()), sum(numbers(network.tower(t)) for t in TASK.targets)
    shared = joint[Metrics.PARAMETERS] - joint[Metrics.GATE_PARAMETERS] - towers
    assert shared == numbers(network.bottom()) + 4 * expert
    assert agents[Metrics.PARAMETERS] == joint[Metrics.PARAMETERS] + 2 * shared
    for found, experts in ((joint, 4), (agents, 12)):
        idle = experts - found["gate/experts_per_row"]
        active = found[Metrics.PARAMETERS] - found[Metrics.ACTIVE_PARAMETERS]
        assert active == pytest.approx(idle * expert)


def test_what_differs_in_what_they_were_given_is_said(folder: Path, record: SweepRecord) -> None:
    first, second = given_otherwise(compare_runs(record))
    assert first == WORDS[0] and second.startswith(WORDS[1])
    said = (folder / "said.txt").read_text()
    assert all(words in re.sub(r"\s+", " ", said) for words in WORDS)
    assert "warning: gate 'agents': `graph: none` is not connected" in said
    assert "Gate 'agents': `graph: none` is not connected" in "".join(record.warnings)
    page = (folder / "gatelab_runs/sweeps/whole/report/report.html").read_text()
    for words in (WORDS[0], "consensus_error", "of the learner", *Gossip.diagnostics.values()):
        marked = re.sub(r"`([^`]+)`", r"<code>\1</code>", words)
        assert marked.replace("'", "&#39;") in page


def test_a_sweep_of_one_kind_says_nothing_of_it(record: SweepRecord) -> None:
    runs = tuple(run for run in record.runs if run.gate != "agents")
    alone = SweepRecord(record.sweep, runs)
    assert given_otherwise(compare_runs(alone)) == []


def test_a_sweep_that_was_stopped_ends_as_one_that_was_not(folder: Path) -> None:
    assert len(scores(folder, "whole")) == 2 * (3 + 3)
    assert scores(folder, "halves") == scores(folder, "whole")


@torch.no_grad()
def test_the_exported_model_has_the_recorded_score(folder: Path) -> None:
    """The output for a target is its agent's; towers give one column each, of squared error."""
    said = gatelab(folder, "export", "whole", "--gate", "agents")
    recorded = float(re.search(r"test/loss ([\d.]+)\.", said)[1])  # type: ignore[index]
    mlflow.set_tracking_uri(default_uri(folder / "gatelab_runs"))
    try:
        model = load_model("models:/whole-agents/1")
    finally:
        mlflow.set_tracking_uri(None)  # type: ignore[arg-type]  # as it was
    test = TASK.split("test")
    losses = (model(test.inputs) - test.targets).square().mean(0)
    assert float(losses.sum()) == pytest.approx(recorded, rel=1e-3)


def test_the_preset_runs(place: Path) -> None:
    """With fewer targets, rows, epochs and trials."""
    content = yaml.safe_load((ROOT / "examples" / "learners.yaml").read_text())
    content["task"] |= {"num_targets": 4, **dict.fromkeys(("train_rows", "val_rows"), 64)}
    content["training"] |= {"max_epochs": 2, "patience": 1}
    content |= {"search": {"trials": 1}, "evaluation": {"seeds": 2}}
    (place / "small.yaml").write_text(yaml.safe_dump(content))
    said = gatelab(place, "launch", "small.yaml")
    assert " failed: " not in said
    assert all(f"{label}: done" in said for label in content["gates"])
    told = re.sub(r"\s+", " ", said)
    assert "joint had one model for all targets, which all read the same rows" in told
    assert "adapted had one model for all targets, whose gates and towers take inner steps" in told
    assert "first_order false, start own" in told  # as a spec says it
    assert "delta" not in told  # which was not given
    assert "inner_steps 3" in told and "shots 32" in told
