"""Draws that begin after the rehearsal, as of noise that a schedule turns on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor

from gatelab.gates import Routing, SoftmaxGate
from gatelab.gates.gate import Gate
from gatelab.training.loop import UNKEYED
from gatelab.training.train import Training
from tests.test_rehearsal import RECIPE, Odd, member


class Late(SoftmaxGate):
    """Draws from the middle of the training on."""

    on: Tensor

    def __init__(self, in_features: int, num_experts: int) -> None:
        super().__init__(in_features, num_experts)
        self.register_buffer("on", torch.zeros(()))

    def forward(self, x: Tensor) -> Routing:
        routing = super().forward(x)
        if not self.training or not self.on > 0:
            return routing
        return routing._replace(weights=routing.weights * self.drawn(routing.weights))

    def drawn(self, weights: Tensor) -> Tensor:
        return torch.rand_like(weights)

    def update(self, routing: Routing, progress: Tensor) -> dict[str, Tensor]:
        return {"on": (progress > 0.4).to(self.on)}

    @classmethod
    def schedule_end(cls, hyperparameters: Mapping[str, Any]) -> float:
        return 0.4


class LateUnkeyed(Late):
    """Draws from then on by a function that knows no keys."""

    def drawn(self, weights: Tensor) -> Tensor:
        return torch.poisson(torch.ones_like(weights))


def trained(gate: type[Gate], seeds: list[int]) -> Training:
    training = Training(Odd(), gate, [member(seed) for seed in seeds], RECIPE)
    assert not training.loop.draws
    while not training.done:
        training.run_epoch()
    return training


@pytest.mark.usefixtures("float64")
def test_a_member_that_draws_late_learns_the_same_whoever_is_beside_it() -> None:
    alone = trained(Late, [5])
    assert alone.loop.draws and UNKEYED not in alone.notes
    assert alone.best[0]["mixture.gates.each.on"].all()
    for beside in ([5, 1, 2], [9, 5]):
        own = trained(Late, beside).best[beside.index(5)]
        for tensor, expected in zip(own.values(), alone.best[0].values(), strict=True):
            torch.testing.assert_close(tensor, expected, rtol=1e-9, atol=1e-12)


def test_what_draws_late_from_no_key_is_told_once() -> None:
    assert trained(LateUnkeyed, [5]).notes.count(UNKEYED) == 1
    assert trained(SoftmaxGate, [5]).notes == []
