"""The ReLU gate: as many experts as have a positive logit, held near k by an adaptive L1 loss."""

from __future__ import annotations

import torch
from optuna.distributions import FloatDistribution
from torch import Tensor

from gatelab.gates.gate import Gate, Routing, check_k, register_gate
from gatelab.gates.logits import Logits

LEAST, MOST = 1e-10, 1e2
"""Of the L1 loss's factor: without ends it overflows, or takes as long to come back, where the
number of experts does not follow."""
FALLBACK = 0.1
"""The most weight of the one expert of a row without a positive logit: small, since published
such a row has none, and with a step of it the gate is still almost continuous."""


@register_gate("relu")
class ReLUGate(Gate):
    """Weighs the experts by the positive part of linear logits, about k of them in the mean.

    Source: Wang, Chen and Zhu, ReMoE: Fully Differentiable Mixture-of-Experts with ReLU Routing,
    ICLR 2025: R(x) = ReLU(x W + b) with the loss l1 * mean_x sum_e f_e R(x)_e, where f_e is expert
    e's share of the examples over k / n, and l1 *= alpha^sign((1 - k / n) - sparsity) each step.
    """

    search_space = {
        "l1_weight": FloatDistribution(1e-8, 1e-2, log=True),
    }
    diagnostics = {
        "l1_weight": "factor of the L1 loss, which follows the number of positive logits",
        "empty_rows": "share of examples without a positive logit",
    }
    expected_failed_checks = {
        "weights_sum_to_one": "published ReMoE does not normalise: the L1 loss shrinks the weights "
        "until they are zero, and normalised weights do not change with their size"
    }
    l1_weight: Tensor
    l1_multiplier: Tensor

    def __init__(
        self,
        in_features: int,
        num_experts: int,
        *,
        k: int = 2,
        l1_weight: float = 1e-8,
        l1_multiplier: float = 1.2,
        balanced: bool = True,
        normalise: bool = False,
    ) -> None:
        """Make the gate.

        Args:
            in_features: Size of the gate's input.
            num_experts: Number of experts.
            k: The mean number of experts an example is to use, in [1, num_experts].
            l1_weight: Factor of the L1 loss at the start, in [1e-10, 100].
            l1_multiplier: What a step multiplies or divides that factor by, 1 or more.
            balanced: Let the L1 loss bear more on experts with more examples.
            normalise: Make a row's weights sum to one; a row with one expert has no gradient then.

        Raises:
            ValueError: If a value is out of its range.
        """
        super().__init__(in_features, num_experts)
        check_k(k, num_experts)
        _check(l1_weight, l1_multiplier)
        self.register_hyperparameters(l1_weight=l1_weight, l1_multiplier=l1_multiplier)
        # Not `self.k`: single rows may use more.
        self.mean_k = k
        self.balanced = balanced
        self.normalise = normalise
        # Published without a bias, but then inputs of mean zero make every logit positive for half
        # of the rows, and no L1 loss reaches k.
        self.logits = Logits(in_features, num_experts, static=False, bias=True)

    def forward(self, x: Tensor) -> Routing:
        """Route ``(batch, in_features)``."""
        logits = self.logits(x)
        positive = logits.relu()
        weights = (normalised if self.normalise else with_fallback)(positive, logits)
        diagnostics = {} if self.training else self._diagnose(logits)
        return Routing(weights, self.l1_weight * self._l1(positive), diagnostics, (logits,))

    def _l1(self, positive: Tensor) -> Tensor:
        """Return the mean over the batch of the summed weights, ``()``."""
        size = positive.mean(0)
        if self.balanced:
            share = (positive > 0).to(positive.dtype).mean(0)
            size = size * share * (self.num_experts / self.mean_k)
        return size.sum()

    def _diagnose(self, logits: Tensor) -> dict[str, Tensor]:
        """Return the L1 loss's factor, and the share of rows without a positive logit."""
        empty = (logits <= 0).all(-1).to(logits.dtype).mean()
        return {"l1_weight": self.l1_weight, "empty_rows": empty}

    def update(self, routing: Routing, progress: Tensor) -> dict[str, Tensor]:
        """Return the L1 loss's factor, larger where rows have more than k positive logits."""
        positive = (routing.logits[0] > 0).to(self.l1_weight.dtype).sum(-1).mean()
        after = self.l1_weight * self.l1_multiplier ** (positive - self.mean_k).sign()
        return {"l1_weight": after.clamp(LEAST, MOST)}


def with_fallback(positive: Tensor, logits: Tensor) -> Tensor:
    """Give rows without a positive logit their largest one's expert; the others stay.

    Its weight is ``FALLBACK * exp(logit)``, which pulls on the gate as long as the row is empty.

    Args:
        positive: The positive part of the logits, ``(batch, num_experts)``.
        logits: The same shape.
    """
    largest, expert = logits.max(-1, keepdim=True)
    # Clamped, since the branch that is not taken would overflow and make the gradient NaN.
    weight = FALLBACK * largest.clamp(max=0.0).exp()
    filled = torch.zeros_like(positive).scatter(-1, expert, weight)
    return torch.where(largest > 0, positive, filled)


def normalised(positive: Tensor, logits: Tensor) -> Tensor:
    """Make rows sum to one; those without a positive logit have their largest one's expert alone.

    What :func:`with_fallback` gives these would come to the same, but vanishes in float32.

    Args:
        positive: The positive part of the logits, ``(batch, num_experts)``.
        logits: The same shape.
    """
    largest, expert = logits.max(-1, keepdim=True)
    alone = torch.zeros_like(positive).scatter(-1, expert, 1.0)
    filled = torch.where(largest > 0, positive, alone)
    return filled / filled.sum(-1, keepdim=True)


def _check(l1_weight: float, l1_multiplier: float) -> None:
    if not LEAST <= l1_weight <= MOST:
        raise ValueError(f"`{LEAST} <= l1_weight <= {MOST}` must hold, but got ({l1_weight=}).")
    if not l1_multiplier >= 1:
        raise ValueError(f"`l1_multiplier >= 1` must hold, but got ({l1_multiplier=}).")
