"""Who goes on when a member leaves has the numbers of its gate that it had."""

from __future__ import annotations

import pytest

from gatelab.gates import gates
from gatelab.training.train import Training
from tests.test_training import RECIPE, TASK, course, member


@pytest.mark.parametrize(
    ("gate", "option", "values"),
    [
        ("dselect_k", "gamma", (0.3, 1.0, 3.0)),
        ("gumbel_softmax", "temperature", (0.2, 1.0, 5.0)),
        ("bias_balanced_top_k", "update_rate", (1e-4, 1e-2, 0.5)),
    ],
)
def test_hyperparameters_stay_with_their_members(
    gate: str, option: str, values: tuple[float, ...]
) -> None:
    """They are buffers, stacked as the weights are; the first member runs away and leaves."""
    rates = (1e20, 3e-2, 3e-2)
    members = [
        member(seed, gate={option: value}, learning_rate=rate)
        for seed, (value, rate) in enumerate(zip(values, rates, strict=True))
    ]
    first, *others = course(Training(TASK, gates.get(gate), members, RECIPE))
    assert len(first) < RECIPE.max_epochs == len(others[0])
    for losses, own in zip(others, members[1:], strict=True):
        (alone,) = course(Training(TASK, gates.get(gate), [own], RECIPE))
        assert losses == pytest.approx(alone, rel=1e-3)
