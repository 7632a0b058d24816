"""The follow-up of searches: which evaluations have finished, which have failed, which are left."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from gatelab.sweeps.driver.evaluations import Plan, evaluations
from gatelab.sweeps.search.attributes import DONE, EVALUATED
from gatelab.sweeps.search.study import Study
from gatelab.sweeps.spec.searches import Search, of_gate
from gatelab.training.jobs import Job
from gatelab.training.steps import Ending

FEW_REASONS = 5
"""So many are told where no trial of a gate has finished."""


class FollowUp:
    """Knows of every search which evaluations follow from it, and what has become of them.

    What must be known after a stop is in the studies; an evaluation that fails begins anew then.
    """

    def __init__(self, plan: Plan, gates: Mapping[str, str], studies: Mapping[str, Study]) -> None:
        """Begin, or go on with studies from before a stop.

        Args:
            plan: What every gate gets.
            gates: The registry's key of each gate, by its name in the spec.
            studies: Every search of each, by the search's name.
        """
        self.plan, self.gates, self.studies = plan, gates, studies
        self.failed: dict[str, str] = {}
        """Evaluations that have failed since the start, and why; a resume repeats them."""
        self.closed: set[str] = set()
        """Searches after which nothing is left to do for now."""
        self._following: dict[str, list[Job]] = {}

    def over(self, name: str) -> bool:
        """Return whether a search is done with: evaluated or given up, or failed for now."""
        return name in self.closed or DONE in self.studies[name].attributes

    def left(self, name: str) -> list[Job]:
        """Return the evaluations that follow from a search and have not ended."""
        ended = {*self._finished(name), *self.failed}
        return [job for job in self._follow(name) if job.name not in ended]

    def without_score(self) -> list[str]:
        """Return the gates of which no evaluation has finished."""
        return [label for label in self.gates if not self._scored(label)[label]]

    def in_part(self) -> list[str]:
        """Return the gates and rows of which an evaluation has finished, but not all that should.

        Another has failed, or follows from no trial, as none of a search of the gate has finished.
        """
        failed = [name.partition("/")[0] for name in self.failed]
        scored = {row for label in self.gates for row in self._scored(label)}
        return [one for one in dict.fromkeys([*failed, *self._fruitless()]) if one in scored]

    def scored(self) -> list[Job]:
        """Return the evaluations that have finished."""
        finished = {name: self._finished(name) for name in self.studies}
        return [
            job
            for name, names in finished.items()
            if names  # of a search that has not ended nobody knows yet what follows
            for job in self._follow(name)
            if job.name in names
        ]

    def end(self, job: Job, endings: Sequence[Ending]) -> None:
        """Take in what came of an evaluation; one without any score has failed."""
        if any(ending.end == "finished" for ending in endings):
            finished = [*self._finished(job.of_search), job.name]
            self.studies[job.of_search].mark(**{EVALUATED: finished})
        else:
            self.failed[job.name] = _some(ending.reason for ending in endings)

    def close(self, name: str) -> dict[str, str]:
        """Take in that nothing is left to do after a search for now.

        Returns:
            If it is the last of its gate, the gate and its rows, which are done with, and why they
            have no score; else nothing.
        """
        self.closed.add(name)
        label = Search.of(name).label
        ends = all(self.over(other) for other in of_gate(label, self.studies))
        return self._reasons(label) if ends else {}

    def mark_done(self, name: str) -> None:
        """Note that a search is done with, unless an evaluation after it has failed."""
        if not any(job.name in self.failed for job in self._follow(name)):
            self.studies[name].mark(**{DONE: True})

    def _fruitless(self) -> list[str]:
        """Return the gates with a search that is over, and of which no trial has finished."""
        over = [name for name in self.studies if self.over(name)]
        return [Search.of(name).label for name in over if not self._follow(name)]

    def _scored(self, label: str) -> Counter[str]:
        """Return how many evaluations of a gate, and of each of its rows, have finished."""
        names = (job for search in of_gate(label, self.studies) for job in self._finished(search))
        return Counter(name.partition("/")[0] for name in names)

    def _finished(self, name: str) -> list[str]:
        """Return the evaluations after a search that have finished: all, if it is done with."""
        attributes = self.studies[name].attributes
        if DONE in attributes:
            return [job.name for job in self._follow(name)]
        finished: list[str] = attributes.get(EVALUATED, [])
        return finished

    def _follow(self, name: str) -> list[Job]:
        """Return the evaluations that follow from a search that has ended."""
        if name not in self._following:
            search, study = Search.of(name), self.studies[name]
            jobs = evaluations(self.plan, search, self.gates[search.label], study)
            self._following[name] = jobs
        return self._following[name]

    def _reasons(self, label: str) -> dict[str, str]:
        """Return a gate and its rows, and why each has no score; empty where it has one."""
        searches = of_gate(label, self.studies)
        jobs = [job for name in searches for job in self._follow(name)]
        scored = self._scored(label)
        reasons = _some(why for study in searches.values() for why in study.outcomes.reasons())
        found = {}
        for row in dict.fromkeys([label, *(job.label for job in jobs)]):
            own = [job.name for job in jobs if job.label == row]
            failed = "; ".join(dict.fromkeys(self.failed[n] for n in own if n in self.failed))
            why = f"evaluation failed: {failed}" if own else f"no trial finished: {reasons}"
            found[row] = "" if scored[row] else why
        return found


def _some(reasons: Iterable[str]) -> str:
    """Return a few different reasons, and how many others there are."""
    found = list(dict.fromkeys(reasons))
    more = len(found) - FEW_REASONS
    rest = [f"and {more} other{'s' if more > 1 else ''}"] if more > 0 else []
    return "; ".join([*found[:FEW_REASONS], *rest])
