"""How many trials train together on a GPU: tried where jobs run, kept with the sweep, told."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from gatelab.sweeps.cli import main
from gatelab.sweeps.cluster import doctor
from gatelab.sweeps.cluster.sizing import Needs
from gatelab.sweeps.driver import remainder, widths
from gatelab.sweeps.search.attributes import TOGETHER
from gatelab.sweeps.worker.tried_widths import ToTry, tried_widths
from gatelab.tracking.schema import Tags
from gatelab.training.configuration import Configuration
from gatelab.training.goal import BY_LOSS
from gatelab.training.jobs import Setting
from gatelab.training.member import Recipe
from gatelab.training.width import Pace
from tests.in_process import in_this_process
from tests.launched import read, studies

ROOT = Path(__file__).parents[1]
SPEC = """\
name: wide
task: {name: synthetic_groups, num_targets: 3, train_rows: 96, val_rows: 32, test_rows: 32}
model: {num_experts: 4}
gates: [softmax, top_k]
training: {max_epochs: 2, batch_size: 32}
search: {trials: 6, sampler: random}
evaluation: {seeds: 2}
"""
Asked = list[Mapping[str, ToTry]]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    """What was asked of a node, which answers as a GPU on which 2 of softmax gain, and 4 of top_k.

    Jobs get a share of a GPU by all that the driver knows, and train on this machine's CPU.
    """
    found: Asked = []

    def answer(setting: Setting, trials: Mapping[str, ToTry]) -> tuple[dict[str, Any], str]:
        found.append(trials)
        rates = {"softmax": [100, 180, 190], "top_k": [100, 190, 350, 360]}
        lists = {
            label: [Pace(2**at, rate, 0) for at, rate in enumerate(rates[trial.gate])]
            for label, trial in trials.items()
            if trial.gate in rates
        }
        return {label: (lists.get(label, []), "it was hot") for label in trials}, ""

    setting = remainder._setting
    monkeypatch.setattr(widths, "_ask", answer)
    monkeypatch.setattr(widths, "_gpus", lambda setting: 1)
    monkeypatch.setattr(remainder, "_setting", lambda *given: replace(setting(*given), gpus=0))
    return found


def launch(folder: Path, command: str, *more: str, most: int | None = None, code: int = 0) -> str:
    with in_this_process(most), pytest.MonkeyPatch.context() as patch:
        patch.setattr(doctor, "check_machine", lambda spec, task, storage: _needs(spec))
        patch.chdir(folder)
        result = CliRunner().invoke(main, [command, *more])
    assert result.exit_code == code, result.output
    return " ".join(result.output.split())


def _needs(spec: Any) -> Needs:
    return Needs(1, 0.5, spec.resources.members or 32)


def kept(folder: Path, sweep: str = "wide") -> dict[str, int]:
    """Return what is kept with each search."""
    found = {name: it.user_attrs for name, it in studies(folder, sweep).items()}
    return {
        name: attributes[TOGETHER] for name, attributes in found.items() if TOGETHER in attributes
    }


def test_it_is_tried_where_jobs_have_a_gpu_and_kept(tmp_path: Path, asked: Asked) -> None:
    (tmp_path / "wide.yaml").write_text(SPEC)
    said = launch(tmp_path, "launch", "wide.yaml", most=3, code=130)
    [trials] = asked
    assert trials.keys() >= {"softmax", "top_k", "single"} and "constant" not in trials
    assert {trial.most for trial in trials.values()} == {8}, "a round has six trials"
    assert trials["top_k"].gate == "top_k" and trials["top_k"].configuration.gate["k"] >= 1
    assert kept(tmp_path) == {"softmax": 2, "top_k": 4}
    assert (
        "models that train together, as tried here: 2 of softmax, 4 of top_k; `resources:" in said
    )
    assert "how many models of single are worth training together was not found: it was hot" in said
    said = launch(tmp_path, "resume", "wide")
    assert len(asked) == 2 and asked[1].keys() <= trials.keys() - {"softmax", "top_k"}
    assert "of softmax" not in said
    tags = {run.gate: run.tags.get(Tags.MEMBERS) for run in read(tmp_path, "wide").of("gate")}
    assert tags["softmax"] == "2" and tags["top_k"] == "4" and tags["single"] is None
    launch(tmp_path, "resume", "wide", "search.trials=12")
    assert len(asked) == 3 and not asked[2].keys() & {"softmax", "top_k"}, "a successor has it too"
    assert kept(tmp_path, "wide-2") == kept(tmp_path) == {"softmax": 2, "top_k": 4}


@pytest.mark.parametrize(
    ("gpus", "seeds", "most"), [(1, 1, 8), (3, 1, 8), (5, 1, 4), (9, 1, 2), (9, 3, 8), (12, 1, 1)]
)
def test_a_round_is_spread_over_the_gpus_that_there_are(
    gpus: int, seeds: int, most: int, tmp_path: Path, asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of each of two gates there are six trials: three for each of its two GPUs of five."""
    monkeypatch.setattr(widths, "_gpus", lambda setting: gpus)
    text = SPEC.replace("sampler: random", f"sampler: random, seeds: {seeds}")
    (tmp_path / "wide.yaml").write_text(f"{text}baselines: false\n")
    launch(tmp_path, "launch", "wide.yaml", most=1, code=130)
    [trials] = asked
    assert {trial.most for trial in trials.values()} == {most}


