"""A sweep under way: which job comes next, and what a result means."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from gatelab.sweeps.driver.evaluations import Plan
from gatelab.sweeps.driver.follow_up import FollowUp
from gatelab.sweeps.driver.listener import Listener
from gatelab.sweeps.driver.saved_states import saved_state, state_attribute
from gatelab.sweeps.driver.seconds_spent import with_seconds
from gatelab.sweeps.driver.time_limit import TimeLimit
from gatelab.sweeps.search.attributes import TOGETHER
from gatelab.sweeps.search.study import Ask, Study
from gatelab.sweeps.spec.searches import Search, mixed, seed_of
from gatelab.training.jobs import Job
from gatelab.training.member import Member
from gatelab.training.steps import Ending, Step

Jobs = tuple[Job, ...]
"""What is handed out together: trials of one structure, or one evaluation."""


class Sweep:
    """Hands out every gate's trials in turn, then its evaluations, and takes in the results.

    It runs nothing itself. What it must know after a stop is in the studies.
    """

    def __init__(
        self,
        plan: Plan,
        gates: Mapping[str, str],
        studies: Mapping[str, Study],
        listeners: Sequence[Listener] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Make a sweep, or one that goes on with studies from before a stop.

        Args:
            plan: What every gate gets.
            gates: The registry's key of each gate, by its name in the spec.
            studies: Every search of each, by the search's name.
            listeners: Who is told.
            clock: Tells seconds, from any moment on.
        """
        self.plan, self.gates, self.studies, self.listeners = plan, gates, studies, listeners
        self.running: dict[str, Jobs] = {}
        """The jobs that were handed out together, by the names of those that are under way."""
        self.returned: list[Jobs] = []
        self.stopped = ""
        """What has changed, so that nothing more is handed out; empty: nothing."""
        self.time = TimeLimit(plan.hours, studies, clock)
        self.follow_up = FollowUp(plan, gates, studies)

    @property
    def trials(self) -> int:
        """How many a search has: those of the plan, or fewer once the time is over."""
        return self.time.trials(self.plan.trials)

    @property
    def finished(self) -> bool:
        """Whether every gate is done with, as far as this process goes."""
        return all(self.follow_up.over(name) for name in self.studies)

    @property
    def busy(self) -> int:
        """How many places are taken: what is handed out together takes one."""
        return len({id(jobs) for jobs in self.running.values()})

    def next_jobs(self) -> Jobs:
        """Return the next jobs, to be done together; none while all that is left waits."""
        if self.stopped:
            return ()
        for name in self.studies:
            self._prune(name)  # what a stop has left undone
        self.time.look(self.trials)
        returned = self.returned.pop(0) if self.returned else ()
        unsearched = [name for name, study in self.studies.items() if not study.rounds.size]
        jobs = (
            returned
            or self._next_evaluation(unsearched)  # of what is not trained, which takes no time
            or self._next_trials()
            or self._next_evaluation(self.studies)
        )
        for job in jobs:
            self.running[job.name] = jobs
            for listener in self.listeners:
                listener.started(job)
        return jobs

    def _next_evaluation(self, names: Iterable[str]) -> Jobs:
        for name in names:
            if not self.studies[name].over(self.trials) or self.follow_up.over(name):
                continue
            left = self.follow_up.left(name)
            if not left:  # a stop came before the gate was closed, or nothing can be evaluated
                self._close(name)
            waiting = [job for job in left if job.name not in self.running]
            if waiting:
                return (waiting[0],)
        return ()

    def _next_trials(self) -> Jobs:
        """Ask first the study of which the fewest trials have ended, so that all advance."""
        for name, study in sorted(self.studies.items(), key=lambda item: item[1].ended):
            asked = study.ask(self.trials)
            if asked is not None:
                width: int = study.attributes.get(TOGETHER, self.plan.width)
                mates = study.ask_mates(asked.number, max(1, width // self.plan.trial_seeds))
                return tuple(self._trial(name, one) for one in (asked, *mates))
        return ()

    def _trial(self, name: str, asked: Ask) -> Job:
        # The same number has the same seeds with every gate.
        label, repeat = Search.of(name)
        root = seed_of(self.plan.seed, repeat)
        seeds = [mixed(root, 0, asked.number, n) for n in range(self.plan.trial_seeds)]
        members = tuple(Member(asked.configuration, seed) for seed in seeds)
        gate = self.gates[label]
        return Job("search", label, gate, members, asked.number, asked.until, search=name)

    def saved_state(self, job: Job) -> str | None:
        """Return where the state of a job lies that a stop cut short."""
        return saved_state(self.studies, job)

    def keep_state(self, job: Job, folder: str) -> None:
        """Take in where the newest saved state of a job lies."""
        study = self.studies[job.of_search]
        if job.stage == "search":
            study.keep_state(job.number, folder)
        else:
            study.mark(**{state_attribute(job): folder})

    def needs(self, folder: str) -> bool:
        """Return whether a job that has not ended notes its newest state there."""
        return any(
            folder in [*study.trial_states.values(), *study.attributes.values()]
            for study in self.studies.values()
        )

    def progress(self, job: Job, step: Step, state: str | None = None) -> bool:
        """Take in a step, and where the state lies that was saved after it, if one was.

        The step is recorded before its state is noted, and that before the trial waits at a rung:
        after a kill in between, epochs are trained again, but none is missing in the record.

        Returns:
            Whether the job is over: its members have ended, or it waits at a rung.
        """
        if job.name not in self.running:
            return True  # a worker that is lost after its last step makes Tune do the job again
        for listener in self.listeners:
            listener.progressed(job, step)
        if state is not None:
            self.keep_state(job, state)
        study = self.studies[job.of_search]
        if step.endings is not None:
            self._end(job, step.endings, step.seconds)
            return True
        if step.epoch == job.until:
            self.running.pop(job.name, None)
            study.arrive(job.number, step)
            self._prune(job.of_search)
            return True
        return False

    def _prune(self, name: str) -> None:
        """End the trials of a search that its round has left behind."""
        for asked, ending in self.studies[name].lost():
            self._end_trial(self._trial(name, asked), ending)

    def goes_on(self, job: Job) -> bool:
        """Return whether a job is under way, or is handed out again, from its saved state."""
        return job.name in self.running or any(job in jobs for jobs in self.returned)

    def take_back(self, jobs: Jobs) -> None:
        """Take in that jobs were not begun; they are handed out again before any other."""
        self._return([jobs])

    def part(self, jobs: Jobs) -> None:
        """Take in that jobs cannot be done together; each half of them is handed out again."""
        half = (len(jobs) + 1) // 2
        self._return([jobs[:half], jobs[half:]])

    def _return(self, parts: Sequence[Jobs]) -> None:
        for jobs in parts:
            going = tuple(job for job in jobs if self.running.pop(job.name, None))
            if going:
                self.returned.append(going)

    def lose(self, jobs: Jobs, reason: str) -> None:
        """Take in that jobs cannot be brought to their end; of several, each half is tried."""
        if len(jobs) > 1:
            self.part(jobs)
            return
        (job,) = jobs
        if job.name in self.running:
            failed = Ending("failed", reason, 0, float("inf"))
            self._end(job, [failed] * job.told, 0.0)

    def _end(self, job: Job, endings: Sequence[Ending], seconds: float) -> None:
        """Take in how a job ended whose members trained for so long: the mean over them."""
        self.running.pop(job.name, None)
        if job.stage == "search":
            before = self.studies[job.of_search].standings[job.number].seconds  # at its last rung
            self._end_trial(job, *with_seconds(endings, max(seconds, before)))
            self._prune(job.of_search)
        else:
            self._end_evaluation(job, with_seconds(endings, seconds))

    def _end_trial(self, job: Job, ending: Ending) -> None:
        for listener in self.listeners:
            listener.ended(job, [ending])
        study = self.studies[job.of_search]
        study.tell(job.number, ending)
        self.time.note(study)
        if study.over(self.trials) and study.selected() is None:
            self._close(job.of_search)

    def _end_evaluation(self, job: Job, endings: Sequence[Ending]) -> None:
        """Take in what came of an evaluation; without any score it starts anew in a resume.

        Its state goes first: after a kill in between it begins anew, as a run that has its last row
        takes no other.
        """
        self.studies[job.of_search].mark(**{state_attribute(job): None})
        for listener in self.listeners:
            listener.ended(job, endings)
        self.follow_up.end(job, endings)
        if not self.follow_up.left(job.of_search):
            self._close(job.of_search)

    def _close(self, name: str) -> None:
        """Take in that nothing is left to do after a search; with a gate's last one it ends."""
        for label, reason in self.follow_up.close(name).items():
            for listener in self.listeners:
                listener.gate_ended(label, reason)
        self.follow_up.mark_done(name)
