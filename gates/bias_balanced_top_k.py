"""The bias-balanced Top-k gate: experts are kept in use by a bias, without a loss for it."""

from __future__ import annotations

import torch
from optuna.distributions import FloatDistribution
from torch import Tensor
from torch.nn.functional import softplus

from gatelab.gates.gate import Gate, Routing, check_k, register_gate
from gatelab.gates.logits import Logits
from gatelab.nn.short_rows import softmax
from gatelab.rules import check_not_negative


@register_gate("bias_balanced_top_k")
class BiasBalancedTopKGate(Gate):
    """Keeps the k largest biased scores, and weighs those experts by their scores without it.

    Source: Wang et al., Auxiliary-Loss-Free Load Balancing Strategy for Mixture-of-Experts, 2024,
    with DeepSeek-V3's normalised sigmoid scores: s = sigmoid(x W), g_i = s_i / sum_kept s where
    s_i + b_i is among the k largest, and b_i += u * sign(mean load - load_i) after each step.
    """

    search_space = {
        "update_rate": FloatDistribution(1e-4, 1e-1, log=True),
    }
    diagnostics = {
        "bias_range": "largest bias of an expert minus the smallest",
    }
    k: int
    update_rate: Tensor
    bias: Tensor

    def __init__(
        self, in_features: int, num_experts: int, *, k: int = 2, update_rate: float = 1e-3
    ) -> None:
        """Make the gate.

        Args:
            in_features: Size of the gate's input.
            num_experts: Number of experts.
            k: Number of experts an example uses, in [1, num_experts].
            update_rate: What a step adds to or takes from an expert's bias, 0 or more; the
                published 0.001 is for many thousands of steps.

        Raises:
            ValueError: If a value is out of its range.
        """
        super().__init__(in_features, num_experts)
        check_k(k, num_experts)
        check_not_negative(update_rate=update_rate)
        self.register_hyperparameters(update_rate=update_rate)
        self.register_buffer("bias", torch.zeros(num_experts))
        self.k = k
        self.logits = Logits(in_features, num_experts, static=False, bias=False)

    def forward(self, x: Tensor) -> Routing:
        """Route ``(batch, in_features)``."""
        logits = self.logits(x)
        experts = (logits.detach().sigmoid() + self.bias).topk(self.k, dim=-1).indices
        # s / sum(s), which is 0 / 0 where all of a row's sigmoids underflow.
        # Written as -softplus(-x): torch 2.11 cannot vmap log(sigmoid(x)) twice on CUDA.
        kept = softmax(-softplus(-logits.gather(-1, experts)))
        weights = torch.zeros_like(logits).scatter(-1, experts, kept)
        diagnostics = {} if self.training else {"bias_range": self.bias.max() - self.bias.min()}
        return Routing(weights, weights.new_zeros(()), diagnostics, (logits,))

    def update(self, routing: Routing, progress: Tensor) -> dict[str, Tensor]:
        """Return biases moved towards the experts with fewer examples than the mean."""
        # Numbers, not shares: these are exact, and even loads then move nothing.
        load = (routing.weights > 0).to(self.bias.dtype).sum(0)
        return {"bias": self.bias + self.update_rate * (load.mean() - load).sign()}
