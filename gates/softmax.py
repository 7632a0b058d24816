"""The softmax gate of MMoE: every expert counts."""

from __future__ import annotations

from torch import Tensor

from gatelab.gates.gate import Gate, Routing, register_gate
from gatelab.gates.logits import Logits, for_each_row


@register_gate("softmax")
class SoftmaxGate(Gate):
    """Weighs all experts by a softmax of linear logits.

    Source: Ma et al., Modeling Task Relationships in Multi-task Learning with Multi-gate
    Mixture-of-Experts, KDD 2018, eq. 6: g(x) = softmax(W x).
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
        logits = self.logits.transposed(x)
        weights = for_each_row(logits.softmax(0).mT, x)
        return Routing(weights, weights.new_zeros(()), logits=(logits.mT,))
