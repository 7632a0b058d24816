"""Mean-regularised: every target has a model of its own, which is pulled to the mean of all."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from gatelab.rules import shown
from gatelab.training.learners.accounting import MISSING, can_account, pld_epsilon, rdp_epsilon
from gatelab.training.learners.learner import (
    Learner,
    LearnerOption,
    RowOrder,
    order_faults,
    register_learner,
)
from gatelab.training.learners.published import Published, publishes
from gatelab.training.learners.shared import Shared
from gatelab.training.members import Members


@register_learner("mean_regularized")
class MeanRegularized(Learner):
    """Mean-regularised multi-task learning: what targets share, in a copy of each, stays near.

    Source: Evgeniou and Pontil, Regularized multi-task learning, KDD 2004: min over w_1 to w_T of
    sum_t f_t(w_t) + pull / 2 |w_t - mean(w)|^2, whose gradient for w_t is that of f_t plus
    pull (w_t - mean(w)). w_t is target t's copy of bottom, what gates read, and experts; gates and
    towers are each target's own, and so are tables of sparse gradients.

    Private, by Hu, Wu and Smith, Private multi-task learning, TMLR 2023 (arXiv 2108.12978): in
    place of the mean is u, which is published. In a round the targets S, sampled with chance q,
    take E steps; then u <- u + (sum over S of g_t min(1, clip / |g_t|) + N(0, (noise clip)^2)) /
    (q T), where g_t is by how much w_t has moved.
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
            "clip": LearnerOption(
                math.inf, "above 0: the norm to which a target's update in a round is shortened"
            ),
            "noise": LearnerOption(
                0.0,
                "at least 0: standard deviation of the noise on the sum of updates, over clip; "
                "above 0 epsilon is told, which needs the extra gatelab[privacy]",
            ),
            "sampled": LearnerOption(
                1.0, "in (0, 1]: the chance that a target takes part in a round; else it stays"
            ),
            "local_steps": LearnerOption(1, "at least 1: steps of a round"),
            "delta": LearnerOption(
                None, "in (0, 1): of which epsilon is told; None: 1 / number of targets"
            ),
        }
    )
    diagnostics = MappingProxyType(
        {
            "spread": "Sum over targets of the squared distance of bottom and experts to their "
            "mean: what the pull makes small",
            "mean_loss": "Loss with the copies' mean as bottom and experts of all of them, beside "
            "`test/loss` of each target's own",
            "epsilon_rdp": "Privacy spent by all rounds of the training, those after the kept "
            "weights too, for adding or removing a whole target, at `learner/delta`: by Renyi "
            "differential privacy",
            "epsilon_pld": "The same by the privacy loss distribution: the tighter bound, told at "
            "the end",
            "delta": "Of which epsilon is told",
            "rounds": "Rounds that have been published",
        }
    )
    remembered = ("pulls",)

    def __init__(self, options: Sequence[Mapping[str, Any]], shared: Shared) -> None:
        """Take each member's pull."""
        super().__init__(options, shared)
        self._options = options
        self.pulls = shared.of_members([own["pull"] for own in options])
        self.published: Published | None = None

    @classmethod
    def faults(cls, options: Mapping[str, Any], num_targets: int) -> dict[str, str]:
        """Return which values are out of their ranges, or cannot be private as they are."""
        return {
            **_privacy_faults(options, num_targets),
            **_range_faults(options),
            **order_faults(options["rows"]),
        }

    @classmethod
    def remarks(cls, options: Mapping[str, Any], num_targets: int, steps: int) -> list[str]:
        """Return whether no round ever ends."""
        local_steps = options["local_steps"]
        if local_steps <= steps:
            return []
        return [
            "`local_steps <= steps of a training` must hold for a round to end, but got "
            f"({local_steps=}, {steps=}): nothing is published, and each target is pulled to its "
            "start"
        ]

    @classmethod
    def order(cls, options: Mapping[str, Any]) -> RowOrder:
        """Return whether copies have orders of their own."""
        return RowOrder(options["rows"] == "own")

    @classmethod
    def tells(cls, options: Mapping[str, Any]) -> Collection[str]:
        """Return all, but of what is spent nothing without noise."""
        return cls.diagnostics if options["noise"] else ("spread", "mean_loss")

    @classmethod
    def spent(
        cls, options: Mapping[str, Any], num_targets: int, steps: int, *, ended: bool
    ) -> dict[str, float]:
        """Return epsilon of the rounds that so many steps are, with its delta; without noise none.

        Before a round has ended there is no epsilon, which of nothing published would be 0.

        Raises:
            ImportError: If dp-accounting is not installed.
        """
        if not options["noise"]:
            return {}
        if not can_account():  # where a worker lacks what the driver has
            raise ImportError(MISSING)
        rounds, delta = steps // options["local_steps"], _delta(options, num_targets)
        found = {"delta": delta, "rounds": float(rounds)}
        if rounds:
            spent = (options["noise"], options["sampled"], rounds, delta)
            found["epsilon_rdp"] = rdp_epsilon(*spent)
            found |= {"epsilon_pld": pld_epsilon(*spent)} if ended else {}
        return found

    def begin(self, members: Members) -> None:
        """Publish what all copies begin with, where anything is published of any member."""
        if any(map(publishes, self._options)):
            self.published = Published(self._options, self.shared, members)

    @torch.no_grad()
    def before_step(self, members: Members) -> None:
        """Add to the gradients those of the distance to the mean, or to what is published."""
        assert members.flat.grad is not None
        parts = self.shared.parts(members.flat)
        if self.published is None:
            centers = [part.mean(1, keepdim=True) for part in parts]
        else:
            self.published.before_step(members)
            centers = self.published.centers(members)
        gradients = self.shared.parts(members.flat.grad)
        for part, center, gradient in zip(parts, centers, gradients, strict=True):
            gradient += self.pulls[:, None, None] * (part - center)

    @property
    def resting(self) -> Tensor | None:
        """The copies of targets that are not sampled in this round."""
        return None if self.published is None else self.published.resting

    @torch.no_grad()
    def after_step(self, members: Members) -> None:
        """Publish where a round ends, if anything is."""
        if self.published is not None:
            self.published.after_step(members)

    def facts(self, members: Members) -> dict[str, Tensor]:
        """Return how far the copies are apart."""
        return {"spread": self.shared.spread(members)}

    def beside(self, members: Members) -> dict[str, Members]:
        """Return the copies' mean, in each one's place."""
        return {"mean_loss": self.shared.mean_of(members)}

    def keep(self, index: Tensor) -> None:
        """Go on with some of the members only, and what is published of them."""
        super().keep(index)
        if self.published is not None:
            self.published.keep(index)

    def state(self, member: int) -> dict[str, Tensor]:
        """Return a copy of what is remembered of a member: the same, whoever is beside it."""
        own = {} if self.published is None else self.published.state(member)
        return {**super().state(member), **own}

    def load(self, member: int, state: Mapping[str, Tensor]) -> None:
        """Put what :meth:`state` returned into a member."""
        super().load(member, state)
        if self.published is not None:
            self.published.load(member, state)


