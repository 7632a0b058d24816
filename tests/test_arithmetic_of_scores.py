"""What is recorded of a training, worked out by hand: scores by target, endings, steps of work."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import nn

from gatelab.gates import OneEachGate
from gatelab.tasks import Network, Split, SplitName, Target, Task
from gatelab.training.configuration import Configuration
from gatelab.training.evaluation import Evaluation
from gatelab.training.goal import BY_LOSS, Goal
from gatelab.training.jobs import Job
from gatelab.training.member import Member, Recipe
from gatelab.training.scores import (
    gate_scores,
    predictive_scores,
    stability_scores,
    target_scores,
    usages,
)
from gatelab.training.scoring import _rise
from gatelab.training.states import read_state
from gatelab.training.train import Training
from gatelab.training.work import Work
from tests.scaled import BATCH, Scaled, member, one_weight

pytestmark = pytest.mark.usefixtures("float64")


class Clock:
    """Stands in for ``time``; a look at it takes a second."""

    seconds = 0.0

    def monotonic(self) -> float:
        self.seconds += 1
        return self.seconds


ONE, BOTH = 0.5, 0.0
"""Logits of DSelect-k's bit: at half of gamma it is 1, at 0 it is a half."""
EPOCHS = ((ONE, ONE), (BOTH, ONE), (ONE, ONE), (ONE, BOTH))
"""What two members' gates choose in each epoch."""


def work(until: int | None = None, seconds: float = 0.0, goal: Goal = BY_LOSS) -> Work:
    """Return work on two members, whose gates are to choose one expert for all rows."""
    members = (member(k=1, static=True), member(k=1, static=True))
    job = Job("evaluate", "one", "dselect_k", members, until=until)
    return Work(Scaled(), [job], Recipe(BATCH, len(EPOCHS)), step_seconds=seconds, goal=goal)


def choose(begun: Work, logits: tuple[float, float]) -> None:
    for index, logit in enumerate(logits):
        state = begun.training.members.state(index)
        state["mixture.gates.each.logits.bias"][:, 0] = logit
        begun.training.members.load(index, state)


