"""Numbers of evaluations: every one of a gate or a row has its own, which says where it belongs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


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

    def of(self, number: int) -> Numbered:
        """Return where the run of a number belongs."""
        split, seed = divmod(number, self.seeds)
        return Numbered(*divmod(split, self.splits), seed)
