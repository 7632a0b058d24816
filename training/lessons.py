"""Lessons: what each row of members learns from, and by what its losses are told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor


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
