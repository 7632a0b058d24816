"""The Top-k gate: a softmax over the k largest logits, with optional noise."""

from __future__ import annotations

import torch
from optuna.distributions import CategoricalDistribution
from torch import Tensor
from torch.nn.functional import softplus

from gatelab.gates.gate import Gate, Routing, check_k, register_gate
from gatelab.gates.logits import Logits, for_each_row
from gatelab.nn.short_rows import softmax


@register_gate("top_k")
class TopKGate(Gate):
    """Keeps the k largest logits and weighs those experts by their softmax.

    Source: Shazeer et al., Outrageously Large Neural Networks: The Sparsely-Gated
    Mixture-of-Experts Layer, ICLR 2017, eqs. 3 to 5: G(x) = softmax(keep_top_k(H(x), k)),
    H(x) = x W_g + N(0, 1) * softplus(x W_noise), the noise in training only.
    """

    search_space = {
        "noise": CategoricalDistribution([False, True]),
        "static": CategoricalDistribution([False, True]),
    }

    def __init__(
        self,
        in_features: int,
        num_experts: int,
        *,
        k: int = 2,
        noise: bool = False,
        static: bool = False,
    ) -> None:
        """Make the gate.

        Args:
            in_features: Size of the gate's input.
            num_experts: Number of experts.
            k: Number of experts an example uses, in [1, num_experts].
            noise: Add the published, learned noise to the logits in training.
            static: Weigh every example alike.

        Raises:
            ValueError: If ``k`` is out of its range.
        """
        super().__init__(in_features, num_experts)
        check_k(k, num_experts)
        self.k = k
        self.logits = Logits(in_features, num_experts, static=static, bias=False)
        # As published, the noise's kernel starts at zero: a deviation of softplus(0) = 0.69.
        self.noise = Logits(in_features, num_experts, static=static, bias=False) if noise else None
        for parameter in self.noise.parameters() if self.noise else ():
            torch.nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Routing:
        """Route ``(batch, in_features)``."""
        logits = self.logits(x)
        if self.noise is not None and self.training:
            logits = logits + torch.randn_like(logits) * softplus(self.noise(x))
        kept, experts = logits.topk(self.k, dim=-1)
        weights = torch.zeros_like(logits).scatter(-1, experts, softmax(kept))
        return Routing(for_each_row(weights, x), weights.new_zeros(()), logits=(logits,))
