"""Towers that give chances where logits are due: warned of before a launch."""

from __future__ import annotations

import pytest
from torch import nn

from gatelab.tasks import Target
from gatelab.tasks.check.chances import towers_of_chances
from gatelab.tasks.check.warned import warnings_of
from tests.broken_tasks import Sound


class Chances(Sound):
    """Ends its towers in what makes chances, that of values too."""

    ends: tuple[nn.Module, ...] = (nn.Sigmoid(), nn.Softmax(1), nn.Sigmoid())

    def tower(self, width: int, target: Target) -> nn.Module:
        index = [each.name for each in self.targets].index(target.name)
        return nn.Sequential(nn.Linear(width, target.out_features), self.ends[index])


class Alike(Chances):
    """Takes classes to be independent."""

    ends = (nn.Identity(), nn.Sigmoid(), nn.Identity())


class Logits(Chances):
    """Gives logarithms of chances, which are logits."""

    ends = (nn.LogSigmoid(), nn.LogSoftmax(1), nn.Identity())


class Positive(Chances):
    """Gives numbers above 0, and above 1."""

    ends = (nn.Softplus(), nn.ReLU(), nn.Identity())


class Zero(Sound):
    """Starts its towers at 0, which says nothing of where they end."""

    def tower(self, width: int, target: Target) -> nn.Module:
        made = nn.Linear(width, target.out_features)
        nn.init.zeros_(made.weight)
        nn.init.zeros_(made.bias)
        return made


class OwnLoss(Chances):
    """Has a loss that may be of chances."""

    targets = (Target("old", "binary", loss="mine:brier"), *Sound.targets[1:])
    ends = (nn.Sigmoid(), nn.Identity(), nn.Identity())


class Raising(Sound):
    """Has a network that others tell of."""

    def tower(self, width: int, target: Target) -> nn.Module:
        return nn.Linear(width + 1, target.out_features)


def test_chances_are_told_of_each_target_that_is_of_classes() -> None:
    said = (
        "the tower of 'old' gives numbers from 0 to 1 alone, but towers give logits: leave out "
        "the Sigmoid?",
        "the tower of 'shape' gives numbers from 0 to 1 alone, but towers give logits: leave out "
        "the Softmax?",
    )
    assert towers_of_chances(Chances()) == said
    assert set(said) <= set(warnings_of(Chances()))


def test_classes_that_are_taken_to_be_independent_are_told_of() -> None:
    (line,) = towers_of_chances(Alike())
    assert "'shape'" in line and "Sigmoid" in line


@pytest.mark.parametrize("cls", [Sound, Logits, Positive, Zero, OwnLoss, Raising])
def test_nothing_is_said_of_what_may_be_logits(cls: type[Sound]) -> None:
    assert towers_of_chances(cls()) == ()
