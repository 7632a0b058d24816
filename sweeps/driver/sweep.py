"""A sweep under way: which job comes next, and what a result means."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from gatelab.sweeps.search.studies import STATE_ATTRIBUTE, Ask, Study
from gatelab.training.configuration import Configuration
from gatelab.training.jobs import Job
from gatelab.training.steps import Ending, Step
from gatelab.training.train import Member


class Listener(Protocol):
    """Hears of everything that happens, in order: the record and the display do."""

    def started(self, job: Job) -> None:
        """Hear that a job was handed out."""

    def progressed(self, job: Job, step: Step) -> None:
        """Hear of more epochs."""

    def ended(self, job: Job, endings: Sequence[Ending]) -> None:
        """Hear how each member of a job ended."""

    def gate_ended(self, label: str, reason: str) -> None:
        """Hear that a gate is done with; ``reason`` says why it has no evaluation, if so."""


@dataclass(frozen=True)
class Plan:
    """What every gate gets, the same for each."""

    trials: int
    """Of its search."""
    trial_seeds: int
    """Members of each."""
    seeds: int
    """Of its evaluation."""
    seed: int
    """From which all seeds of training follow."""


class Sweep:
    """Hands out every gate's trials in turn, then its evaluation, and takes in the results.

    It runs nothing itself. What it must know after a stop is in the studies.
    """

    def __init__(
        self,
        plan: Plan,
        gates: Mapping[str, str],
        studies: Mapping[str, Study],
        listeners: Sequence[Listener] = (),
    ) -> None:
        """Make a sweep, or one that goes on with studies from before a stop.

        Args:
            plan: What every gate gets.
            gates: The registry's key of each gate, by its name in the spec.
            studies: The search of each, by the same.
            listeners: Who is told.
        """
        self.plan, self.gates, self.studies, self.listeners = plan, gates, studies, listeners
        self.running: set[str] = set()
        self.unscored: set[str] = set()
        """Gates whose evaluation has failed since the start; a resume repeats it."""
        self.returned: list[Job] = []

    @property
    def finished(self) -> bool:
        """Whether every gate is done with, as far as this process goes."""
        return all(self._done(label) for label in self.studies)

    def _done(self, label: str) -> bool:
        return label in self.unscored or "done" in self.studies[label].attributes

    def without_score(self) -> list[str]:
        """Return the gates that have been done with and have no score."""
        studies = self.studies.items()
        return [n for n, study in studies if n in self.unscored or study.selected() is None]

    def next_job(self) -> Job | None:
        """Return the next job; ``None`` while all that is left waits for running ones."""
        for label in self.studies:
            self._prune(label)  # what a stop has left undone
        returned = self.returned.pop(0) if self.returned else None
        job = returned or self._next_evaluation() or self._next_trial()
        if job is not None:
            self.running.add(job.name)
            self._tell_all("started", job)
        return job

    def _next_evaluation(self) -> Job | None:
        for label, study in self.studies.items():
            ready = study.ended >= self.plan.trials and not self._done(label)
            if not ready or f"{label}/evaluate/0" in self.running:
                continue
            selected = study.selected()
            if selected is None:
                self._give_up(label)
                continue
            study.mark(selected=selected[0])
            return self._evaluation(label, selected[1])
        return None

    def _evaluation(self, label: str, configuration: Configuration) -> Job:
        seeds = [_seed(self.plan.seed, 1, index) for index in range(self.plan.seeds)]
        members = tuple(Member(configuration, seed) for seed in seeds)
        return Job("evaluate", label, self.gates[label], members)

    def _next_trial(self) -> Job | None:
        """Ask first the study of which the fewest trials have ended, so that all advance."""
        for label, study in sorted(self.studies.items(), key=lambda item: item[1].ended):
            asked = study.ask(self.plan.trials)
            if asked is not None:
                return self._trial(label, asked)
        return None

    def _trial(self, label: str, asked: Ask) -> Job:
        # The same number has the same seeds with every gate.
        seeds = [_seed(self.plan.seed, 0, asked.number, n) for n in range(self.plan.trial_seeds)]
        members = tuple(Member(asked.configuration, seed) for seed in seeds)
        return Job("search", label, self.gates[label], members, asked.number, asked.until)

    def saved_state(self, job: Job) -> str | None:
        """Return where the state of a job lies that a stop cut short."""
        study = self.studies[job.label]
        if job.stage == "search":
            return study.trial_states.get(job.number)
        state: str | None = study.attributes.get(STATE_ATTRIBUTE)
        return state

    def keep_state(self, job: Job, folder: str) -> None:
        """Take in where the newest saved state of a job lies."""
        study = self.studies[job.label]
        if job.stage == "search":
            study.keep_state(job.number, folder)
        else:
            study.mark(**{STATE_ATTRIBUTE: folder})

    def progress(self, job: Job, step: Step) -> bool:
        """Take in a step.

        Returns:
            Whether the job is over: its members have ended, or it waits at a rung.
        """
        if job.name not in self.running:
            return True  # a worker that is lost after its last step makes Tune do the job again
        self._tell_all("progressed", job, step)
        study = self.studies[job.label]
        if step.endings is not None:
            self._end(job, step.endings)
            return True
        if step.epoch == job.until:
            self.running.discard(job.name)
            study.arrive(job.number, step.epoch, step.objective, broken=step.broken)
            self._prune(job.label)
            return True
        return False

    def _prune(self, label: str) -> None:
        """End the trials of a gate that its round has left behind."""
        for asked, ending in self.studies[label].lost():
            self._end_trial(self._trial(label, asked), ending)

    def take_back(self, job: Job) -> None:
        """Take in that a job was not begun; it is handed out again before any other."""
        if job.name in self.running:
            self.running.discard(job.name)
            self.returned.append(job)

    def lose(self, job: Job, reason: str) -> None:
        """Take in that a job cannot be brought to its end."""
        if job.name in self.running:
            failed = Ending("failed", reason, 0, float("inf"))
            self._end(job, [failed] * job.told)

    def _end(self, job: Job, endings: Sequence[Ending]) -> None:
        self.running.discard(job.name)
        if job.stage == "search":
            self._end_trial(job, endings[0])
            self._prune(job.label)
            return
        self._tell_all("ended", job, endings)
        if any(ending.end == "finished" for ending in endings):
            self._finish(job.label, "")
        else:
            self._fail(job, endings)

    def _end_trial(self, job: Job, ending: Ending) -> None:
        self._tell_all("ended", job, [ending])
        study = self.studies[job.label]
        study.tell(job.number, ending)
        if study.ended >= self.plan.trials and study.selected() is None:
            self._give_up(job.label)

    def _fail(self, job: Job, endings: Sequence[Ending]) -> None:
        """End a gate without a score; its evaluation starts anew in a resume."""
        counts = Counter(ending.reason for ending in endings)
        self._tell_all("gate_ended", job.label, f"evaluation failed: {'; '.join(counts)}")
        self.unscored.add(job.label)
        self.studies[job.label].mark(**{STATE_ATTRIBUTE: None})

    def _give_up(self, label: str) -> None:
        reasons = self.studies[label].reasons()
        self._finish(label, f"no trial finished: {'; '.join(reasons)}")

    def _finish(self, label: str, reason: str) -> None:
        if "done" not in self.studies[label].attributes:
            self._tell_all("gate_ended", label, reason)
            self.studies[label].mark(done=True)

    def _tell_all(self, event: str, *what: object) -> None:
        for listener in self.listeners:
            getattr(listener, event)(*what)


def _seed(*numbers: int) -> int:
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])