@pytest.mark.parametrize("stopped", [0, 3])
def test_flips_settled_epochs_and_seconds(
    stopped: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two members whose gates choose one expert, both and one again; also after a stop.

    An epoch has three steps. In the second one more expert is taken up for each row: 1 / 3 a step,
    or 1000 / 3 in 1,000, and the weights go from (0, 1) to (1/2, 1/2). The second member never
    settles. An epoch's training lies between two looks at the clock: a second for both members.
    """
    monkeypatch.setattr("gatelab.training.work.time", Clock())
    begun = work()
    seen = []
    for epoch, logits in enumerate(EPOCHS):
        if epoch == stopped > 0:
            begun.save(tmp_path)
            begun = work()
            begun.restore(read_state(tmp_path))
        choose(begun, logits)
        (step,) = begun.step()
        seen.append({number: metrics for number, _, metrics in step.epochs})
    flips = [[epoch[i].get("gate/support_flips") for epoch in seen] for i in (0, 1)]
    change = [epoch[0].get("gate/weight_change") for epoch in seen]
    assert flips[0] == [None, *[pytest.approx(1000 / 3)] * 2, 0]
    assert flips[1] == [None, 0, 0, pytest.approx(1000 / 3)]
    assert change == [None, *[pytest.approx(1 / 3)] * 2, 0]
    assert step.endings is not None
    first, second = (ending.metrics for ending in step.endings)
    assert (first["gate/settled_epoch"], second.get("gate/settled_epoch")) == (3, None)
    assert first["time/train_seconds"] == second["time/train_seconds"] == 4 / 2


@pytest.mark.parametrize("stopped", [0, 1])
def test_the_rise_of_the_loss_before_a_gate_is_sparse(stopped: int, tmp_path: Path) -> None:
    """The first member uses both experts in two epochs, with weights of 3 and then of 4.

    With 3, light errs by 2 and 5, heavy by 1, 1 and 4: 0.1 x 14.5 + 0.9 x 6 = 6.85, and with 4 it
    is 21.5. The second one uses both in its last epoch alone, before which nothing can have risen.
    """
    begun = work(goal=Goal(at_most_k=1.0))
    for epoch, logits in enumerate(((BOTH, ONE), (BOTH, ONE), (ONE, ONE), (ONE, BOTH))):
        if epoch == stopped > 0:
            begun.save(tmp_path)
            begun = work(goal=Goal(at_most_k=1.0))
            begun.restore(read_state(tmp_path))
        choose(begun, logits)
        state = begun.training.members.state(0)
        state["mixture.experts.each.weight"].fill_(4.0 if epoch else 3.0)
        begun.training.members.load(0, state)
        (step,) = begun.step()
    assert step.endings is not None
    first, second = (ending.metrics["gate/rise_while_dense"] for ending in step.endings)
    assert first == pytest.approx(21.5 / 6.85 - 1) and second == 0


def test_a_rise_is_of_the_last_quarter_of_epochs_not_of_the_last_one() -> None:
    """Of eight the last two count: 4 and 3 over a lowest of 2, not the last alone."""
    assert _rise(torch.tensor([5.0, 2.0, 9.0, 9.0, 9.0, 9.0, 3.0, 4.0])) == pytest.approx(0.5)
    assert _rise(torch.tensor([5.0, 4.0, 3.0, 4.0, 2.0, 3.0, 2.0, 9.0])) == 0, "noise"
    nine = torch.tensor([5.0, 2.0, 9.0, 9.0, 9.0, 9.0, 3.0, 4.0, 5.0])
    assert _rise(nine) == pytest.approx(0.5), "a quarter of nine is three"


def test_no_rise_is_told_where_every_epoch_can_be_kept() -> None:
    begun = work()
    for _ in EPOCHS:
        choose(begun, (BOTH, ONE))
        (step,) = begun.step()
    assert step.endings is not None
    assert not any("gate/rise_while_dense" in ending.metrics for ending in step.endings)


def test_endings_are_of_the_best_weights_on_the_test_split() -> None:
    """The first epoch is the best, and level ones follow. Estimates on test are 4, 8 and 8.

    There light errs by 3 and 8, heavy by 2 and 4. Two experts have a weight each, and each of two
    gates two; the first member's weigh both experts by a half.
    """
    begun = work()
    for logits in ((BOTH, ONE), *[(ONE, ONE)] * 3):
        choose(begun, logits)
        (step,) = begun.step()
    assert step.endings is not None
    first, second = step.endings
    light, heavy = (9 + 64) / 2, (4 + 16) / 2
    expected = {
        "val/loss": 21.5,
        "objective": 21.5,
        "test/loss": 0.1 * light + 0.9 * heavy,
        "test/light/loss": light,
        "test/light/rmse": light**0.5,
        "test/heavy/rmse": heavy**0.5,
        "test/mean/rmse": (light**0.5 + heavy**0.5) / 2,
        "gate/experts_per_example": 2,
        "model/parameters": 2 + 2 * 2,
        "model/gate_parameters": 4,
    }
    assert {key: first.metrics[key] for key in expected} == pytest.approx(expected)
    assert (first.end, first.epoch, first.objective) == ("finished", 4, pytest.approx(21.5))
    assert first.by_target["light"]["loss"] == pytest.approx(light)
    assert (first.weights, first.load) == ([[0.5, 0.5]] * 2, [[1, 1]] * 2)
    assert (second.weights, second.load) == ([[0, 1]] * 2, [[0, 1]] * 2)


@pytest.mark.parametrize(("until", "seconds", "epoch"), [(None, 9, 4), (3, 9, 3), (3, 0, 1)])
def test_a_step_of_work_ends_at_its_rung_or_when_it_is_late(
    until: int | None, seconds: float, epoch: int
) -> None:
    (step,) = work(until, seconds * 1000).step()
    assert (step.epoch, len(step.epochs)) == (epoch, 2 * epoch)
    assert step.objective == pytest.approx(21.5)


@pytest.mark.parametrize(("losses", "failed", "best"), [((3, 1, 2), (), 1), ((3, 1, 2), (1,), 2)])
def test_the_model_that_is_kept_has_the_lowest_loss_that_did_not_fail(
    losses: tuple[float, ...], failed: tuple[int, ...], best: int, tmp_path: Path
) -> None:
    members = tuple(member(seed) for seed in range(3))
    begun = Work(Scaled(), [Job("evaluate", "one", "single", members)], Recipe(BATCH, 1))
    for index, course in enumerate(begun.training.courses):
        course.best_cost, course.broken = losses[index], False
        course.end = "failed" if index in failed else "finished"
        begun.training.best[index]["mixture.experts.each.weight"].fill_(float(index))
    begun.save_model(tmp_path / "one.pt")
    saved = torch.load(tmp_path / "one.pt", weights_only=True)
    assert saved["seed"] == best
    assert saved["state"]["mixture.experts.each.weight"].item() == best


def test_means_are_over_the_targets_that_have_a_metric() -> None:
    evaluation = Evaluation((), torch.zeros(0), torch.zeros(0), 7.5, {})
    by_target = {
        "a": {"loss": 1.0, "rmse": 1.0},
        "b": {"loss": 2.0, "rmse": 2.0},
        "c": {"loss": 4.0, "rmse": 6.0},
        "d": {"loss": 0.5, "accuracy": 0.0},
    }
    found = predictive_scores("val", evaluation, by_target)
    assert len(found) == 1 + 2 + 8, "the loss, two means, and all of the four targets'"
    means = {"val/loss": 7.5, "val/mean/rmse": 3, "val/mean/accuracy": 0, "val/d/loss": 0.5}
    assert {key: found[key] for key in means} == means


def test_means_are_over_the_targets_of_which_a_metric_is_defined() -> None:
    evaluation = Evaluation((), torch.zeros(0), torch.zeros(0), 7.5, {})
    scores = {f"t{i}": {"loss": 1.0, "auroc": 0.5 + 0.01 * i, "f1": 0.5} for i in range(29)}
    scores["t28"]["auroc"] = math.nan
    found = predictive_scores("test", evaluation, scores)
    assert found["test/mean/auroc"] == pytest.approx(0.5 + 0.01 * 27 / 2)
    assert (found["defined/test/auroc"], found["targets/test/auroc"]) == (28, 29)
    assert not {"defined/test/f1", "targets/test/f1"} & set(found), "which is said nowhere else"
    nowhere = predictive_scores("test", evaluation, {"t": {"loss": 1.0, "auroc": math.nan}})
    assert math.isnan(nowhere["test/mean/auroc"])


@pytest.mark.parametrize(("targets", "by_target"), [(16, True), (17, False)])
def test_of_more_than_16_targets_only_means_are_recorded(targets: int, by_target: bool) -> None:
    evaluation = Evaluation((), torch.zeros(0), torch.zeros(0), 0.0, {})
    scores = {f"t{i}": {"loss": 1.0, "r2": float(i)} for i in range(targets)}
    found = predictive_scores("test", evaluation, scores)
    assert found["test/mean/r2"] == (targets - 1) / 2
    assert len(found) == 2 + 2 * targets * by_target


def test_what_gates_say_of_themselves_is_averaged_over_targets() -> None:
    weights = torch.tensor([[[1.0, 0.0]], [[0.5, 0.5]], [[0.5, 0.5]]])
    evaluation = Evaluation((), weights, torch.zeros(3), 0.0, {"bits": torch.tensor([1.0, 0, 0.5])})
    (usage,) = usages(1, [evaluation])
    found = gate_scores(Scaled(), usage, evaluation, ["a", "b", "c"])
    assert (found["gate/bits"], found["gate/a/bits"], found["gate/c/bits"]) == (0.5, 1, 0.5)
    assert found["gate/experts_per_example"] == pytest.approx((1 + 2 + 2) / 3)
    assert found["gate/at_most_k"] == pytest.approx(1 / 3)


@pytest.mark.parametrize("at_once", [1, 2**26])
def test_changes_are_a_step(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two rows one drops an expert of weight 1/4 for good: 1/2 in all, over 5 steps."""
    before = torch.tensor([[[0.75, 0.25], [1.0, 0.0]]])
    weights = torch.tensor([[[1.0, 0.0], [1.0, 0.0]]])
    after = Evaluation((), weights, torch.zeros(1), 0.0, {})
    still = after._replace(weights=before)
    monkeypatch.setattr("gatelab.training.scores.NUMBERS_AT_ONCE", at_once)
    stayed, moved, again = stability_scores([before, before, weights], [still, after, after], 5)
    assert moved == pytest.approx(
        {"gate/weight_change": 0.5 / 2 / 5, "gate/support_flips": 1 / 2 / 5 * 1000}
    )
    assert set(stayed.values()) == set(again.values()) == {0}


class Interleaved(Task):
    """Two regression targets with one of another kind between them, each with an expert of its own.

    Experts multiply by 4, 5 and 6, towers by 1, 2 and 3.
    """

    targets = (
        Target("a", "regression", weight=0.5),
        Target("b", "binary"),
        Target("c", "regression", weight=0.25),
    )

    def split(self, name: SplitName) -> Split:
        return Split(torch.ones(2, 1), torch.tensor([[3, 1, 16], [4, 0, 15.0]]))

    def network(self) -> Network:
        factors, experts = {"a": 1.0, "b": 2.0, "c": 3.0}, iter((4.0, 5.0, 6.0))
        return Network(
            nn.Identity,
            nn.Identity,
            1,
            lambda: one_weight(next(experts)),
            lambda target: one_weight(factors[target.name]),
        )


def test_targets_of_several_kinds_keep_their_order() -> None:
    """Estimates are 4, 10 and 18; a errs by 1 and 0, c by 2 and 3; b loses log(1 + e^∓10)."""
    configuration = Configuration({**member().configuration.values, "model.num_experts": 3})
    training = Training(Interleaved(), OneEachGate, [Member(configuration, 0)], Recipe(BATCH, 1))
    _, evaluation = training.run_epoch()[0]
    b = (math.log1p(math.exp(-10)) + math.log1p(math.exp(10))) / 2
    assert [out[:, 0].tolist() for out in evaluation.outputs] == [[4, 4], [10, 10], [18, 18]]
    assert evaluation.losses.tolist() == pytest.approx([0.5, b, 13 / 2])
    assert evaluation.loss == pytest.approx(0.5 * 0.5 + b + 0.25 * 6.5)
    assert training.model.groups == [[0, 2], [1]]


def test_metrics_are_in_the_users_unit_and_the_loss_as_it_is_trained() -> None:
    """Prices 90 and 110, of mean 100 and deviation 10; 100 and 120 are predicted."""
    task = Task()
    task.targets = (Target("price", "regression", scale=10.0, offset=100.0),)
    outputs = torch.tensor([[0.0], [2.0]])
    found = Evaluation((outputs,), torch.zeros(1, 2, 0), torch.ones(1), 1.0, {})
    split = Split(torch.zeros(2, 1), torch.tensor([[-1.0], [1.0]]))
    (scores,) = target_scores(task, ["rmse", "mae", "mse", "r2"], [found], split)
    assert scores == {"price": {"loss": 1, "rmse": 10, "mae": 10, "mse": 100, "r2": 0}}
