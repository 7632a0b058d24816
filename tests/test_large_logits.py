"""Gates whose logits are all very large or very small give finite numbers in single precision."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
import torch

from gatelab.gates import gates
from gatelab.gates.auxiliary import make_gate
from gatelab.gates.gate import Gate
from gatelab.gates.logits import Logits
from gatelab.gates.randomness import drawing_from

FEATURES, EXPERTS = 6, 8


def choices(cls: type[Gate]) -> list[dict[str, Any]]:
    """Return the default, and every choice of yes or no the other way."""
    parameters = inspect.signature(cls).parameters.values()
    return [{}, *({p.name: not p.default} for p in parameters if isinstance(p.default, bool))]


@torch.no_grad()
def with_logits(cls: type[Gate], options: dict[str, Any], value: float) -> Gate:
    """Make a gate whose logits of ones are all of one value."""
    gate = make_gate(cls, FEATURES, EXPERTS, **options)
    for module in gate.modules():
        if isinstance(module, Logits):
            if module.kernel is not None:
                module.kernel.fill_(value / FEATURES)
            if module.bias is not None:
                module.bias.fill_(value if module.kernel is None else 0.0)
    return gate


@pytest.mark.parametrize("value", [1e4, -1e4])
@pytest.mark.parametrize("name", gates.names())
def test_weights_and_gradients_are_finite(name: str, value: float) -> None:
    for options in choices(gates.get(name)):
        with drawing_from(0):
            gate = with_logits(gates.get(name), options, value)
            routing = gate(torch.ones(5, FEATURES))
        assert routing.weights.isfinite().all() and routing.aux_loss.isfinite()
        loss = (routing.weights * torch.arange(EXPERTS)).sum() + routing.aux_loss
        learnt = [p for p in gate.parameters() if p.requires_grad and loss.requires_grad]
        for gradient in torch.autograd.grad(loss, learnt, allow_unused=True) if learnt else ():
            assert gradient is None or gradient.isfinite().all()
