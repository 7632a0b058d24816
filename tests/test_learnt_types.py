"""All that a model learns is of one type: a row of parameters has no other."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gatelab.gates import Routing, SoftmaxGate
from gatelab.gates.check import run_checks
from gatelab.training.member import Recipe
from gatelab.training.members import Members
from gatelab.training.train import Training
from tests.broken_gates import Sound
from tests.scaled import BATCH, Scaled, member


class Typed(Sound):
    """Has a kernel of another type, cast as need be."""

    dtype = torch.float64
    learnt = True

    def __init__(self, in_features: int, num_experts: int, *, scale: float = 1.0) -> None:
        super().__init__(in_features, num_experts, scale=scale)
        kernel = self.kernel.detach().to(self.dtype)
        self.kernel = nn.Parameter(kernel, requires_grad=self.learnt)

    def forward(self, x: Tensor) -> Routing:
        """Route ``(batch, in_features)``."""
        logits = (x.to(self.kernel.dtype) @ self.kernel).real.to(x.dtype)
        weights = (self.scale * logits).softmax(-1)
        return Routing(weights, weights.square().sum(-1).mean())


class Short(Typed):
    """Has one that would train in single precision, and be served in its own."""

    dtype = torch.bfloat16


class Complex(Typed):
    """Has one of complex numbers."""

    dtype = torch.complex64


class ShortFrozen(Short):
    """Has one that learns nothing."""

    learnt = False


ODD = [Typed, Short, Complex]


@pytest.mark.parametrize("gate", ODD)
def test_a_training_refuses_another_type_by_name(gate: type[Any]) -> None:
    with pytest.raises(ValueError) as caught:
        Training(Scaled(), gate, [member()], Recipe(BATCH, 1))
    assert str(caught.value) == (
        "All that a model learns must be of one type, but 'mixture.gates.each.kernel' is "
        f"{gate.dtype} and others are torch.float32: make it of that, and cast in forward what "
        "must be another."
    )


def test_what_is_frozen_may_be_of_any_type() -> None:
    training = Training(Scaled(), ShortFrozen, [member()], Recipe(BATCH, 1))
    training.run_epoch()
    assert training.served(0)["mixture.gates.each.kernel"].dtype == torch.bfloat16


def test_one_type_may_be_any() -> None:
    assert Members([nn.Linear(2, 1, dtype=torch.float64)]).flat.dtype == torch.float64


@pytest.mark.parametrize("gate", ODD)
def test_the_check_of_a_gate_finds_it(gate: type[Any]) -> None:
    found = {it.check: it.reason for it in run_checks(gate)}["float64_and_float32_agree"]
    said = f"all that a model learns is torch.float32, but 'kernel' is {gate.dtype}; likely cause"
    assert found.startswith(said)


def test_the_check_of_a_gate_follows_torchs_default_type(float64: None) -> None:
    found = {it.check: it.reason for it in run_checks(SoftmaxGate)}["float64_and_float32_agree"]
    assert not found.startswith("all that a model learns")
