"""The sparsemax gate: weights that the data decides to make zero."""

from __future__ import annotations

from torch import Tensor

from gatelab.gates.gate import Gate, Routing, register_gate
from gatelab.gates.logits import Logits, for_each_row
from gatelab.gates.rowwise import sparsemax


@register_gate("sparsemax")
class SparsemaxGate(Gate):
    """Weighs the experts by the projection of linear logits onto the simplex.

    Source: Martins and Astudillo, From Softmax to Sparsemax: A Sparse Model of Attention and
    Multi-Label Classification, ICML 2016, eq. 1: sparsemax(z) = argmin ||p - z||^2 over the
    simplex, which is max(z - tau(z), 0).
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
        weights = for_each_row(sparsemax(logits), x)
        return Routing(weights, weights.new_zeros(()), logits=(logits,))
