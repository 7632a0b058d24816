"""Numbers of evaluations: every one of a gate or a row has its own, which says where it belongs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from gatelab.sweeps.spec.even_parts import even_parts


class Numbered(NamedTuple):
    """Where one of an evaluation's runs belongs, each counted from 0."""

    repeat: int
    """Of the search."""
    place: int
    """Of the split."""
    seed: int


@dataclass(frozen=True)
class Numbering:
    """Counts the runs of a gate's evaluations: by repeat of the search, split and seed."""

    seeds: int
    """On every split."""
    splits: int
    """After every search."""

    def number(self, repeat: int, place: int, seed: int) -> int:
        """Return the number of a run; that of an evaluation is the one of its first run."""
        return (repeat * self.splits + place) * self.seeds + seed

    def parts(self, taken: int, width: int) -> list[Sequence[int]]:
        """Return the seeds on a split by the evaluation that trains them, each counted from 0.

        Args:
            taken: How many were taken over from another sweep, where they were evaluated.
            width: How many of the others train together at most.
        """
        new = even_parts(range(taken, self.seeds), width)
        return [range(taken), *new] if taken else new

    def of(self, number: int) -> Numbered:
        """Return where the run of a number belongs."""
        split, seed = divmod(number, self.seeds)
        return Numbered(*divmod(split, self.splits), seed)
