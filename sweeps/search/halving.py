"""Synchronous successive halving, which decides when all trials of a round have arrived."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from gatelab.sweeps.spec.rounds import Rounds
from gatelab.training.goal import Rank


@dataclass
class Standing:
    """What is known of one trial of a round."""

    ranks: dict[int, Rank] = field(default_factory=dict)
    """At the rungs that it has reached."""
    final: Rank | None = None
    """Once it has ended by itself."""
    failed: bool = False
    trained: int = 0
    """Epochs that its members have trained by the last of these rungs, added up."""
    seconds: float = 0.0
    """For which a member has trained by then."""
    scores: Mapping[str, float] = field(default_factory=dict)
    """Of the weights that its members keep then."""

    def at(self, rung: int) -> Rank | None:
        """Return its rank at a rung, or at its end before that; ``None`` while it is under way."""
        return self.ranks.get(rung, self.final)

    def failed_at(self, rung: int) -> bool:
        """Return whether it failed before a rung; what comes later changes no earlier decision."""
        return self.failed and rung not in self.ranks


class Verdict(NamedTuple):
    """What a round has come to."""

    going: tuple[int, ...]
    """The trials that go on, or wait for others that do."""
    until: int | None
    """The epoch to which they train; ``None``: their end."""
    lost: Mapping[int, str]
    """Why trials were given up, in the order in which they were."""


def verdict(standings: Mapping[int, Standing], rounds: Rounds) -> Verdict:
    """Decide as far as can be decided, the same whenever and however often it is asked.

    Of all trials that set out for a rung the best share goes on, one at least; a failed trial
    takes a place of none. Equal ranks: the lower number. Li et al., Hyperband, JMLR 2018,
    algorithm 1, its inner loop.
    """
    going, places = sorted(standings), len(standings)
    lost: dict[int, str] = {}
    for rung in rounds.rungs:
        ranks = {number: standings[number].at(rung) for number in going}
        known = {number: rank for number, rank in ranks.items() if rank is not None}
        if len(known) < len(going):
            return Verdict(tuple(going), rung, lost)
        failed = {number for number in going if standings[number].failed_at(rung)}
        order = sorted(going, key=lambda n: (n in failed, known[n], n))
        places = max(1, places // rounds.factor)
        lost |= {
            number: f"{ordinal(place)} of {len(order)} at epoch {rung}"
            for place, number in enumerate(order, start=1)
            if place > places
        }
        going = sorted(set(order[:places]) - failed)
    return Verdict(tuple(going), None, lost)


def ordinal(number: int) -> str:
    """Return 1st, 2nd, 3rd, 4th, 11th, 21st."""
    ends = {1: "st", 2: "nd", 3: "rd"}
    end = "th" if 10 <= number % 100 <= 20 else ends.get(number % 10, "th")
    return f"{number}{end}"
