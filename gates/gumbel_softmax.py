"""The Gumbel-softmax gate: samples an expert, ever more sharply, and learns through the sample."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from optuna.distributions import CategoricalDistribution, FloatDistribution
from torch import Tensor

from gatelab.gates.gate import Gate, Routing, register_gate
from gatelab.gates.logits import Logits, for_each_row
from gatelab.nn.short_rows import softmax
from gatelab.rules import check_positive


@register_gate("gumbel_softmax")
class GumbelSoftmaxGate(Gate):
    """Weighs the experts by a softmax of logits with Gumbel noise at a falling temperature.

    Source: Jang, Gu and Poole, Categorical Reparameterization with Gumbel-Softmax, ICLR 2017, and
    Maddison, Mnih and Teh, The Concrete Distribution, ICLR 2017: softmax((z + g) / temperature),
    g_i = -log(-log(u_i)), u_i from U(0, 1), the noise in training only.
    """

    search_space = {
        "temperature": FloatDistribution(0.5, 5.0, log=True),
        "final_temperature": FloatDistribution(0.1, 1.0, log=True),
        "straight_through": CategoricalDistribution([False, True]),
    }
    diagnostics = {
        "temperature": "temperature of the softmax at this epoch",
    }
    temperature: Tensor
    final_temperature: Tensor
    current_temperature: Tensor

    def __init__(
        self,
        in_features: int,
        num_experts: int,
        *,
        temperature: float = 1.0,
        final_temperature: float = 0.5,
        straight_through: bool = False,
        static: bool = False,
    ) -> None:
        """Make the gate.

        Args:
            in_features: Size of the gate's input.
            num_experts: Number of experts.
            temperature: At the start of training, above 0.
            final_temperature: At its end, above 0; in between the fall is geometric.
            straight_through: Use the sampled expert alone, with the soft weights' gradient.
            static: Weigh every example alike.

        Raises:
            ValueError: If a temperature is not above zero.
        """
        super().__init__(in_features, num_experts)
        check_positive(temperature=temperature, final_temperature=final_temperature)
        self.register_hyperparameters(
            temperature=temperature,
            final_temperature=final_temperature,
            current_temperature=temperature,
        )
        self.straight_through = straight_through
        if straight_through:
            self.k = 1
        self.logits = Logits(in_features, num_experts, static=static, bias=False)

    def forward(self, x: Tensor) -> Routing:
        """Route ``(batch, in_features)``."""
        logits = self.logits(x)
        # Each example has its own draw, also where the gate is static: one would be too noisy.
        noisy = logits + gumbel_like(for_each_row(logits, x)) if self.training else logits
        weights = softmax(noisy / self.current_temperature)
        if self.straight_through:
            weights = hard_forward(weights)
        diagnostics = {} if self.training else {"temperature": self.current_temperature}
        weights = for_each_row(weights, x)
        return Routing(weights, weights.new_zeros(()), diagnostics, (logits,))

    @classmethod
    def schedule_end(cls, hyperparameters: Mapping[str, Any]) -> float:
        """Return 1: the temperature falls until the end."""
        return 1.0

    def update(self, routing: Routing, progress: Tensor) -> dict[str, Tensor]:
        """Return the temperature of the next step."""
        start, end = self.temperature, self.final_temperature
        return {"current_temperature": (start * (end / start) ** progress).to(start.dtype)}


def gumbel_like(logits: Tensor) -> Tensor:
    """Return standard Gumbel noise of the logits' shape."""
    # A draw of exactly 0 would be noise of -inf, and a row of only such has no softmax.
    uniform = torch.rand_like(logits).clamp(min=torch.finfo(logits.dtype).tiny)
    return -(-uniform.log()).log()


def hard_forward(weights: Tensor) -> Tensor:
    """Return rows ``(..., n)`` with 1 for the largest weight, else 0, and the weights' gradient."""
    largest = weights.argmax(-1, keepdim=True)
    hard = torch.zeros_like(weights).scatter(-1, largest, torch.ones_like(weights[..., :1]))
    # In this order the added zero is exact.
    return hard + (weights - weights.detach())
