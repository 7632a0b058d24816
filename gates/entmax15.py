"""The 1.5-entmax gate: sparse as sparsemax's, but smooth where an expert comes in."""

from __future__ import annotations

from torch import Tensor

from gatelab.gates.gate import Gate, Routing, register_gate
from gatelab.gates.logits import Logits, for_each_row
from gatelab.gates.rowwise import entmax15


@register_gate("entmax15")
class Entmax15Gate(Gate):
    """Weighs the experts by the 1.5-entmax of linear logits.

    Source: Peters, Niculae and Martins, Sparse Sequence-to-Sequence Models, ACL 2019:
    entmax(z) = argmax p^T z + H(p) over the simplex with H the Tsallis entropy of alpha = 1.5,
    which is max(z / 2 - tau(z), 0)^2.
    """

    def __init__(self, in_features: int, num_experts: int, *, static: bool = False) -> None:
        """Make the gate.

        Args:
            in_features: Size of the gate's input.
            num_experts: Number of experts.
            static: Whether to weigh every example alike.
        """
        super().__init__(in_features, num_experts)
        self.logits = Logits(in_features, num_experts, static=static, bias=False)

    def forward(self, x: Tensor) -> Routing:
        """Route ``(batch, in_features)``."""
        logits = self.logits(x)
        weights = for_each_row(entmax15(logits), x)
        return Routing(weights, weights.new_zeros(()), logits=(logits,))
