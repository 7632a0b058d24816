"""The COMET gate: k soft trees whose leaves are the experts, and a search for the leaves' order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from gatelab.gates.binary_codes import code_entropy
from gatelab.gates.gate import Gate, Routing, check_k, register_gate
from gatelab.gates.hardening import (
    HARDENING_SPACE,
    HARDENING_TRIAL,
    OFF,
    Hardening,
    schedule_end,
)
from gatelab.gates.learnt_order import LearntOrder
from gatelab.gates.logits import Logits, for_each_row
from gatelab.rules import check_positive

CHANCE_EPSILON = 1e-8
"""Inside the logarithm of a leaf's chance, as published."""
SEARCH_SHARE = 0.1
"""Of the training, in which the leaves' order is learnt where a spec says nothing else."""


@register_gate("comet")
class CometGate(Gate):
    """Mixes the leaves of k binary trees, each of which leads to one expert once it is saturated.

    Source: Ibrahim et al., COMET: Learning Cardinality Constrained Mixture of Experts with Trees
    and Local Search, KDD 2023, and its authors' code: g = softmax over trees t and leaves i of
    a_ti + log(p_ti + 1e-8), added over the trees, where p_ti is the product of the smooth steps
    S(z) and 1 - S(z) on the way to leaf i, and a leaf with p_ti = 0 has no weight. Static, the
    published gate has no 1e-8; ours is one formula.
    """

    search_space = HARDENING_SPACE
    first_trial = HARDENING_TRIAL
    hardens = True
    diagnostics = {
        "saturated_splits": "share of the splits that are exactly 0 or 1",
        "tree_duplication": "share of trees whose leaf another leads to too",
    }
    expected_failed_checks = {
        "at_most_k": "splits are smooth: k is kept to once they have become 0 or 1"
    }
    k: int

    def __init__(
        self,
        in_features: int,
        num_experts: int,
        *,
        k: int = 2,
        gamma: float = 1.0,
        entropy_weight: float = 0.0,
        static: bool = False,
        local_search: bool = False,
        search_share: float = SEARCH_SHARE,
        search_temperature: float = 0.1,
        noise: float = OFF["noise"],
        entropy_warmup: float = OFF["entropy_warmup"],
        snap: float = OFF["snap"],
    ) -> None:
        """Make the gate.

        Args:
            in_features: Size of the gate's input.
            num_experts: Number of experts.
            k: Number of trees, in [1, num_experts].
            gamma: Width of the smooth step, above 0.
            entropy_weight: Factor of the trees' entropy, 0 or more: it drives splits to 0 or 1.
            static: Weigh every example alike.
            local_search: Learn which leaf is which expert, too (see :class:`LearntOrder`).
            search_share: The share of the training in which it is learnt, in (0, 1].
            search_temperature: Of the order at the start, above 0. The published 1e-3 leaves next
                to no gradient: in trials it found no planted order of 8 experts, and 0.1 found all.
            noise: Deviation of the noise on every split's logit in units of gamma, 0 or more, in
                training only; it falls to 0 at ``snap``. Ours, as the next two: see
                :class:`~gatelab.gates.hardening.Hardening`.
            entropy_warmup: The share of the training up to which the entropy has no weight; from
                there it rises to ``entropy_weight`` at ``snap``. 0: it is constant.
            snap: The share of the training, above ``entropy_warmup``, after which splits are
                exactly 0 or 1 and only experts and leaves train on. 1: never.

        Raises:
            ValueError: If a value is out of its range.
        """
        super().__init__(in_features, num_experts)
        check_k(k, num_experts)
        check_positive(search_temperature=search_temperature)
        if not 0 < search_share <= 1:
            raise ValueError(f"`0 < search_share <= 1` must hold, but got ({search_share=}).")
        self.hardening = Hardening(
            gamma=gamma,
            entropy_weight=entropy_weight,
            noise=noise,
            entropy_warmup=entropy_warmup,
            snap=snap,
        )
        self.k = k
        # One map gives the splits in heap order and, after them, the leaves from left to right:
        # k numbers each.
        self.logits = Logits(in_features, k * (2 * num_experts - 1), static=static, bias=True)
        self.order = (
            LearntOrder(num_experts, search_share, search_temperature) if local_search else None
        )
        self._start(gamma)

    def _start(self, gamma: float) -> None:
        """Draw the parameters as published: splits from U(±gamma/100), leaves from U(±0.05)."""
        splits = self.k * (self.num_experts - 1)
        for parameter in self.logits.parameters():
            nn.init.uniform_(parameter.data[..., :splits], -gamma / 100, gamma / 100)
            nn.init.uniform_(parameter.data[..., splits:], -0.05, 0.05)

    def forward(self, x: Tensor) -> Routing:
        """Route ``(batch, in_features)``."""
        n, k = self.num_experts, self.k
        splits, leaves = self.logits.transposed(x).split((k * (n - 1), k * n))
        chances = leaf_chances(self.hardening(splits.unflatten(0, (n - 1, k)), x.shape[0]))
        # Added, not filled in, which would be a copy more in each direction.
        out_of_reach = torch.where(chances > 0, 0.0, -torch.inf)
        log_chances = (chances + CHANCE_EPSILON).log() + out_of_reach
        weights = (leaves + log_chances.flatten(0, 1)).softmax(0).unflatten(0, (n, k)).sum(1)
        if self.order is not None:
            weights = self.order().mT @ weights
        entropy = code_entropy(chances).sum(0).mean()
        aux_loss = self.hardening.current_entropy_weight * entropy
        diagnostics = {} if self.training else self._diagnose(splits, chances)
        return Routing(for_each_row(weights.mT, x), aux_loss, diagnostics, (leaves.mT,))

    def _diagnose(self, splits: Tensor, chances: Tensor) -> dict[str, Tensor]:
        """Return the share of exact splits, and of trees whose leaf another one leads to too."""
        open_splits = (~self.hardening.exact(splits)).to(splits.dtype).sum()
        found = chances.argmax(0)
        same = (found.unsqueeze(0) == found.unsqueeze(1)).sum(0) > 1
        return {
            "saturated_splits": 1 - open_splits / max(splits.numel(), 1),
            "tree_duplication": same.to(splits.dtype).mean(),
        }

    @classmethod
    def schedule_end(cls, hyperparameters: Mapping[str, Any]) -> float:
        """Return when the splits have snapped and the leaves' order is found, as far as they do."""
        searches = hyperparameters.get("local_search", False)
        found = hyperparameters.get("search_share", SEARCH_SHARE) if searches else 0.0
        return max(schedule_end(hyperparameters), float(found))

    @property
    def updates(self) -> bool:
        """Whether a schedule is on, or an order is found."""
        return self.order is not None or self.hardening.scheduled

    def update(self, routing: Routing, progress: Tensor) -> dict[str, Tensor]:
        """Return what the schedule sets for the next step, and the order's next state."""
        after = {f"hardening.{n}": value for n, value in self.hardening.update(progress).items()}
        if self.order is not None:
            after |= {f"order.{n}": value for n, value in self.order.update(progress).items()}
        return after


def leaf_chances(steps: Tensor) -> Tensor:
    """Return the chance of every leaf from left to right, ``(n, ...)``.

    Args:
        steps: The chance of turning left at every split, ``(n - 1, ...)``, in heap order.
    """
    chances = steps.new_ones((1, *steps.shape[1:]))
    widths = [2**depth for depth in range((len(steps) + 1).bit_length() - 1)]
    # The last level has as many splits as are left, all on its left side.
    widths.append(len(steps) - sum(widths))
    for level in steps.split([width for width in widths if width]):
        split, leaves = chances[: len(level)], chances[len(level) :]
        left = split * level
        children = torch.stack((left, split - left), 1).flatten(0, 1)
        chances = torch.cat((children, leaves)) if len(leaves) else children
    return chances
