"""ANIL with targets that are held out: where they begin, and that nothing of them is trained."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from gatelab.gates import SoftmaxGate
from gatelab.tasks import Network, Split, SyntheticGroups, Target
from gatelab.training.learners.adapting import Starts
from gatelab.training.member import Recipe
from gatelab.training.train import Training
from tests.test_anil import meta
from tests.test_gossip import SHARED

pytestmark = pytest.mark.usefixtures("float64")


class Others(SyntheticGroups):
    """The same, but for what the last target is in train and val."""

    def split(self, name: Any) -> Split:
        found = super().split(name)
        values = found.targets.clone()
        values[:, -1] = 5 - values[:, -1]
        return found if name == "test" else found._replace(targets=values)


@pytest.mark.parametrize("start", ["own", "common"])
@pytest.mark.parametrize("inner_steps", [0, 2])
def test_a_held_out_target_is_adapted_to_alone(start: str, inner_steps: int) -> None:
    """Nothing that is trained depends on its values; it is scored from where the others are."""
    options = {"held_out": 1, "start": start, "inner_steps": inner_steps, "experts": 4}
    sizes = {"num_targets": 3, "train_rows": 96, "val_rows": 64, "test_rows": 64}
    one, other = (
        Training(task(**sizes), SoftmaxGate, [meta(4, rate=0.05, **options)], Recipe(32, 3))
        for task in (SyntheticGroups, Others)
    )
    before = one.members.state(0)
    for training in (one, other):
        while not training.done:
            training.run_epoch()
    assert torch.equal(one.members.flat, other.members.flat)
    after = one.members.state(0)
    own = [name for name in one.members.shapes if not name.startswith(SHARED)]
    first = 1 if start == "common" else 2
    for name in own:
        assert torch.equal(after[name][first:], before[name][first:]), "without a gradient it stays"
        assert not torch.equal(after[name][0], before[name][0])
    (found,) = one.evaluate_best("test")
    assert found.learner["held_out_loss"] == float(found.losses[-1])
    if inner_steps == 0:
        served = one.served(0)
        for name in own:
            best = one.best[0][name]
            begin = best[0] if start == "common" else best[:2].mean(0)
            assert torch.equal(served[name][2], begin)


def test_towers_of_another_form_start_from_their_own() -> None:
    """Of the third kind none is trained: there is no mean, and its own start is left."""
    names = (
        "towers.0.each.weight",
        "towers.1.each.weight",
        "mixture.gates.each.kernel",
        "bottom.x",
    )
    tensors = {n: torch.arange(3.0 if "gates" in n else 2.0) for n in names}
    found = Starts([[0, 2], [1]], names, 2, common=False).of(tensors)
    assert found["towers.0.each.weight"].tolist() == [0.0, 0.0]
    assert found["towers.1.each.weight"].tolist() == [0.0, 1.0]
    assert found["mixture.gates.each.kernel"].tolist() == [0.0, 0.0, 0.0]
    assert found["bottom.x"] is tensors["bottom.x"]


class Apart(SyntheticGroups):
    """The last target has a tower of a form of its own."""

    def network(self, **options: Any) -> Network:
        found = super().network(**options)
        last = self.targets[-1]

        def tower(target: Target) -> nn.Module:
            made = found.tower(target)
            return nn.Sequential(made, nn.Linear(1, 1)) if target is last else made

        return replace(found, tower=tower)


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_what_no_step_is_to_move_does_not_decay(optimizer: str) -> None:
    """A held-out target that starts from a tower of its own finds it as it was."""
    options = {"held_out": 1, "inner_steps": 2, "experts": 4, "optimizer": optimizer}
    task = Apart(num_targets=3, train_rows=96, val_rows=64, test_rows=64)
    training = Training(task, SoftmaxGate, [meta(4, weight_decay=0.1, **options)], Recipe(32, 3))
    before = training.members.state(0)
    while not training.done:
        training.run_epoch()
    after = training.members.state(0)
    own = {name for name in before if name.startswith("towers.1.")}
    assert len(own) > 2 and all(torch.equal(after[name], before[name]) for name in own)
    others = training.members.shapes.keys() - own
    assert not any(torch.equal(after[name], before[name]) for name in others)