def test_a_spec_that_says_how_many_is_not_tried(tmp_path: Path, asked: Asked) -> None:
    (tmp_path / "wide.yaml").write_text(SPEC + "resources: {members: 2}\n")
    launch(tmp_path, "launch", "wide.yaml")
    assert not asked and not kept(tmp_path)


def test_nothing_is_tried_on_cpus(tmp_path: Path, asked: Asked) -> None:
    """There a fixed number is as good as any, and the same table on every machine worth more."""
    (tmp_path / "wide.yaml").write_text(SPEC)
    with in_this_process(), pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        assert CliRunner().invoke(main, ["launch", "wide.yaml"]).exit_code == 0
    assert not asked and not kept(tmp_path)


def test_nobody_who_answers_is_no_reason_to_stop(
    tmp_path: Path, asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "wide.yaml").write_text(SPEC)
    monkeypatch.setattr(widths, "_ask", lambda *given: ({}, "no answer in 900 s"))
    said = launch(tmp_path, "launch", "wide.yaml")
    assert "of softmax are worth training together was not found: no answer in 900 s" in said
    assert not kept(tmp_path)


SETTING = Setting(
    "synthetic_groups",
    {"num_targets": 3, "train_rows": 96, "val_rows": 32},
    Recipe(32, 2),
    None,
    BY_LOSS,
    1,
    0,
    "",
)
CONFIGURATION = Configuration.of(
    {}, {"num_experts": 4}, {"name": "adam", "learning_rate": 0.01, "weight_decay": 0.0}
)


def test_each_gate_is_tried_where_it_is_asked() -> None:
    wrong = Configuration({**CONFIGURATION.values, "gate.k": 99})
    found = tried_widths(
        SETTING,
        {
            "mine": ToTry("softmax", CONFIGURATION, 4),
            "wrong": ToTry("top_k", wrong, 4),
            "none": ToTry("no_such_gate", CONFIGURATION, 4),
        },
    )
    tried, why = found["mine"]
    assert [one.members for one in tried][:2] == [1, 2] and not why
    assert found["wrong"][0] == [] and "k=99" in found["wrong"][1]
    assert not any("\n" in reason for _, reason in found.values())
    assert found["none"][0] == [] and "no_such_gate" in found["none"][1]


RAY = """
import gatelab.sweeps.driver.tune.ray_jobs
from gatelab.sweeps.cluster.joining import join
from gatelab.sweeps.cluster.nodes import ask_where
from gatelab.sweeps.worker.tried_widths import tried_widths
from gatelab.sweeps.driver.widths import _ask, _gpus
from tests.test_widths import CONFIGURATION, SETTING, ToTry

join()
found, why = _ask(SETTING, {"mine": ToTry("softmax", CONFIGURATION, 4)})
assert not why and found["mine"][0][1].members == 2, (found, why)
assert _gpus(SETTING) == 1  # without any
print(ask_where((1, 0), int, "x", seconds=60))
print(ask_where((999, 0), tried_widths, SETTING, {}, seconds=2))
"""


CLUSTER = """
import gatelab.sweeps.driver.tune.ray_jobs
import ray
from dataclasses import replace
from gatelab.sweeps.cluster.slots import slots
from gatelab.sweeps.driver.widths import _gpus
from tests.test_widths import SETTING

ray.init("local", num_cpus=16, num_gpus=4)
print([slots(*needs) for needs in [(1, 0), (3, 0), (1, 0.25), (8, 0.25), (1, 3), (99, 0)]])
print([_gpus(replace(SETTING, cpus=cpus, gpus=gpus)) for cpus, gpus in [(1, 0.25), (1, 2), (8, 1)]])
"""


@pytest.mark.slow
@pytest.mark.ray
def test_shares_of_one_gpu_are_slots_and_no_gpus_of_their_own() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", CLUSTER], cwd=ROOT, capture_output=True, text=True, timeout=200
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines() == ["[16, 5, 16, 2, 1, 1]", "[4, 2, 2]"]


@pytest.mark.slow
@pytest.mark.ray
def test_a_node_of_ray_answers_or_says_why_not() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", RAY], cwd=ROOT, capture_output=True, text=True, timeout=200
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines() == [
        "(None, \"invalid literal for int() with base 10: 'x'\")",
        "(None, 'no answer in 2 s')",
    ]
