"""Lessons: what each row of members learns from, and by what its losses are told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from gatelab.training.copies import Copies, agent_seed
from gatelab.training.learners import RowOrder


class Lessons(NamedTuple):
    """Of each row of ``Members`` what is its own in a pass over the train split."""

    seeds: list[int]
    """From which the order of rows and all draws follow."""
    weights: Tensor | None = None
    """By what targets' losses are minimised, ``(rows, targets)``; ``None``: by what they are
    scored by, the targets' own weights."""
    own: Tensor | None = None
    """Which targets it learns from and is told of, ``(rows, targets)`` bool; ``None``: all."""
    correlations: tuple[float, ...] = ()
    """Of rows that follow each other; empty: of none."""

    def keep(self, rows: Sequence[int]) -> Lessons:
        """Return those of some rows only, in the order given."""
        return Lessons(
            [self.seeds[row] for row in rows],
            None if self.weights is None else self.weights[list(rows)],
            None if self.own is None else self.own[list(rows)],
            tuple(self.correlations[row] for row in rows if self.correlations),
        )


class LessonPlan:
    """What each member learns from, by which the rows of those that train are told."""

    def __init__(
        self,
        seeds: Sequence[int],
        orders: Sequence[RowOrder],
        weights: Tensor | None,
        copies: Copies,
        device: torch.device,
    ) -> None:
        """Plan for all members.

        Args:
            seeds: Of each.
            orders: In which the copies of each read rows.
            weights: What each minimises targets' losses by, ``(members, targets)``, if not by the
                targets' own weights.
            copies: Of each.
            device: Where they train.
        """
        self.seeds, self.orders, self.weights = seeds, orders, weights
        self.copies, self.device = copies, device

    def of(self, members: Sequence[int]) -> Lessons:
        """Return what each row of some members learns from."""
        of, weights = self.copies.each(members), self.weights
        own = self.copies.own(len(members))
        correlations = tuple(self.orders[member].correlation for member in of)
        return Lessons(
            [seed for member in members for seed in self._row_seeds(member)],
            None if weights is None else weights[of],
            None if own is None else own.to(self.device),
            correlations if any(correlations) else (),
        )

    def _row_seeds(self, member: int) -> list[int]:
        """Return the seeds of the orders in which a member's copies read the rows."""
        seed, agents = self.seeds[member], range(self.copies.count)
        own = self.orders[member].own
        return [agent_seed(seed, agent) if own else seed for agent in agents]
