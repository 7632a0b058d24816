"""The LapSum gate: a soft Top-k in closed form."""

from __future__ import annotations

import torch
from optuna.distributions import FloatDistribution
from torch import Tensor
from torch.nn.functional import pad

from gatelab.gates.gate import Gate, Routing, check_k, register_gate
from gatelab.gates.logits import Logits, for_each_row
from gatelab.nn.short_rows import softmax
from gatelab.rules import check_positive


@register_gate("lapsum")
class LapSumGate(Gate):
    """Weighs every expert by its chance of being among k, and sharply so where alpha is small.

    Source: Struski et al., LapSum - One Method to Differentiate Them All: Ranking, Sorting and
    Top-k Selection, ICML 2025: p_i = F((x_i - b) / alpha) with F the distribution function of
    Laplace's distribution and b such that sum_i p_i = k. The weights p / k are ours.
    """

    search_space = {
        "alpha": FloatDistribution(0.01, 10.0, log=True),
    }
    diagnostics = {
        "top_k_mass": "weight of the k largest together: 1 where the choice is hard",
    }
    alpha: Tensor

    def __init__(
        self,
        in_features: int,
        num_experts: int,
        *,
        k: int = 2,
        alpha: float = 0.1,
        static: bool = False,
    ) -> None:
        """Make the gate.

        Args:
            in_features: Size of the gate's input.
            num_experts: Number of experts.
            k: Number of experts that the chances add up to, in [1, num_experts]; with all of them
                every weight is the same.
            alpha: Temperature, above 0: small, the k largest logits count and hardly any other.
            static: Weigh every example alike.

        Raises:
            ValueError: If a value is out of its range.
        """
        super().__init__(in_features, num_experts)
        check_k(k, num_experts)
        check_positive(alpha=alpha)
        self.register_hyperparameters(alpha=alpha)
        # Not `self.k`: every expert has some weight.
        self.soft_k = k
        self.logits = Logits(in_features, num_experts, static=static, bias=False)

    def forward(self, x: Tensor) -> Routing:
        """Route ``(batch, in_features)``."""
        logits = self.logits(x)
        chances = soft_top_k(logits / self.alpha, self.soft_k)
        # By their sum, which is k but for rounding that grows with the logits.
        weights = chances / chances.sum(-1, keepdim=True)
        diagnostics = {} if self.training else self._diagnose(weights)
        return Routing(for_each_row(weights, x), weights.new_zeros(()), diagnostics, (logits,))

    def _diagnose(self, weights: Tensor) -> dict[str, Tensor]:
        """Return the weight that the k largest have together: 1 where the choice is hard."""
        return {"top_k_mass": weights.topk(self.soft_k, dim=-1).values.sum(-1).mean()}


def soft_top_k(x: Tensor, k: int) -> Tensor:
    """Return chances F(x_i - b), ``(..., n)``, that sum to k.

    Args:
        x: Logits over alpha, ``(..., n)``.
        k: In [1, n].
    """
    if k == x.shape[-1]:
        return x * 0 + 1  # b = -inf, where the gradient is 0
    fixed = x.detach()
    with torch.no_grad():
        distance = fixed - threshold(fixed, k)
        density = (-distance.abs()).exp() / 2
        chances = torch.where(distance > 0, 1 - density, density)
        # Of b: db/dx_i = f_i / sum(f), where the densities' own sum may underflow.
        shares = softmax(-distance.abs())
    # Nothing is added but the gradient: autograd's own would be 0 at b, for the kink of abs.
    change = x - fixed
    return chances + density * (change - (shares * change).sum(-1, keepdim=True))


def threshold(x: Tensor, k: int) -> Tensor:
    """Return b, ``(..., 1)``, at which sum_i F(x_i - b) = k, for x ``(..., n)`` and 1 <= k < n.

    With m values below b the sum is d + (B exp(-b) - A exp(b)) / 2 + k, where d = n - m - k,
    B = sum_below exp(x) and A = sum_above exp(-x): a quadratic in exp(b).
    """
    n = x.shape[-1]
    values = x.sort(-1).values
    below, above = decaying_sums(values)
    after = torch.arange(n - 1, -1, -1, device=x.device)
    m = (after + (below - above + 1) / 2 >= k).sum(-1, keepdim=True)
    low, high = (m - 1).clamp(min=0), m.clamp(max=n - 1)
    x_low, x_high = values.gather(-1, low), values.gather(-1, high)
    b_low = torch.where(m > 0, below.gather(-1, low), 0.0)
    a_high = torch.where(m < n, above.gather(-1, high), 0.0)
    d = (n - k - m).to(x.dtype)
    root = (d.square() + a_high * b_low * (x_low - x_high).exp()).sqrt()
    # Each root is of numbers of one sign; that of d = 0 would underflow in a wide gap.
    right = x_high + ((d + root) / a_high).log()
    left = x_low - ((root - d) / b_low).log()
    middle = (x_low + x_high + (b_low / a_high).log()) / 2
    return torch.where(d > 0, right, torch.where(d < 0, left, middle))


def decaying_sums(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return sum_{i<=j} exp(x_i - x_j) and sum_{i>=j} exp(x_j - x_i) of ascending ``(..., n)``.

    Sums over 1, 2, 4, ... neighbours: log2(n) steps without a logarithm, where ``logcumsumexp``
    takes n in turn.
    """
    below = above = torch.ones_like(x)
    reach = 1
    while reach < x.shape[-1]:
        decay = (x[..., :-reach] - x[..., reach:]).exp()
        further = below[..., :-reach] * decay, above[..., reach:] * decay
        below = below + pad(further[0], (reach, 0))
        above = above + pad(further[1], (0, reach))
        reach *= 2
    return below, above