def _delta(options: Mapping[str, Any], num_targets: int) -> float:
    given = options["delta"]
    return 1 / num_targets if given is None else float(given)


def _range_faults(options: Mapping[str, Any]) -> dict[str, str]:
    """Return which numbers are out of their ranges."""
    pull, clip, noise = options["pull"], options["clip"], options["noise"]
    sampled, local_steps = options["sampled"], options["local_steps"]
    rules = {
        "pull": (0 <= pull < math.inf, f"`0 <= pull < inf` must hold, but got ({pull=})."),
        "clip": (clip > 0, f"`clip > 0` must hold, but got ({clip=})."),
        "noise": (0 <= noise < math.inf, f"`0 <= noise < inf` must hold, but got ({noise=})."),
        "sampled": (0 < sampled <= 1, f"`0 < sampled <= 1` must hold, but got ({sampled=})."),
        "local_steps": (
            local_steps >= 1,
            f"`local_steps >= 1` must hold, but got ({local_steps=}).",
        ),
    }
    return {name: why for name, (holds, why) in rules.items() if not holds}


def _privacy_faults(options: Mapping[str, Any], num_targets: int) -> dict[str, str]:
    """Return why epsilon cannot be told, where noise or a delta asks for it."""
    clip, noise, delta = options["clip"], options["noise"], options["delta"]
    found = {}
    if delta is not None and not _is_share(delta):
        found["delta"] = f"`0 < delta < 1` must hold, but got (delta={shown(delta)})."
    elif delta is not None and not noise:
        found["delta"] = (
            "epsilon is infinite without noise: `noise > 0` must hold where `delta` is given, but "
            f"got ({noise=}, {delta=})."
        )
    elif noise and delta is None and num_targets == 1:
        found["delta"] = "must be given for one target, of which 1 / number of targets is 1."
    if noise and clip == math.inf:
        found["clip"] = f"must be given with noise, which is in units of it, but got ({noise=})."
    if noise and not can_account():
        found["noise"] = f"{MISSING}, but got ({noise=})."
    return found


def _is_share(value: Any) -> bool:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return number and 0 < value < 1
