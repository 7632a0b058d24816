"""The DSelect-k gate: k differentiable selectors, each a binary code that becomes exact."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from gatelab.gates.binary_codes import (
    bits_entropy,
    code_entropy,
    code_weights,
    fold,
    inverse,
)
from gatelab.gates.gate import Gate, Routing, check_k, register_gate
from gatelab.gates.hardening import (
    HARDENING_SPACE,
    HARDENING_TRIAL,
    OFF,
    Hardening,
    schedule_end,
)
from gatelab.gates.logits import Logits, for_each_row
from gatelab.rules import check_not_negative


class Selection(NamedTuple):
    """What the selectors pick; the batch is last, and 1 where the gate is static.

    With noise in training bits, picks and what follows are each row's own, static or not.
    """

    logits: Tensor
    """The selectors' logits, ``(k, batch)``."""
    z: Tensor
    """The bits' logits, ``(num_bits, k, batch)``."""
    bits: Tensor
    """Their smooth steps, the same shape, in [0, 1]."""
    picks: Tensor
    """The weight each selector gives each expert, ``(num_experts, k, batch)``."""
    counts: Tensor
    """How much each selector counts, ``(k, batch)``, summing to one."""


@register_gate("dselect_k")
class DSelectKGate(Gate):
    """Mixes k selectors, each of which picks one expert once its smooth bits are 0 or 1.

    Source: Hazimeh et al., DSelect-k: Differentiable Selection in the Mixture of Experts with
    Applications to Multi-Task Learning, NeurIPS 2021, eqs. 4 to 6:
    q(alpha, Z) = sum_i softmax(alpha)_i r(S(z_i)), with the entropy regulariser of section 3.2.
    """

    search_space = HARDENING_SPACE
    first_trial = HARDENING_TRIAL
    hardens = True
    diagnostics = {
        "saturated_bits": "share of the selectors' bits that are exactly 0 or 1",
        "selector_duplication": "share of selectors whose expert another picks too",
    }
    expected_failed_checks = {
        "at_most_k": "bits are smooth: k is kept to once they have become 0 or 1"
    }
    k: int
    penalty_weight: Tensor

    def __init__(
        self,
        in_features: int,
        num_experts: int,
        *,
        k: int = 2,
        gamma: float = 1.0,
        entropy_weight: float = 0.0,
        penalty_weight: float = 1.0,
        folded: bool = False,
        static: bool = False,
        reduction: Literal["mean", "published"] = "mean",
        noise: float = OFF["noise"],
        entropy_warmup: float = OFF["entropy_warmup"],
        snap: float = OFF["snap"],
    ) -> None:
        """Make the gate.

        Args:
            in_features: Size of the gate's input.
            num_experts: Number of experts.
            k: Number of selectors, in [1, num_experts].
            gamma: Width of the smooth step, above 0.
            entropy_weight: Factor of the selectors' entropy, 0 or more: it drives bits to 0 or 1.
            penalty_weight: Factor of the penalty on codes that name no expert, 0 or more; it
                matters only where ``num_experts`` is no power of two.
            folded: Give the codes that name no expert to others, instead of the penalty: the
                weights then sum to one for every number of experts. Ours, not published.
            static: Select the same experts for every example.
            reduction: Regularisers as a mean over the batch, or ``"published"``: summed over it,
                with the entropy taken over the experts.
            noise: Deviation of the noise on every bit's logit in units of gamma, 0 or more, in
                training only; it falls to 0 at ``snap``. Ours, as the next two: see
                :class:`~gatelab.gates.hardening.Hardening`.
            entropy_warmup: The share of the training up to which the entropy has no weight; from
                there it rises to ``entropy_weight`` at ``snap``. 0: it is constant.
            snap: The share of the training, above ``entropy_warmup``, after which bits are exactly
                0 or 1 and only experts and selectors train on. 1: never.

        Raises:
            ValueError: If a value is out of its range.
        """
        super().__init__(in_features, num_experts)
        check_k(k, num_experts)
        check_not_negative(penalty_weight=penalty_weight)
        if reduction not in ("mean", "published"):
            raise ValueError(
                f"`reduction in ('mean', 'published')` must hold, but got ({reduction=})."
            )
        self.register_hyperparameters(penalty_weight=penalty_weight)
        self.hardening = Hardening(
            gamma=gamma,
            entropy_weight=entropy_weight,
            noise=noise,
            entropy_warmup=entropy_warmup,
            snap=snap,
        )
        self.k = k
        self.reduction = reduction
        self.summed = reduction == "published" and not static
        self.num_bits = (num_experts - 1).bit_length()
        self.complete = num_experts == 2**self.num_bits
        self.folded = folded and not self.complete
        # One map gives the bits (k * num_bits) and, after them, the selectors' logits (k).
        self.logits = Logits(in_features, k * (self.num_bits + 1), static=static, bias=True)
        self._start(gamma)

    def _start(self, gamma: float) -> None:
        """Draw the parameters as published: bits from U(±gamma/100), selectors from U(±0.05)."""
        bits = self.k * self.num_bits
        for parameter in self.logits.parameters():
            torch.nn.init.uniform_(parameter.data[..., :bits], -gamma / 100, gamma / 100)
            torch.nn.init.uniform_(parameter.data[..., bits:], -0.05, 0.05)

    def select(self, x: Tensor) -> Selection:
        """Return what every selector picks for ``(batch, in_features)``."""
        logits = self.logits.transposed(x)
        z, selectors = logits.split((self.k * self.num_bits, self.k))
        z = z.unflatten(0, (self.k, self.num_bits)).transpose(0, 1)
        bits: Tensor = self.hardening(z, x.shape[0])
        codes, count = code_weights(bits), self.num_experts
        picks = fold(codes, count) if self.folded else codes[:count]
        return Selection(selectors, z, bits, picks, selectors.softmax(0))

    def forward(self, x: Tensor) -> Routing:
        """Route ``(batch, in_features)``."""
        selection = self.select(x)
        weights = (selection.counts * selection.picks).sum(1).mT
        diagnostics = {} if self.training else self._diagnose(selection)
        aux_loss, logits = self._aux_loss(selection), (selection.logits.mT,)
        return Routing(for_each_row(weights, x), aux_loss, diagnostics, logits)

    def _aux_loss(self, selection: Selection) -> Tensor:
        """Return the weighted regularisers, summed over the selectors."""
        by_bits = self.complete and self.reduction == "mean"
        spread = bits_entropy(selection.bits) if by_bits else code_entropy(selection.picks)
        loss = self.hardening.current_entropy_weight * spread
        if not (self.complete or self.folded):
            loss = loss + self.penalty_weight * inverse(selection.picks.sum(0))
        return loss.sum() if self.summed else loss.sum(0).mean()

    def _diagnose(self, selection: Selection) -> dict[str, Tensor]:
        """Return the share of exact bits, and of selectors whose expert another one picks too."""
        experts = selection.picks.argmax(0)
        same = (experts.unsqueeze(0) == experts.unsqueeze(1)).sum(0) > 1
        dtype = selection.z.dtype
        return {
            "saturated_bits": self.hardening.exact(selection.z).to(dtype).mean(),
            "selector_duplication": same.to(dtype).mean(),
        }

    @classmethod
    def schedule_end(cls, hyperparameters: Mapping[str, Any]) -> float:
        """Return when the bits snap, where noise, warm-up or snap are on."""
        return schedule_end(hyperparameters)

    @property
    def updates(self) -> bool:
        """Whether a schedule is on."""
        return self.hardening.scheduled

    def update(self, routing: Routing, progress: Tensor) -> dict[str, Tensor]:
        """Return what the schedule sets for the next step."""
        after = self.hardening.update(progress)
        return {f"hardening.{name}": value for name, value in after.items()}
