"""Gates that learn nothing: what a learned gate must beat, and the two ends of sharing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

import torch
from torch import Tensor

from gatelab.gates.gate import Gate, Role, Routing, check_k, register_gate
from gatelab.gates.logits import for_each_row


@register_gate("uniform")
class UniformGate(Gate):
    """Weighs all experts equally for every target: an ensemble without a choice."""

    role: ClassVar[Role] = "baseline"
    row: Tensor

    def __init__(self, in_features: int, num_experts: int) -> None:
        """Make the gate."""
        super().__init__(in_features, num_experts)
        self.register_buffer("row", _shared(range(num_experts), num_experts))

    def forward(self, x: Tensor) -> Routing:
        """Route ``(batch, in_features)``."""
        return _route(self.row, x)


@register_gate("random_k")
class RandomKGate(Gate):
    """Weighs k experts equally, drawn once for each target: what choosing well must beat."""

    role: ClassVar[Role] = "baseline"
    k: int
    row: Tensor

    def __init__(self, in_features: int, num_experts: int, *, k: int = 2) -> None:
        """Make the gate.

        Args:
            in_features: Size of the gate's input.
            num_experts: Number of experts.
            k: Number of experts a target uses, in [1, num_experts].

        Raises:
            ValueError: If ``k`` is out of its range.
        """
        super().__init__(in_features, num_experts)
        check_k(k, num_experts)
        self.k = k
        self.register_buffer("row", _shared(torch.randperm(num_experts)[:k].tolist(), num_experts))

    def forward(self, x: Tensor) -> Routing:
        """Route ``(batch, in_features)``."""
        return _route(self.row, x)


@register_gate("single")
class SingleGate(Gate):
    """Gives every target the first expert: hard parameter sharing.

    Source: Caruana, Multitask Learning, Machine Learning 1997.
    """

    role: ClassVar[Role] = "baseline"
    k: int = 1
    row: Tensor

    def __init__(self, in_features: int, num_experts: int) -> None:
        """Make the gate."""
        super().__init__(in_features, num_experts)
        self.register_buffer("row", _shared([0], num_experts))

    def forward(self, x: Tensor) -> Routing:
        """Route ``(batch, in_features)``."""
        return _route(self.row, x)


@register_gate("one_each")
class OneEachGate(Gate):
    """Gives every target an expert of its own: nothing is shared but the bottom."""

    role: ClassVar[Role] = "baseline"
    k: int = 1
    row: Tensor

    def __init__(self, in_features: int, num_experts: int) -> None:
        """Make the gate, which is the first target's until it is placed."""
        super().__init__(in_features, num_experts)
        self.register_buffer("row", _shared([0], num_experts))

    def place(self, target: int, num_targets: int) -> None:
        """Take the expert of the target's index.

        Raises:
            ValueError: If there are more targets than experts.
        """
        num_experts = self.num_experts
        if num_targets > num_experts:
            raise ValueError(
                f"`num_targets <= num_experts` must hold, but got ({num_targets=}, {num_experts=})."
            )
        self.row = _shared([target], num_experts)

    def forward(self, x: Tensor) -> Routing:
        """Route ``(batch, in_features)``."""
        return _route(self.row, x)


@register_gate("independent")
class IndependentGate(OneEachGate):
    """Gives every target an expert of its own, and brings one for each: single-task learning.

    Whatever ``model.num_experts`` says, so that nothing but the bottom is shared in any task.
    """

    @classmethod
    def num_experts_for(cls, num_experts: int, num_targets: int) -> int:
        """Return the number of targets."""
        return num_targets


def _shared(experts: Iterable[int], num_experts: int) -> Tensor:
    """Return a row of weights ``(num_experts,)``, the same for each of some experts."""
    chosen = list(experts)
    row = torch.zeros(num_experts)
    row[chosen] = 1 / len(chosen)
    return row


def _route(row: Tensor, x: Tensor) -> Routing:
    weights = for_each_row(row.unsqueeze(0), x)
    return Routing(weights, weights.new_zeros(()))
