"""ANIL: gates and towers are adapted in a few steps, and what they read is learnt for that."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any, cast

import torch
from torch import Tensor

from gatelab.gates.randomness import Randomness, drawing_from, keyed
from gatelab.registry import near_misses
from gatelab.rules import shown
from gatelab.training.learners.adapting import Starts, adapted
from gatelab.training.learners.learner import Learner, LearnerOption, register_learner
from gatelab.training.learners.shared import SHARED_NAMES, Shared
from gatelab.training.member_loss import MemberLoss, Minimised
from gatelab.training.members import Members, Tensors
from gatelab.training.model import Model
from gatelab.training.train_rows import TrainRows

ADAPTED, BEGINNINGS = ("head", "all"), ("own", "common")
_DRAWS = -3
"""The number of the draws of shots; a key's epochs are counted from 0."""


@register_learner("anil")
class Anil(Learner):
    """Almost no inner loop: gates and towers take N inner steps, for which all else is learnt.

    Source: Raghu et al., Rapid Learning or Feature Reuse?, ICLR 2020; its convergence: Ji, Lee,
    Liang and Poor, Convergence of Meta-Learning with Task-Specific Adaptation over Partial
    Parameters, NeurIPS 2020 (arXiv 2006.09486): w_(m+1) = w_m - inner_rate grad_w L_S(w_m, phi) for
    m < N, and min over w_0 and phi of L_D(w_N, phi). S and D are the halves of a batch, w are gates
    and towers, whose targets do not meet, and phi is what they share: bottom, what gates read,
    experts. ``adapts: all`` is MAML (Finn, Abbeel and Levine, ICML 2017). What is scored has taken
    N steps on a few train rows.
    """

    given = (
        "one model for all targets, whose gates and towers take inner steps on half of each batch "
        "before its loss on the other half is minimised, and on a few train rows before it is "
        "scored"
    )
    hyperparameters = MappingProxyType(
        {
            "inner_steps": LearnerOption(3, "at least 0: N; 0: none, and batches are not halved"),
            "inner_rate": LearnerOption(
                0.1, "above 0: the length of an inner step over its gradient; of about 1 / N"
            ),
            "shots": LearnerOption(
                32, "at least 1: the train rows on which is adapted what is scored"
            ),
            "adapts": LearnerOption(
                "head", "head: gates and towers; all: bottom and experts too, which is MAML"
            ),
            "first_order": LearnerOption(
                False, "whether inner gradients are taken for constants by the step"
            ),
            "start": LearnerOption(
                "own",
                "own: each target's gate and tower have a start of their own; common: all begin as "
                "the first of their form",
            ),
            "held_out": LearnerOption(
                0, "at least 0: the last so many targets are not trained, only adapted to"
            ),
        }
    )
    diagnostics = MappingProxyType(
        {
            "unadapted_loss": "Loss without the inner steps, beside `test/loss` after them",
            "held_out_loss": "Mean loss of the targets that are not trained, only adapted to",
        }
    )
    remembered = ("rates",)

    def __init__(self, options: Sequence[Mapping[str, Any]], shared: Shared) -> None:
        """Take each member's rate; all else is part of the structure."""
        super().__init__(options, shared)
        first, self._options = options[0], options
        self.inner_steps: int = first["inner_steps"]
        self.shots: int = first["shots"]
        self.held_out: int = first["held_out"]
        self.first_order: bool = first["first_order"]
        self.everything, self.common = first["adapts"] == "all", first["start"] == "common"
        self.second_order = self.inner_steps > 0 and not self.first_order
        self.rates = shared.of_members([own["inner_rate"] for own in options])

    @classmethod
    def faults(cls, options: Mapping[str, Any], num_targets: int) -> dict[str, str]:
        """Return which values are out of their ranges."""
        steps, rate, shots = (options[n] for n in ("inner_steps", "inner_rate", "shots"))
        held_out = options["held_out"]
        few = f"(held_out={held_out}, targets={num_targets})."
        rules = {
            "inner_steps": (
                steps >= 0,
                f"`inner_steps >= 0` must hold, but got (inner_steps={steps}).",
            ),
            "inner_rate": (
                0 < rate < math.inf,
                f"`0 < inner_rate < inf` must hold, but got (inner_rate={rate}).",
            ),
            "shots": (shots >= 1, f"`shots >= 1` must hold, but got (shots={shots})."),
            "held_out": (
                0 <= held_out < num_targets,
                f"`0 <= held_out < targets` must hold, as one is trained, but got {few}",
            ),
        }
        found = {name: why for name, (holds, why) in rules.items() if not holds}
        return found | _unknown("adapts", options, ADAPTED) | _unknown("start", options, BEGINNINGS)

    @classmethod
    def row_faults(cls, options: Mapping[str, Any], rows: int) -> dict[str, str]:
        """Return whether more rows are to be shot than there are."""
        if (shots := options["shots"]) <= rows:
            return {}
        why = f"`shots <= train rows` must hold, but got (shots={shots}, train rows={rows:,})."
        return {"shots": why}

    @classmethod
    def kept_passes(cls, options: Mapping[str, Any]) -> float:
        """Return half a pass for the query, and for each inner step three halves more.

        A gradient is twice a pass; without second derivatives none is kept.
        """
        steps = 0 if options["first_order"] else options["inner_steps"]
        return max(1.0, (1 + 3 * steps) / 2)

    @classmethod
    def tells(cls, options: Mapping[str, Any]) -> Collection[str]:
        """Return what there is to tell: without inner steps, or targets held out, less."""
        has = {"unadapted_loss": options["inner_steps"], "held_out_loss": options["held_out"]}
        return [name for name, number in has.items() if number]

    @classmethod
    def judged(cls, options: Mapping[str, Any], losses: Tensor) -> dict[str, float]:
        """Return the loss of the targets that are held out."""
        count = options["held_out"]
        return {"held_out_loss": float(losses[-count:].mean())} if count else {}

    def begin(self, members: Members) -> None:
        """Find what is adapted, and which targets are trained."""
        model = cast(Model, members.skeleton)
        self._names = [n for n in members.shapes if self.everything or not _is_shared(n)]
        self._starts = Starts(model.groups, members.shapes, self.held_out, common=self.common)
        places = torch.arange(len(model.targets), device=members.device)
        self._trained = places < len(places) - self.held_out if self.held_out else None

    @property
    def taught(self) -> Tensor:
        """The rates, ``(members,)``."""
        return self.rates

    @property
    def unmoved(self) -> Collection[str]:
        """Of held-out targets what they begin from themselves."""
        return self._starts.untrained

    def objective(self, loss: MemberLoss, tensors: Tensors, taught: Tensor | None) -> Minimised:
        """Return the loss of the second half of the rows, after inner steps on the first."""
        if self._trained is not None:
            loss = loss.of_targets(self._trained)
        if self.common:
            tensors = self._starts.of(tensors)
        if not self.inner_steps:
            return loss(tensors)
        support, query = _halves(loss)
        return query(self._adapted(support, tensors, taught))

    def _adapted(self, support: MemberLoss, tensors: Tensors, rate: Tensor | None) -> Tensors:
        assert rate is not None
        losses = (support.part(slice(None), draw) for draw in range(self.inner_steps))
        return adapted(losses, tensors, self._names, rate, first_order=self.first_order)

    def scored(
        self, members: Members, which: Sequence[int], train: TrainRows, weights: Tensor | None
    ) -> Members:
        """Return members after inner steps on a few train rows, with all targets adapted."""
        if not (self.inner_steps or self.common or self.held_out):
            return members
        if not self.inner_steps:
            return self._started(members)
        rates = self.shared.of_members([self._options[member]["inner_rate"] for member in which])
        rows, keys = self._rows_of(which, len(train)), self._keys_of(which)
        given = train.given(rows, keys, weights, taught=rates)
        train.model.train()
        with torch.no_grad(), drawing_from(0, members.device):  # what draws from no key
            moved: Tensors = train.call(self._from_start, members, given)
        return members.of([{**members.state(m), **_row(moved, m)} for m in range(len(members))])

    def _keys_of(self, which: Sequence[int]) -> Tensor:
        return keyed(self.shared.keys[list(which)], _DRAWS)

    def _rows_of(self, which: Sequence[int], rows: int) -> Tensor:
        """Return on which of so many rows members are adapted, ``(members, shots)``."""
        places = torch.arange(rows, device=self.shared.keys.device)
        orders: Tensor = torch.vmap(_order, (0, None))(self._keys_of(which), places)
        return orders[:, : self.shots]

    def _from_start(self, loss: MemberLoss, tensors: Tensors, taught: Tensor | None) -> Tensors:
        """Return what has moved of a member, from where its targets begin."""
        after = self._adapted(loss, self._starts.of(tensors), taught)
        return {name: after[name] for name in self._names}

    def beside(self, members: Members) -> dict[str, Members]:
        """Return the members without inner steps."""
        return {"unadapted_loss": self._started(members)} if self.inner_steps else {}

    def _started(self, members: Members) -> Members:
        return members.of([self._starts.of(members.state(m)) for m in range(len(members))])


def _is_shared(name: str) -> bool:
    return name.startswith(SHARED_NAMES)


def _halves(loss: MemberLoss) -> tuple[MemberLoss, MemberLoss]:
    """Return the loss of the first half of the rows and of the others; of one row it is both."""
    middle = len(loss) // 2
    if not middle:
        return loss, loss
    return loss.part(slice(None, middle)), loss.part(slice(middle, None))


def _order(key: Tensor, places: Tensor) -> Tensor:
    """Return places in an order that is drawn from a key ``()``."""
    with Randomness(key):
        return torch.rand(len(places), dtype=torch.float64).argsort()


def _row(tensors: Tensors, row: int) -> Tensors:
    return {name: tensor[row] for name, tensor in tensors.items()}


def _unknown(name: str, options: Mapping[str, Any], known: Sequence[str]) -> dict[str, str]:
    """Return whether the value of an option is none of those known, as a fault of it."""
    value = options[name]
    if value in known:
        return {}
    return {name: f"unknown value {shown(value)}; {near_misses(str(value), known)}"}
