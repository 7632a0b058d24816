"""A trial of several members is told as one: their means, and failed with any of them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from gatelab.gates import Routing, SoftmaxGate, gates
from gatelab.tasks import SyntheticGroups
from gatelab.training.configuration import Configuration
from gatelab.training.jobs import Job, Stage
from gatelab.training.member import Member, Recipe
from gatelab.training.states import read_state
from gatelab.training.steps import Ending, Trial
from gatelab.training.work import Work
from tests.in_process import gatelab
from tests.launched import read

TASK = SyntheticGroups(num_targets=2, train_rows=64, val_rows=32, test_rows=32)
CONFIGURATION = Configuration.of(
    {}, {"num_experts": 4}, {"name": "adam", "learning_rate": 0.05, "weight_decay": 0.0}
)
RECIPE = Recipe(16, 12, 2)


def ending(end: str, objective: float, epoch: int, *, broken: bool = False) -> Ending:
    return Ending(end, f"{end} at {epoch}", epoch, objective, broken, {"val/loss": objective})


def test_an_epoch_is_the_mean_over_members_of_which_stopped_ones_keep_their_last() -> None:
    trial = Trial()
    assert trial.epoch({0: {"val/loss": 1.0}, 1: {"val/loss": 3.0}}) == {"val/loss": 2.0}
    assert trial.epoch({1: {"val/loss": 2.0}}) == {"val/loss": 1.5}


def test_an_ending_is_the_mean_over_members() -> None:
    found = Trial().ending([ending("finished", 1.0, 9), ending("finished", 2.0, 5, broken=True)])
    mean = {"val/loss": 1.5}
    assert found == Ending("finished", "finished at 9", 9, 1.5, True, mean, trained=9 + 5)


def test_a_trial_fails_with_any_of_its_members() -> None:
    found = Trial().ending([ending("finished", 1.0, 9), ending("failed", 0.5, 3)])
    assert (found.end, found.reason, found.epoch) == ("failed", "failed at 3", 3)
    assert found.trained == 9 + 3


def work(stage: Stage, *seeds: int, gate: str = "softmax") -> Work:
    members = tuple(Member(CONFIGURATION, seed) for seed in seeds)
    return Work(TASK, [Job(stage, "one", gate, members)], RECIPE, step_seconds=0)


def run(begun: Work, folder: Path | None = None) -> tuple[dict[int, float], Ending]:
    """Work to the end; from a saved state after each step, where there is a folder."""
    losses = {}
    while True:
        (step,) = begun.step()
        assert step.trained >= step.epoch > 0 < step.seconds
        if step.endings is not None:
            assert step.trained == sum(course.epochs for course in begun.training.courses)
        losses |= {epoch: metrics["val/loss"] for _, epoch, metrics in step.epochs}
        if step.endings is not None:
            (found,) = step.endings
            return losses, found
        if folder is not None:
            begun.save(folder)
            begun = work("search", 0, 1)
            begun.restore(read_state(folder))


def test_the_work_of_two_is_the_mean_of_the_work_of_each(tmp_path: Path) -> None:
    alone = [run(work("search", seed)) for seed in (0, 1)]
    losses, found = run(work("search", 0, 1), tmp_path)
    assert found.objective == pytest.approx(sum(e.objective for _, e in alone) / 2, rel=1e-4)
    assert found.epoch == max(end.epoch for _, end in alone)
    assert found.trained == sum(end.epoch for _, end in alone)
    shorter = min(end.epoch for _, end in alone)
    assert shorter < found.epoch, "one stops earlier, and keeps its last loss"
    for epoch, loss in losses.items():
        expected = [each.get(epoch, each[max(each)]) for each, _ in alone]
        assert loss == pytest.approx(sum(expected) / 2, rel=1e-4)


class FailsOnce(SoftmaxGate):
    """Diverges with some seeds from the first step."""

    wrong: torch.Tensor

    def __init__(self, in_features: int, num_experts: int) -> None:
        super().__init__(in_features, num_experts)
        self.register_buffer("wrong", torch.rand(()) < 0.3)

    def forward(self, x: torch.Tensor) -> Routing:
        routing = super().forward(x)
        return routing._replace(weights=torch.where(self.wrong, torch.nan, routing.weights))


def test_a_trial_ends_where_one_member_diverges(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(gates._classes, "fails_once", FailsOnce)
    ends = [work("evaluate", seed, gate="fails_once").step()[0].endings for seed in range(8)]
    failed = [found is not None and found[0].end == "failed" for found in ends]
    assert 0 < sum(failed) < 8
    bad, good = failed.index(True), failed.index(False)
    (step,) = work("search", good, bad, gate="fails_once").step()
    assert step.endings is not None
    assert [(end.end, end.epoch) for end in step.endings] == [("failed", 1)]


SPEC = """
name: two
task: {name: synthetic_groups, num_targets: 2, train_rows: 64, val_rows: 32, test_rows: 32}
model: {num_experts: 4}
gates: [softmax]
baselines: false
training: {max_epochs: 4, batch_size: 32}
search: {trials: 2, seeds: 3}
evaluation: {seeds: 2}
"""


def test_a_sweep_records_one_run_for_each_trial_with_all_its_seeds(place: Path) -> None:
    (place / "spec.yaml").write_text(SPEC)
    gatelab(place, "launch", "spec.yaml")
    trials = read(place, "two").of("search")
    seeds = [trial.tags["seed"].split(",") for trial in trials]
    assert len(seeds) == 2
    assert len(set(seeds[0]) | set(seeds[1])) == 6
    assert {trial.end for trial in trials} == {"finished", "pruned"}
    assert all("objective" in trial.metrics for trial in trials), "of a pruned one what it had"
