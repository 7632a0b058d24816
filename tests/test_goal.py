"""The goal: which weights are kept, and when a member may stop."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pytest
import torch

from gatelab.gates import Gate, Routing, SoftmaxGate
from gatelab.tasks import SyntheticGroups
from gatelab.training.configuration import Configuration
from gatelab.training.evaluation import Evaluation
from gatelab.training.goal import AT_MOST_K, Goal, Rank
from gatelab.training.jobs import Job
from gatelab.training.member import Member, Recipe, settled_epoch
from gatelab.training.train import Training
from gatelab.training.work import Work

TASK = SyntheticGroups(num_targets=2, train_rows=64, val_rows=32, test_rows=32)
CONFIGURATION = Configuration.of(
    {}, {"num_experts": 4}, {"name": "adam", "learning_rate": 0.01, "weight_decay": 0.0}
)


def test_what_keeps_the_requirement_is_better_than_what_does_not() -> None:
    goal = Goal(at_most_k=0.99)
    dense = goal.rank({"val/loss": 0.1, AT_MOST_K: 0.98})
    sparse = goal.rank({"val/loss": 0.9, AT_MOST_K: 0.99})
    assert (dense, sparse) == (Rank(True, 0.1), Rank(False, 0.9))
    assert sparse < dense
    assert goal.rank({"val/loss": 0.9}) == Rank(False, 0.9), "a gate that states no k"
    assert Goal().rank({"val/loss": 0.1, AT_MOST_K: 0.0}) == Rank(False, 0.1), "nothing required"


def test_a_metric_that_is_better_when_higher_is_maximised() -> None:
    goal = Goal("val/mean/r2", higher_is_better=True)
    good, bad = (goal.rank({"val/loss": 0.1, "val/mean/r2": value}) for value in (0.9, 0.2))
    assert good < bad
    assert goal.cost(good.cost) == 0.9
    assert math.isnan(goal.rank({"val/loss": 0.1}).cost)


def training(ranks: list[Rank], patience: int | None = None, gate: type[Gate] = SoftmaxGate) -> Any:
    """Train one member, whose epochs are ranked as given."""
    found = Training(TASK, gate, [Member(CONFIGURATION, 0)], Recipe(64, len(ranks), patience))
    states, left = [], iter(ranks)

    def judge(evaluations: Mapping[int, Evaluation]) -> dict[int, Rank]:
        states.append(found.members.state(0))
        return {0: next(left)}

    while not found.done:
        found.run_epoch(judge)
    return found, states


@pytest.mark.parametrize(
    ("ranks", "best"),
    [
        ([(False, 3), (False, 1), (False, 2)], 2),
        ([(True, 1), (False, 3), (True, 0.5)], 2),
        ([(True, 2), (True, 1), (True, 3)], 2),
        ([(False, 2), (True, 1), (False, 2)], 1),
    ],
)
def test_the_best_ranked_weights_are_kept(ranks: list[tuple[bool, float]], best: int) -> None:
    found, states = training([Rank(*rank) for rank in ranks])
    course = found.courses[0]
    assert (course.best_epoch, course.broken, course.best_cost) == (best, *ranks[best - 1])
    for name, kept in found.best[0].items():
        assert torch.equal(kept, states[best - 1][name])


def test_an_objective_that_is_not_finite_fails() -> None:
    found, _ = training([Rank(False, 1.0), Rank(False, math.nan), Rank(False, 1.0)])
    course = found.courses[0]
    assert (course.end, course.reason) == ("failed", "the objective is nan in epoch 2")
    assert course.best_cost == 1.0


class Hardening(SoftmaxGate):
    """Follows a schedule for half of the training."""

    @classmethod
    def schedule_end(cls, hyperparameters: Mapping[str, Any]) -> float:
        return 0.5

    def forward(self, x: torch.Tensor) -> Routing:
        return super().forward(x)


def test_patience_counts_from_the_end_of_a_schedule() -> None:
    """The seventh of 12 epochs is the first that begins after half; two more are not better."""
    ranks = [Rank(False, 1.0 + epoch) for epoch in range(12)]
    for gate, epochs in ((SoftmaxGate, 3), (Hardening, 9)):
        found, _ = training(ranks, patience=2, gate=gate)
        assert found.courses[0].epochs == epochs, gate
    better = [*ranks[:7], Rank(False, 0.5), *ranks[8:]]
    found, _ = training(better, patience=2, gate=Hardening)
    assert found.courses[0].epochs == 10


@pytest.mark.parametrize(
    ("share", "max_epochs", "epoch"),
    [(0.0, 10, 0), (0.5, 10, 6), (0.7, 20, 15), (0.34, 10, 5), (1.0, 10, 11)],
)
def test_the_epoch_from_which_a_gate_is_settled(share: float, max_epochs: int, epoch: int) -> None:
    class Gated(SoftmaxGate):
        @classmethod
        def schedule_end(cls, hyperparameters: Mapping[str, Any]) -> float:
            return float(hyperparameters["share"])

    assert settled_epoch(Gated, {"share": share}, max_epochs) == epoch


def test_work_follows_the_goal_of_the_sweep() -> None:
    """The highest r2 of one target, of so many that not all are recorded."""
    task = SyntheticGroups(num_targets=20, train_rows=64, val_rows=32, test_rows=32)
    goal = Goal("val/t003/r2", higher_is_better=True)
    job = Job("search", "one", "softmax", (Member(CONFIGURATION, 0),))
    step = Work(task, [job], Recipe(16, 4), goal=goal, step_seconds=1000).step()[0]
    values = [metrics["val/t003/r2"] for _, _, metrics in step.epochs]
    assert step.objective == pytest.approx(max(values))
    assert step.endings is not None
    assert step.endings[0].metrics["objective"] == pytest.approx(max(values))
    assert "val/t004/r2" not in step.epochs[0][2]


def test_work_says_whether_the_requirement_is_kept() -> None:
    job = Job("search", "one", "dselect_k", (Member(CONFIGURATION, 0),))
    for at_most_k, broken in ((None, False), (1.0, True)):
        goal = Goal(at_most_k=at_most_k)
        step = Work(TASK, [job], Recipe(16, 1), goal=goal, step_seconds=1000).step()[0]
        assert step.endings is not None
        assert step.broken == step.endings[0].broken == broken
