"""Mean-regularised: a step by hand, the gradient of the objective, and what no pull equals."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.func import functional_call

from gatelab.gates import SoftmaxGate
from gatelab.training.learners.mean_regularized import MeanRegularized
from gatelab.training.member import Recipe
from gatelab.training.train import Training
from tests.test_gossip import GROUPS, SHARED, Sums, member, numbers, trained

pytestmark = pytest.mark.usefixtures("float64")


def pulled(seed: int = 0, **options: Any) -> Any:
    return member(seed, learner="mean_regularized", **options)


def test_two_steps_by_hand() -> None:
    """From 0 a tenth of -2 and -6 leads to 0.2 and 0.6, where outputs are 0.4 and 1.2.

    Gradients there are -1.2 and -3.6, and half of the way from the mean 0.4, -0.1 and 0.1.
    """
    training = Training(Sums(), SoftmaxGate, [pulled(pull=0.5)], Recipe(4, 3))
    training.run_epoch()
    assert numbers(training) == [pytest.approx([0.2, 0.6])] * 2
    ((_, found),) = training.run_epoch().values()
    assert numbers(training) == [pytest.approx([0.33, 0.95]), pytest.approx([0.32, 0.96])]
    assert found.learner == {"spread": pytest.approx(0.62**2 / 2)}


def test_a_step_follows_the_gradient_of_the_whole_objective() -> None:
    """Of the targets' losses and half the pull times the squared distances, by autograd."""
    pull, rate = 0.7, 0.05
    training = Training(
        GROUPS, SoftmaxGate, [pulled(pull=pull, rate=rate, experts=4)], Recipe(96, 2)
    )
    training.run_epoch()  # from one start all copies are alike
    copies = training.copies.state(training.members, 0)
    learnt = {n: t.clone().requires_grad_() for n, t in copies.items() if t.is_floating_point()}
    split = training.split("train")

    def loss(target: int) -> Tensor:
        output = functional_call(
            training.model, {n: t[target] for n, t in learnt.items()}, split[0]
        )
        rows = training.model.row_losses(output.groups, split.targets)
        return training.model.target_losses(rows, None)[target]

    shared = [t for name, t in learnt.items() if name.startswith(SHARED)]
    apart = sum((t - t.mean(0)).square().sum() for t in shared)
    (sum(map(loss, range(3))) + pull / 2 * apart).backward()  # type: ignore[union-attr]
    training.run_epoch()
    after = training.copies.state(training.members, 0)
    assert apart > 0
    for name, before in learnt.items():
        if before.grad is not None:
            assert torch.allclose(after[name], before - rate * before.grad, rtol=0, atol=1e-12)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_without_a_pull_targets_are_trained_apart(optimizer: str) -> None:
    """Bit for bit as members that minimise the loss of one target alone."""
    options = {"optimizer": optimizer, "rate": 0.01, "experts": 4}
    ones = [[float(t == own) for t in range(3)] for own in range(3)]
    together = trained(SoftmaxGate, [pulled(3, pull=0.0, **options)], Recipe(20, 3))
    alone = trained(SoftmaxGate, [member(3, one, "", **options) for one in ones], Recipe(20, 3))
    assert torch.equal(together.members.flat, alone.members.flat)


def test_each_member_has_a_pull_of_its_own_and_a_large_one_brings_together() -> None:
    """Beside each other as each alone, also when the first has left."""
    pulls = (0.0, 1.0, 8.0)
    options = {"rate": 0.1, "experts": 4}
    members = [pulled(2, pull=pull, **options) for pull in pulls]
    assert len({one.configuration.structure() for one in members}) == 1
    together = Training(GROUPS, SoftmaxGate, members, Recipe(32, 4))
    alone = [trained(SoftmaxGate, [one], Recipe(32, 4)) for one in members]
    together.run_epoch()
    together.drop([0])
    while not together.done:
        spreads = [found.learner["spread"] for _, found in together.run_epoch().values()]
    assert spreads[1] < spreads[0] / 10
    for place in (0, 1):
        ours = together.copies.state(together.members, place)
        for name, theirs in alone[place + 1].copies.state(alone[place + 1].members, 0).items():
            assert torch.allclose(ours[name], theirs, rtol=0, atol=1e-12)


def test_a_bad_pull_is_a_line() -> None:
    completed = MeanRegularized.completed({"pull": -1.0, "rows": "shraed"})
    found = MeanRegularized.faults(completed, 3)
    assert found["pull"] == "`0 <= pull < inf` must hold, but got (pull=-1.0)."
    assert "'shared'" in found["rows"]
