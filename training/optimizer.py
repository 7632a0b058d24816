"""A step of the optimiser for many members at once, each with hyperparameters of its own."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import inf
from typing import Any

import torch
from torch import Tensor

from gatelab.training.clipping import clip_gradients
from gatelab.training.configuration import Configuration
from gatelab.training.members import Members
from gatelab.training.optimizers.catalogue import OPTIMIZERS
from gatelab.training.schedule import Schedule
from gatelab.training.table_steps import table_steps


class MemberOptimizer:
    """Clips, decays and moves all members' rows, a few operations on all of them at once.

    What moves them is a rule of :mod:`.optimizers`. What no member asks for costs nothing.
    """

    def __init__(
        self,
        members: Members,
        options: Sequence[Mapping[str, Any]],
        schedules: Sequence[Schedule] | None = None,
        clips: Sequence[float | None] | None = None,
    ) -> None:
        """Make the optimiser.

        Args:
            members: Whose parameters are stepped.
            options: Of each member ``name``, which all share, ``learning_rate``, ``weight_decay``
                and the rule's own. Embedding tables with sparse gradients are exempt from weight
                decay, which would touch every row.
            schedules: Of the members' learning rates; by default these are constant.
            clips: The largest norms of the members' gradients, ``None`` for any.
        """
        self.members = members
        self.kind = OPTIMIZERS[options[0]["name"]]
        self.learning_rates = _column([o["learning_rate"] for o in options], members.flat)
        self.weight_decays = _column([o["weight_decay"] for o in options], members.flat)
        self.decays = any(option["weight_decay"] for option in options)
        self.schedules = list(schedules or [])
        varies = not all(schedule.constant for schedule in self.schedules)
        self._numbers = members.flat.new_empty(0)
        self._factors = members.flat.new_empty(0, len(members)) if varies else None
        self.limits = _limits(clips or [], members.flat)
        self._at = torch.zeros(1, dtype=torch.int64, device=members.flat.device)
        # Which of the steps that were made ready is the next; the first of them is:
        self._first = torch.zeros_like(self._at)
        # In how many steps a row has rested:
        self._rested = self._at.new_zeros(len(members))
        own = {
            name: _column([option.get(name, default) for option in options], members.flat)
            for name, default in self.kind.hyperparameters.items()
        }
        self.rule = self.kind(members.flat.detach(), own)
        self.tables = table_steps(members, self.kind, own)

    def spare(self, names: Collection[str]) -> None:
        """Let parameters of these names not decay: no step is to move them."""
        shapes = self.members.shapes.items()
        decays = [torch.full((shape.numel(),), float(n not in names)) for n, shape in shapes]
        self.weight_decays = self.weight_decays * torch.cat(decays).to(self.weight_decays)

    def ready(self, first: int, steps: int) -> None:
        """Put on the device what changes from step to step, so that a step copies nothing there.

        Args:
            first: The next step, counted from 0.
            steps: For how many this holds.
        """
        coming = range(first, first + steps)
        counts = torch.arange(1, steps + 1, dtype=torch.float64, device=self._at.device) + first
        self._numbers = _placed(self._numbers, self.kind.numbers(counts))
        if self._factors is not None:
            factors = [[schedule.factor(step) for schedule in self.schedules] for step in coming]
            self._factors = _placed(self._factors, torch.tensor(factors, dtype=torch.float64))
        self._first.fill_(first)
        self._at.zero_()

    def skip(self, steps: int) -> None:
        """Leave out so many of the steps that are ready, which were taken before."""
        self._at += steps

    @torch.no_grad()
    def step(self, resting: Tensor | None = None) -> None:
        """Move members along their gradients, and clear them; the step must be ready.

        Args:
            resting: Whose rows take no step, ``(members,)`` bool: they stay, with all that is
                remembered of them. ``None``: nobody's. Embedding tables with sparse gradients do
                not rest.

        Raises:
            ValueError: If there is no gradient of what is not in sparse tables.
        """
        flat = self.members.flat
        if self.limits is not None:
            clip_gradients(self.members, self.limits)
        gradient, rates = flat.grad, self._rates()
        if gradient is None:
            raise ValueError(
                "`members.flat.grad` must be there at a step, but is None: the learner's "
                "`before_step` took it away, or what it minimises depends on no dense parameter."
            )
        numbers = self._numbers.index_select(0, self._at).unbind(1)
        with self._leaving(resting):
            if self.decays:
                self._decay(flat, gradient, rates)
            own = numbers if resting is None else self._numbers_by_row()
            self.rule.move(flat, gradient, rates, own)
        self._at += 1
        flat.grad = None
        if self.tables is not None:
            self.tables.step(rates, numbers)

    @contextmanager
    def _leaving(self, resting: Tensor | None) -> Iterator[None]:
        """Put back, after what is done meanwhile, the rows that rest and what is known of them."""
        tensors = [] if resting is None else [self.members.flat, *self.rule.tensors()]
        before = [tensor.clone() for tensor in tensors]
        yield
        if resting is not None:
            for tensor, past in zip(tensors, before, strict=True):
                tensor.copy_(torch.where(resting[:, None], past, tensor))
            self._rested += resting

    def _numbers_by_row(self) -> list[Tensor]:
        """Return the rule's numbers, ``(members, 1)`` each, by the steps that each row took."""
        counts = (self._first + self._at + 1 - self._rested).double()
        numbers = self.kind.numbers(counts).to(self._numbers)
        return [number[:, None] for number in numbers.unbind(1)]

    def _rates(self) -> Tensor:
        """Return the learning rates of the next step, ``(members, 1)``."""
        if self._factors is None:
            return self.learning_rates
        return self.learning_rates * self._factors.index_select(0, self._at).mT

    def _decay(self, flat: Tensor, gradient: Tensor, rates: Tensor) -> None:
        if self.kind.decoupled:
            flat.mul_(1 - rates * self.weight_decays)
        else:
            gradient.addcmul_(flat, self.weight_decays)

    def keep(self, members: Sequence[int]) -> None:
        """Go on with some of the members only, after they have been kept themselves."""
        index = torch.tensor(members, device=self.learning_rates.device)
        self.learning_rates = self.learning_rates[index]
        self.weight_decays = self.weight_decays[index]
        self.limits = None if self.limits is None else self.limits[index]
        self.schedules = [self.schedules[member] for member in members if self.schedules]
        self._factors = None if self._factors is None else self._factors[:, index]
        self._rested = self._rested[index]
        self.rule.keep(index)
        if self.tables is not None:
            self.tables.keep(members)

    def state(self, member: int) -> dict[str, Any]:
        """Return a copy of all that is known of one member: tensors and numbers only."""
        tables = {} if self.tables is None else self.tables.state(member, self._taken())
        rested = self._rested[member].clone()
        return {"rule": self.rule.state(member), "tables": tables, "rested": rested}

    def _taken(self) -> int:
        """Return how many steps there have been."""
        return int(self._first + self._at)

    def load(self, member: int, state: Mapping[str, Any]) -> None:
        """Put what :meth:`state` returned into a member."""
        self.rule.load(member, state["rule"])
        self._rested[member] = state["rested"]
        if self.tables is not None:
            self.tables.load(member, state["tables"])


def _placed(before: Tensor, rows: Tensor) -> Tensor:
    """Return rows of numbers as those before, and in their place if they fit there."""
    after = rows.to(before)
    return before.copy_(after) if before.shape == after.shape else after


def _column(values: Sequence[float], like: Tensor) -> Tensor:
    return torch.tensor(values, dtype=like.dtype, device=like.device).unsqueeze(1)


def _limits(clips: Sequence[float | None], like: Tensor) -> Tensor | None:
    """Return the norms to clip at ``(members, 1)``, or nothing where no member is clipped."""
    if all(clip is None for clip in clips):
        return None
    return _column([inf if clip is None else clip for clip in clips], like)


def optimizer_of(
    members: Members, configurations: Sequence[Configuration], steps: int
) -> MemberOptimizer:
    """Return the optimiser of members.

    Args:
        members: Of all rows.
        configurations: Of each row.
        steps: That the longest training takes, by which schedules go.
    """
    settings = [configuration.training for configuration in configurations]
    return MemberOptimizer(
        members,
        [configuration.optimizer for configuration in configurations],
        [Schedule(s.get("schedule", "constant"), s.get("warmup", 0.0), steps) for s in settings],
        [setting.get("gradient_clip") for setting in settings],
    )
