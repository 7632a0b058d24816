"""The sampling gate MOESART: k experts, drawn in training and the likeliest in evaluation."""

from __future__ import annotations

import torch
from optuna.distributions import FloatDistribution
from torch import Tensor

from gatelab.gates.gate import Gate, Routing, check_k, register_gate
from gatelab.gates.gumbel_softmax import gumbel_like
from gatelab.gates.logits import Logits, for_each_row
from gatelab.nn.short_rows import softmax
from gatelab.rules import check_not_negative


@register_gate("sampled_k")
class SampledKGate(Gate):
    """Draws k experts from a softmax and weighs them so that the k are a stand-in for all.

    Source: Ibrahim et al., MOESART: An Effective Sampling-based Router for Sparse Mixture of
    Experts, submitted to ICLR 2024, by its authors' code: k experts are drawn from g = softmax(o)
    without replacement and weighed by a softmax of adjusted logits, which for one of them, drawn
    evenly, is o_j, and for the others o_i - log((k - 1) g_i). In evaluation the k largest are
    weighed by a softmax of o_i - log(k g_i). The loss is the trimmed lasso sum_{i > k} g_(i).

    Ours is that the adjusted softmax is written out: g_j / (1 + g_j) and 1 / ((k - 1) (1 + g_j)),
    and in evaluation 1 / k, without the code's 1e-10 beside g.
    """

    search_space = {
        "trimmed_lasso_weight": FloatDistribution(1e-4, 10.0, log=True),
    }
    diagnostics = {
        "trimmed_mass": "chance of the experts beyond the k likeliest together: the trimmed lasso",
    }
    k: int
    trimmed_lasso_weight: Tensor

    def __init__(
        self,
        in_features: int,
        num_experts: int,
        *,
        k: int = 2,
        trimmed_lasso_weight: float = 0.1,
        static: bool = False,
    ) -> None:
        """Make the gate.

        Args:
            in_features: Size of the gate's input.
            num_experts: Number of experts.
            k: Number of experts an example uses, in [2, num_experts]; one alone would weigh 1,
                whatever the gate, which could not learn.
            trimmed_lasso_weight: Factor of the chance of all but the k likeliest experts, 0 or
                more.
            static: Draw from the same chances for every example, though for each anew.

        Raises:
            ValueError: If a value is out of its range.
        """
        super().__init__(in_features, num_experts)
        check_k(k, num_experts)
        if k < 2:
            raise ValueError(f"`2 <= k <= num_experts` must hold, but got ({k=}, {num_experts=}).")
        check_not_negative(trimmed_lasso_weight=trimmed_lasso_weight)
        self.register_hyperparameters(trimmed_lasso_weight=trimmed_lasso_weight)
        self.k = k
        self.logits = Logits(in_features, num_experts, static=static, bias=False)

    def forward(self, x: Tensor) -> Routing:
        """Route ``(batch, in_features)``."""
        logits = self.logits(x)
        chances = softmax(logits)
        likeliest = logits.topk(self.k, dim=-1).indices
        lasso = chances.scatter(-1, likeliest, 0.0).sum(-1).mean()
        if self.training:
            weights = self._sample(for_each_row(logits, x), for_each_row(chances, x))
        else:
            even = torch.zeros_like(logits).scatter(-1, likeliest, 1 / self.k)
            weights = for_each_row(even, x)
        diagnostics = {} if self.training else {"trimmed_mass": lasso}
        return Routing(weights, self.trimmed_lasso_weight * lasso, diagnostics, (logits,))

    def _sample(self, logits: Tensor, chances: Tensor) -> Tensor:
        """Return the weights ``(batch, num_experts)`` of k drawn experts a row."""
        # The k largest logits with Gumbel noise are k draws from the softmax without replacement.
        experts = (logits.detach() + gumbel_like(logits)).topk(self.k, dim=-1).indices
        drawn = chances.gather(-1, experts)
        places = torch.arange(self.k, device=logits.device)
        one = torch.rand_like(drawn).argmax(-1, keepdim=True) == places
        parts = torch.where(one, drawn, 1 / (self.k - 1))
        parts = parts / parts.sum(-1, keepdim=True)
        return torch.zeros_like(logits).scatter(-1, experts, parts)
