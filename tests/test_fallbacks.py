"""What torch calls for one model after another is one line, in place of its own warnings."""

from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import torch
from torch import Tensor

from gatelab.gates import Routing, SoftmaxGate
from gatelab.tasks import SyntheticGroups
from gatelab.training.configuration import Configuration
from gatelab.training.fallbacks import fallbacks
from gatelab.training.member import Member, Recipe
from gatelab.training.train import Training

SCATTERED = (
    "`scatter_` is called for one model after another, which takes longer, since torch cannot call "
    "it for all at once: try `scatter`, which returns a new tensor"
)
QUANTILE = (
    "`nanquantile` is called for one model after another, which takes longer, since torch cannot "
    "call it for all at once"
)
GATE = """
import torch

from gatelab import Routing, register_gate
from gatelab.gates import SoftmaxGate


@register_gate("scattering")
class Scattering(SoftmaxGate):
    '''Keeps the highest weight.'''

    def forward(self, x):
        weights = super().forward(x).weights
        _, kept = weights.topk(1)
        ones = torch.zeros_like(weights).scatter_(1, kept, torch.ones_like(weights[:, :1]))
        return Routing(ones, x.new_zeros(()))
"""
SPEC = """
name: s
task: {name: synthetic_groups, num_targets: 2, train_rows: 512, val_rows: 64, test_rows: 64}
gates: {mine: {gate: "mine:scattering"}}
training: {batch_size: 16, max_epochs: 2}
baselines: false
"""


def scatters(weights: Tensor) -> Tensor:
    _, kept = weights.topk(1)
    return torch.zeros_like(weights).scatter_(1, kept, weights[:, :1])


def quantile(weights: Tensor) -> Tensor:
    return weights.nanquantile(0.5)


class Middling(SoftmaxGate):
    """Draws weights to their middle one."""

    def forward(self, x: Tensor) -> Routing:
        weights = super().forward(x).weights
        return Routing(weights + 0 * quantile(weights), x.new_zeros(()))


def test_each_operation_is_one_line_whatever_else_is_warned_of() -> None:
    notes = ["one before"]
    many = torch.rand(3, 4, 2)
    with pytest.warns(DeprecationWarning, match="^mine$") as shown, fallbacks(notes):
        torch.vmap(scatters)(many)
        warnings.warn("mine", DeprecationWarning, stacklevel=1)
        torch.vmap(quantile)(many)
        torch.vmap(scatters)(many)
    assert notes == ["one before", SCATTERED, QUANTILE]
    assert len(shown) == 1 and shown[0].filename == __file__


def test_what_is_raised_meanwhile_is_raised() -> None:
    notes: list[str] = []
    with pytest.raises(KeyError), fallbacks(notes):
        torch.vmap(scatters)(torch.rand(3, 4, 2))
        raise KeyError
    assert notes == [SCATTERED]


def test_a_rehearsal_says_so() -> None:
    task = SyntheticGroups(num_targets=2, train_rows=96, val_rows=48, test_rows=48)
    configuration = Configuration.of(
        {}, {"num_experts": 3}, {"name": "adam", "learning_rate": 0.01, "weight_decay": 0.0}
    )
    members = [Member(configuration, seed) for seed in (0, 1)]
    assert Training(task, Middling, members, Recipe(32, 2)).notes == [QUANTILE]
    assert Training(task, SoftmaxGate, members, Recipe(32, 2)).notes == []


@pytest.mark.slow
def test_a_command_says_it_in_the_place_of_torch(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(GATE)
    (tmp_path / "s.yaml").write_text(SPEC)
    found = [
        subprocess.run(
            [sys.executable, "-m", "gatelab", *words],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        for words in (["validate", "s.yaml"], ["check", "gate", "mine:scattering"])
    ]
    assert f"mine: {SCATTERED}" in found[0].stdout
    assert "checks pass" in found[1].stdout
    assert not any("performance drop" in one.stdout + one.stderr for one in found)
