"""Mean-regularised: every target has a model of its own, which is pulled to the mean of all."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from gatelab.training.learners.learner import (
    Learner,
    LearnerOption,
    RowOrder,
    order_faults,
    register_learner,
)
from gatelab.training.learners.shared import Shared
from gatelab.training.members import Members


@register_learner("mean_regularized")
class MeanRegularized(Learner):
    """Mean-regularised multi-task learning: what targets share, in a copy of each, stays near.

    Source: Evgeniou and Pontil, Regularized multi-task learning, KDD 2004: min over w_1 to w_T of
    sum_t f_t(w_t) + pull / 2 |w_t - mean(w)|^2, whose gradient for w_t is that of f_t plus
    pull (w_t - mean(w)). w_t is target t's copy of bottom, what gates read, and experts; gates and
    towers are each target's own, and so are tables of sparse gradients. It is the objective of Hu,
    Wu and Smith (Private multi-task learning, TMLR 2023, arXiv 2108.12978) without their privacy.
    """

    agents = True
    given = (
        "a model for each target, which learns from that target's loss alone and whose bottom and "
        "experts are pulled to their mean"
    )
    hyperparameters = MappingProxyType(
        {
            "pull": LearnerOption(
                0.1, "at least 0: lambda, by which the distance to the mean counts; 0: none"
            ),
            "rows": LearnerOption(
                "shared", "shared: all copies read rows in one order; own: each in its own"
            ),
        }
    )
    diagnostics = MappingProxyType(
        {
            "spread": "Sum over targets of the squared distance of bottom and experts to their "
            "mean: what the pull makes small",
            "mean_loss": "Loss with the copies' mean as bottom and experts of all of them, beside "
            "`test/loss` of each target's own",
        }
    )
    remembered = ("pulls",)

    def __init__(self, options: Sequence[Mapping[str, Any]], shared: Shared) -> None:
        """Take each member's pull."""
        super().__init__(options, shared)
        self.pulls = shared.of_members([own["pull"] for own in options])

    @classmethod
    def faults(cls, options: Mapping[str, Any], num_targets: int) -> dict[str, str]:
        """Return whether the pull is negative, or the order none."""
        pull = options["pull"]
        found = order_faults(options["rows"])
        if not 0 <= pull < math.inf:
            found["pull"] = f"`0 <= pull < inf` must hold, but got ({pull=})."
        return found

    @classmethod
    def order(cls, options: Mapping[str, Any]) -> RowOrder:
        """Return whether copies have orders of their own."""
        return RowOrder(options["rows"] == "own")

    @torch.no_grad()
    def before_step(self, members: Members) -> None:
        """Add to the gradients those of the distance to the mean."""
        assert members.flat.grad is not None
        parts = zip(
            self.shared.parts(members.flat), self.shared.parts(members.flat.grad), strict=True
        )
        for part, gradient in parts:
            gradient += self.pulls[:, None, None] * (part - part.mean(1, keepdim=True))

    def facts(self, members: Members) -> dict[str, Tensor]:
        """Return how far the copies are apart."""
        return {"spread": self.shared.spread(members)}

    def beside(self, members: Members) -> dict[str, Members]:
        """Return the copies' mean, in each one's place."""
        return {"mean_loss": self.shared.mean_of(members)}
