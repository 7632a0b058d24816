"""The oracle: the experts that a task is really made from, which no gate can know."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from gatelab.gates.gate import Gate, Planted, Role, Routing, register_gate


@register_gate("oracle")
class OracleGate(Gate):
    """Weighs the experts that a task plants for each target equally: what choosing can come to.

    A ceiling beside :class:`~gatelab.gates.fixed.RandomKGate`'s floor, where a task has a truth.
    Planted teacher i is expert i. Where the truth depends on the example, so do the weights.
    """

    role: ClassVar[Role] = "ceiling"
    rows: Tensor
    directions: Tensor

    def __init__(self, in_features: int, num_experts: int) -> None:
        """Make the gate, which takes the first expert until the truth is revealed."""
        super().__init__(in_features, num_experts)
        self.register_buffer("rows", None)
        self.register_buffer("directions", None)
        self._keep(Planted((frozenset({0}),)))

    def reveal(self, planted: Planted | None) -> None:
        """Take the planted experts.

        Raises:
            ValueError: If there are none, they are more than the experts, or they depend on
                another input than the gate's.
        """
        num_experts, in_features = self.num_experts, self.in_features
        if planted is None:
            raise ValueError("`oracle` needs a task that knows its truth, but this one has none.")
        teachers = 1 + max(max(experts) for experts in planted.experts)
        if teachers > num_experts:
            raise ValueError(
                "`planted experts <= num_experts` must hold for `oracle`, "
                f"but got ({teachers}, {num_experts=})."
            )
        if any(len(direction) != in_features for direction in planted.directions):
            raise ValueError(
                "`oracle` needs gates that read what the truth depends on, "
                f"{len(planted.directions[0])} numbers, but got ({in_features=})."
            )
        self._keep(planted)

    def _keep(self, planted: Planted) -> None:
        """Keep the weights by regime, ``(regimes, num_experts)``, and what tells regimes apart."""
        self.rows = torch.zeros(len(planted.experts), self.num_experts)
        for row, experts in zip(self.rows, planted.experts, strict=True):
            row[list(experts)] = 1 / len(experts)
        directions = torch.tensor(planted.directions, dtype=self.rows.dtype)
        self.directions = directions.view(-1, self.in_features)

    def forward(self, x: Tensor) -> Routing:
        """Route ``(batch, in_features)``."""
        sides = (x @ self.directions.mT > 0).long()
        regime = (sides << torch.arange(sides.shape[1], device=x.device)).sum(1)
        weights = self.rows[regime]
        return Routing(weights, weights.new_zeros(()))
