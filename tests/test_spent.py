"""Members that fail have trained too: their time is recorded with the others'."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from torch import Tensor

from gatelab.gates import Routing, SoftmaxGate, gates
from gatelab.results.costs import trained_seconds
from gatelab.sweeps.driver.seconds_spent import with_seconds
from gatelab.sweeps.driver.tune import ray_hooks
from gatelab.tracking.schema import Metrics
from gatelab.training.configuration import Configuration
from gatelab.training.goal import BY_LOSS
from gatelab.training.jobs import Job, Setting
from gatelab.training.member import Member, Recipe
from gatelab.training.steps import Ending
from tests import in_process
from tests.launched import read

OPTIONS = {"num_targets": 2, "train_rows": 64, "val_rows": 32, "test_rows": 32}
SPEC = """
name: diverging
task: {name: synthetic_groups, num_targets: 2, train_rows: 64, val_rows: 32, test_rows: 32}
model: {num_experts: 2}
gates: [softmax]
baselines: false
optimizer: {learning_rate: 1.0e+30}
training: {max_epochs: 2}
search: {trials: 2, seeds: 2, early_stopping: false}
evaluation: {seeds: 2}
"""


def ending(seconds: float | None) -> Ending:
    if seconds is None:
        return Ending("failed", "val/loss is nan", 1, 0.5)
    return Ending("finished", "max_epochs", 4, 0.5, metrics={Metrics.TRAIN_SECONDS: seconds})


@pytest.mark.parametrize(
    ("own", "mean", "told"),
    [
        ([5.0, None, None, 3.0], 4.0, [5.0, 4.0, 4.0, 3.0]),
        ([None], 2.5, [2.5]),
        ([None, None], 0.0, [None, None]),
        ([3.0, 4.0], 9.0, [3.0, 4.0]),
    ],
)
def test_what_failed_has_what_the_others_leave(
    own: Sequence[float | None], mean: float, told: Sequence[float | None]
) -> None:
    """Of four members with a mean of 4 seconds, 8 of which two have told."""
    found = with_seconds([ending(seconds) for seconds in own], mean)
    assert [one.metrics.get(Metrics.TRAIN_SECONDS) for one in found] == told


def test_trials_that_fail_count_in_the_training_in_all(place: Path) -> None:
    (place / "diverging.yaml").write_text(SPEC)
    in_process.gatelab(place, "launch", "diverging.yaml", code=4)
    record = read(place, "diverging")
    trials = record.of("search")
    assert [run.end for run in trials] == ["failed"] * 2
    seconds = [run.metrics[Metrics.TRAIN_SECONDS] for run in trials]
    assert min(seconds) > 0
    assert trained_seconds(record) == pytest.approx(2 * sum(seconds)), "each has two members"


class Tired(SoftmaxGate):
    """Raises in its ninth pass in evaluation: of epoch 2, after seven of the rehearsal."""

    passes = 0

    def forward(self, x: Tensor) -> Routing:
        Tired.passes += not self.training
        if Tired.passes > 8:
            raise RuntimeError("no more")
        return super().forward(x)


def test_a_job_of_which_an_epoch_raises_tells_of_those_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(gates._classes, "tired", Tired)
    setting = Setting("synthetic_groups", OPTIONS, Recipe(64, 9), None, BY_LOSS, 1, 0, "/nowhere")
    optimizer = {"name": "adam", "learning_rate": 0.01, "weight_decay": 0.0}
    member = Member(Configuration.of({}, {"num_experts": 4}, optimizer), 0)
    jobs = (Job("search", "one", "tired", (member,)),)
    (step,) = ray_hooks._parse(in_process.Worker(setting, jobs, [None]).step()["steps"])
    assert step.endings is not None and step.endings[0].reason == "RuntimeError: no more"
    assert step.seconds > 0
