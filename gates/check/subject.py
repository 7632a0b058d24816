"""What is checked: a gate's class with its hyperparameters, and inputs to try it on."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from gatelab.conformance import fail
from gatelab.gates.auxiliary import make_gate
from gatelab.gates.gate import Gate, Routing
from gatelab.gates.randomness import drawing_from

FEATURES, EXPERTS, BATCH = 6, 8, 8


@dataclass(frozen=True)
class Subject:
    """A gate's class and the hyperparameters to check it with."""

    cls: type[Gate]
    hyperparameters: Mapping[str, Any]

    def make(self, *, num_experts: int = EXPERTS, seed: int = 0, **changes: Any) -> Gate:
        """Make a gate from a seed, in training mode."""
        options = copy.deepcopy({**self.hyperparameters, **changes})
        with drawing_from(seed):
            return make_gate(self.cls, FEATURES, num_experts, **options)

    def defaults(self) -> dict[str, Any]:
        """Return the value of every keyword argument of the constructor that has one."""
        parameters = inspect.signature(self.cls).parameters.values()
        found = {p.name: p.default for p in parameters if p.default is not p.empty}
        return {**found, **self.hyperparameters}


def rows(batch: int = BATCH, seed: int = 0) -> Tensor:
    """Return inputs ``(batch, FEATURES)``, standard normal."""
    return torch.randn(batch, FEATURES, generator=torch.Generator().manual_seed(seed))


def route(gate: Gate, x: Tensor, seed: int = 0) -> Routing:
    """Route with torch's random state set, and put back afterwards."""
    with drawing_from(seed):
        routing: Routing = gate(x)
    return routing


def learnt_of(gate: nn.Module) -> dict[str, nn.Parameter]:
    """Return the parameters that are not frozen, by name."""
    return {name: p for name, p in gate.named_parameters() if p.requires_grad}


def descend(loss: Tensor) -> None:
    """Leave the gradient of a loss at what it depends on.

    Raises:
        CheckFailed: If it depends on nothing that is learnt.
    """
    if not loss.requires_grad:
        fail("neither weights nor aux_loss has a gradient", "an argmax, a comparison or a detach")
    loss.backward()


def random_in_training(gate: Gate) -> bool:
    """Return whether two passes in training differ."""
    x = rows()
    first, second = route(gate, x, 0), route(gate, x, 1)
    return not (
        torch.equal(first.weights, second.weights) and torch.equal(first.aux_loss, second.aux_loss)
    )


KEEPS = "state kept in forward, which belongs in `update`, or numbers that are not torch's"
"""What most likely lets a pass differ from one before it, from the same seed."""


def repeats(gate: Gate) -> bool:
    """Return whether two passes from one seed are equal: what differs otherwise is drawn."""
    first, second = (route(gate, rows(), 0).weights for _ in range(2))
    return torch.equal(first.nan_to_num(), second.nan_to_num())


def alike(first: Tensor, second: Tensor, tolerance: float = 1e-5) -> bool:
    """Return whether two tensors are equal within rounding."""
    return first.shape == second.shape and torch.allclose(
        first.double(), second.double(), rtol=tolerance, atol=tolerance
    )
