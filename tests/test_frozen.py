"""What is frozen stays as it was made: layers, gates, kept statistics."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gatelab.gates import SoftmaxGate
from gatelab.gates.gate import Gate, Routing
from gatelab.tasks import Network, SyntheticGroups
from gatelab.training.train import Training
from tests.test_training import RECIPE, TASK, course, member


class Frozen(SyntheticGroups):
    """A task whose bottom, and the first layer of whose experts, are as they were made."""

    def network(self, **options: Any) -> Network:
        network = super().network(**options)

        def expert() -> nn.Module:
            made = network.expert()
            next(iter(made.children())).requires_grad_(False)
            return made

        def bottom() -> nn.Module:
            return nn.Linear(self.in_features, self.in_features).requires_grad_(False)

        return replace(network, bottom=bottom, expert=expert)


@pytest.mark.parametrize("name", ["adam", "adamw"])
@pytest.mark.parametrize("seeds", [[3], [3, 4]], ids=["alone", "fused"])
def test_what_is_frozen_stays(name: str, seeds: list[int]) -> None:
    """Bit for bit, whatever the weight decay; what is beside it learns."""
    members = [member(seed, weight_decay=0.3, name=name) for seed in seeds]
    training = Training(Frozen(), SoftmaxGate, members, RECIPE)
    frozen = {n for n, p in training.model.named_parameters() if not p.requires_grad}
    assert {"bottom.weight", "mixture.experts.each.0.weight"} <= frozen
    before = [training.members.state(place) for place in range(len(seeds))]
    training.run_epoch()
    for place, old in enumerate(before):
        new = training.members.state(place)
        assert new.keys() == old.keys()
        assert {n for n in new if torch.equal(new[n], old[n])} == frozen


class Held(SoftmaxGate):
    """Scales its logits by what was drawn once, and counts its steps."""

    def __init__(self, in_features: int, num_experts: int) -> None:
        super().__init__(in_features, num_experts)
        self.scale = nn.Parameter(torch.rand(num_experts), requires_grad=False)
        self.register_buffer("steps", torch.zeros(()))
        self.steps: Tensor

    def forward(self, x: Tensor) -> Routing:
        weights = (self.logits(x) * self.scale).softmax(-1)
        return Routing(weights, weights.new_zeros(()))

    def update(self, routing: Routing, progress: Tensor) -> dict[str, Tensor]:
        return {"steps": self.steps + 1}


class HeldWhole(Held):
    def __init__(self, in_features: int, num_experts: int) -> None:
        super().__init__(in_features, num_experts)
        self.requires_grad_(False)


@pytest.mark.parametrize("gate", [Held, HeldWhole])
@pytest.mark.parametrize("seeds", [[3], [3, 4]], ids=["alone", "fused"])
def test_what_is_frozen_in_a_gate_stays(gate: type[Gate], seeds: list[int]) -> None:
    """Every target's and member's own numbers, though a buffer beside them changes."""
    members = [member(seed, weight_decay=0.3, name="adamw") for seed in seeds]
    training = Training(TASK, gate, members, RECIPE)
    frozen = {n for n, p in training.model.named_parameters() if not p.requires_grad}
    assert {name.rpartition(".")[2] for name in frozen} >= {"scale"}
    before = [training.members.state(place) for place in range(len(seeds))]
    course(training)
    for old, new in zip(before, training.best, strict=True):
        assert {n for n in new if torch.equal(new[n], old[n])} == frozen
        assert len(new["mixture.gates.each.scale"].unique(dim=0)) == len(TASK.targets)


class Kept(nn.BatchNorm1d):
    """Is pretrained: its statistics stay, whatever the mode around it."""

    def __init__(self) -> None:
        super().__init__(16)
        self.requires_grad_(False).running_var.fill_(4)  # type: ignore[union-attr]

    def train(self, mode: bool = True) -> Kept:
        return super().train(False)  # type: ignore[return-value]


class Halved(nn.Module):
    """What the kept statistics come to."""

    def forward(self, x: Tensor) -> Tensor:
        return x / (4 + 1e-5) ** 0.5


def test_statistics_that_are_kept_are_no_others_than_their_numbers() -> None:
    """In the bottom and in every expert, over a training of two members."""

    class Scaled(SyntheticGroups):
        def __init__(self, scaling: type[nn.Module]) -> None:
            super().__init__(num_targets=2, train_rows=64, val_rows=32, test_rows=32)
            self.scaling = scaling

        def network(self) -> Network:  # type: ignore[override]
            network = super().network()
            expert = lambda: nn.Sequential(self.scaling(), network.expert())  # noqa: E731
            return replace(network, bottom=self.scaling, expert=expert)

    found = []
    for scaling in (Kept, Halved):
        training = Training(Scaled(scaling), SoftmaxGate, [member(), member(seed=1)], RECIPE)
        found.append([epoch for each in course(training) for epoch in each])
        kept = [tensor for name, tensor in training.model.named_buffers() if "running" in name]
        assert all(tensor.unique().numel() == 1 for tensor in kept)
    assert found[0] == pytest.approx(found[1], rel=1e-4)


def test_running_statistics_are_refused() -> None:
    class Normed(SyntheticGroups):
        def network(self) -> Network:  # type: ignore[override]
            network = super().network()
            normed = lambda: nn.Sequential(network.expert(), nn.BatchNorm1d(32))  # noqa: E731
            return Network(
                network.bottom, network.gate_input, network.gate_features, normed, network.tower
            )

    with pytest.raises(ValueError, match="LayerNorm"):
        Training(Normed(), SoftmaxGate, [member()], RECIPE)
