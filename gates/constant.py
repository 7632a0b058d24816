"""The constant prediction: what a task comes to without its inputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor

from gatelab.gates.gate import Gate, Role, Routing, register_gate


@register_gate("constant")
class ConstantGate(Gate):
    """Uses no expert, so that every prediction is a constant: what any model must beat.

    Of a regression target that is the mean of its train values, of the others the shares of their
    classes, all exact: nothing is trained.
    """

    role: ClassVar[Role] = "baseline"
    trained: ClassVar[bool] = False
    expected_failed_checks: ClassVar[Mapping[str, str]] = {
        "weights_sum_to_one": "no expert contributes, so that every weight is zero"
    }

    def forward(self, x: Tensor) -> Routing:
        """Route ``(batch, in_features)``."""
        weights = x.new_zeros(len(x), self.num_experts)
        return Routing(weights, weights.new_zeros(()))
