"""The noisy Top-k gate complete: its noise, and the two losses that keep experts in use."""

from __future__ import annotations

import torch
from optuna.distributions import FloatDistribution
from torch import Tensor
from torch.nn.functional import softplus

from gatelab.gates.gate import Gate, Routing, check_k, register_gate
from gatelab.gates.logits import Logits
from gatelab.nn.short_rows import softmax
from gatelab.rules import check_not_negative

LEAST_DEVIATION = 1e-2
"""Of the noise, as in the authors' code: below it the load is no longer smooth."""


@register_gate("noisy_top_k")
class NoisyTopKGate(Gate):
    """Keeps the k largest noisy logits and is penalised for the uneven use of experts.

    Source: Shazeer et al., Outrageously Large Neural Networks: The Sparsely-Gated
    Mixture-of-Experts Layer, ICLR 2017, section 2.1, section 4 and appendix A:
    G(x) = softmax(keep_top_k(H(x), k)), H(x) = x W_g + N(0, 1) * deviation(x), with the losses
    w_importance * CV(sum_x G(x))^2 + w_load * CV(sum_x P(x))^2.
    """

    search_space = {
        "importance_weight": FloatDistribution(1e-3, 1.0, log=True),
        "load_weight": FloatDistribution(1e-3, 1.0, log=True),
    }
    diagnostics = {
        "noisy_load_cv2": "load_cv2 of the loads that its noise would give, which it evens out",
    }
    k: int
    importance_weight: Tensor
    load_weight: Tensor

    def __init__(
        self,
        in_features: int,
        num_experts: int,
        *,
        k: int = 2,
        importance_weight: float = 0.1,
        load_weight: float = 0.1,
    ) -> None:
        """Make the gate.

        Args:
            in_features: Size of the gate's input.
            num_experts: Number of experts.
            k: Number of experts an example uses, in [1, num_experts].
            importance_weight: Factor of the unevenness of the experts' weights, 0 or more.
            load_weight: Factor of the unevenness of their numbers of examples, 0 or more; it
                matters only where ``k < num_experts``.

        Raises:
            ValueError: If a value is out of its range.
        """
        super().__init__(in_features, num_experts)
        check_k(k, num_experts)
        check_not_negative(importance_weight=importance_weight, load_weight=load_weight)
        self.register_hyperparameters(importance_weight=importance_weight, load_weight=load_weight)
        self.k = k
        # As in `top_k`: published, W_g starts at zero too, which ties all experts in evaluation.
        self.logits = Logits(in_features, num_experts, static=False, bias=False)
        self.noise = Logits(in_features, num_experts, static=False, bias=False)
        for parameter in self.noise.parameters():
            torch.nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Routing:
        """Route ``(batch, in_features)``."""
        logits = self.logits(x)
        deviation = softplus(self.noise(x)) + LEAST_DEVIATION
        noisy = logits + torch.randn_like(logits) * deviation if self.training else logits
        largest, experts = noisy.topk(min(self.k + 1, self.num_experts), dim=-1)
        kept = softmax(largest[..., : self.k])
        weights = torch.zeros_like(logits).scatter(-1, experts[..., : self.k], kept)
        importance = squared_variation(weights.mean(0))
        load = squared_variation(self._load(logits, noisy, deviation, largest))
        aux_loss = self.importance_weight * importance + self.load_weight * load
        diagnostics = {} if self.training else {"noisy_load_cv2": load}
        return Routing(weights, aux_loss, diagnostics, (logits,))

    def _load(self, logits: Tensor, noisy: Tensor, deviation: Tensor, largest: Tensor) -> Tensor:
        """Return every expert's expected share of the batch, ``(num_experts,)``."""
        if self.k == self.num_experts:
            return logits.new_ones(self.num_experts)
        return chance_selected(logits, noisy, deviation, largest).mean(0)


def chance_selected(logits: Tensor, noisy: Tensor, deviation: Tensor, largest: Tensor) -> Tensor:
    """Return the chance P that an expert is among the k were its noise alone drawn again.

    It is Phi((logit - threshold) / deviation), with the k-th largest noisy logit of the other
    experts as the threshold: for an expert among the k that is the (k+1)-th largest of all.

    Args:
        logits: Without noise, ``(batch, num_experts)``.
        noisy: With it, the same shape.
        deviation: The noise's, the same shape.
        largest: The k+1 largest noisy logits in descending order, ``(batch, k + 1)``.
    """
    last, first_out = largest[..., -2:-1], largest[..., -1:]
    threshold = torch.where(noisy > first_out, first_out, last)
    chance: Tensor = torch.special.ndtr((logits - threshold) / deviation)
    return chance


def squared_variation(values: Tensor) -> Tensor:
    """Return the squared coefficient of variation ``()`` of ``(n,)``: variance over mean^2."""
    mean = values.mean()
    return (values - mean).square().mean() / mean.square()
