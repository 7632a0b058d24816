"""The time that a sweep may search for: once it is over, every search ends with its round."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from gatelab.sweeps.search.attributes import SPENT, TAKEN_TRIALS, TRIALS_IN_TIME
from gatelab.sweeps.search.study import Study

SECONDS_AN_HOUR = 3600.0


class TimeLimit:
    """Counts the time that a sweep has searched for, before a stop too."""

    def __init__(
        self, hours: float | None, studies: Mapping[str, Study], clock: Callable[[], float]
    ) -> None:
        """Go on counting.

        Args:
            hours: The limit, above 0; ``None``: there is none.
            studies: All searches, with which it is kept what a resume must know.
            clock: Tells seconds, from any moment on.
        """
        self.hours, self.studies, self.clock = hours, studies, clock
        known = [study.attributes for study in studies.values()]
        self._most: int | None = min(
            (it[TRIALS_IN_TIME] for it in known if TRIALS_IN_TIME in it), default=None
        )
        before: float = max((it.get(SPENT, 0.0) for it in known), default=0.0)
        self._began = clock() - before

    def trials(self, planned: int) -> int:
        """Return how many trials a search has: those planned, or fewer once the time is over."""
        return planned if self._most is None else min(self._most, planned)

    def look(self, trials: int) -> None:
        """Once the time is over, let every search end with the round that any of them is in."""
        if self.hours is None or self._spent() < SECONDS_AN_HOUR * self.hours:
            return
        begun = max(max(study.begun, _least(study)) for study in self.studies.values())
        if begun < trials:
            self._most = begun
            for study in self.studies.values():
                study.mark(**{TRIALS_IN_TIME: begun})

    def note(self, study: Study) -> None:
        """Keep with a study how long it has been, if that matters."""
        if self.hours is not None:
            study.mark(**{SPENT: self._spent()})

    def _spent(self) -> float:
        return self.clock() - self._began


def _least(study: Study) -> int:
    """Return how many trials a search has with one round of its own, beside what it took over."""
    taken: int = study.attributes.get(TAKEN_TRIALS, 0)
    return taken + study.rounds.size
