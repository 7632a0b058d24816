"""Work: one job's training and scores, in steps that can be stopped and gone on with."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gatelab.foreign import told
from gatelab.gates.gate import gates
from gatelab.tasks.task import SplitName, Task
from gatelab.training.evaluation import Evaluation
from gatelab.training.goal import BY_LOSS, NO_RANK, Goal, Rank
from gatelab.training.job_members import JobMembers, parts_of_jobs
from gatelab.training.jobs import Job
from gatelab.training.member import Recipe
from gatelab.training.raising import of_each
from gatelab.training.scores import unweighted_scores
from gatelab.training.scoring import Scoring
from gatelab.training.states import STATE_FILE, StateError, States, check_form
from gatelab.training.steps import Ending, Epochs, Step, ended_by, means
from gatelab.training.train import Training

STEP_SECONDS = 5.0
"""After so long a step ends with the epoch at hand: news for the display, a place to go on from."""


class Work:
    """Trains the members of jobs together and scores them: each epoch on val, at their end too.

    An evaluation is scored at its end on test, once.
    """

    def __init__(
        self,
        task: Task,
        jobs: Sequence[Job],
        recipe: Recipe,
        metrics: Sequence[str] | None = None,
        device: str = "cpu",
        step_seconds: float = STEP_SECONDS,
        goal: Goal = BY_LOSS,
    ) -> None:
        """Make the models.

        Args:
            task: What they learn.
            jobs: One, or trials of one structure of a search that train to the same epoch.
            recipe: How long they train.
            metrics: Names in ``tasks.metrics``; ``None``: the defaults of each target's kind.
            device: Where they train.
            step_seconds: After which a step ends with the epoch at hand.
            goal: By which weights are kept.

        Raises:
            ValueError: If a hyperparameter is out of its range, or jobs differ in structure.
        """
        self.goal, self.step_seconds, self.until = goal, step_seconds, jobs[0].until
        self.parts = parts_of_jobs(jobs)
        members = [member for job in jobs for member in job.members]
        self.training = Training(task, gates.get(jobs[0].gate), members, recipe, device)
        self.scoring = Scoring(
            task,
            self.training.model,
            metrics,
            goal,
            recipe.batch_size,
            len(members),
            self.training.copies.count,
        )
        self.seconds = [0.0] * len(members)

    def step(self) -> list[Step]:
        """Train until the jobs' rung, the end, or a few seconds have passed; return each one's."""
        started = time.monotonic()
        epochs: list[Epochs] = [[] for _ in self.parts]
        while not (self._done() or self._arrived()):  # a stop may have left them at their rung
            self._epoch(epochs)
            if time.monotonic() - started > self.step_seconds:
                break
        endings = self._endings() if self._done() or self._arrived() else {}
        return [self._step(*found, endings) for found in zip(self.parts, epochs, strict=True)]

    def _step(self, part: JobMembers, epochs: Epochs, endings: Mapping[str, list[Ending]]) -> Step:
        courses = [self.training.courses[member] for member in part.members]
        objective = float(np.mean([self.goal.cost(course.best_cost) for course in courses]))
        broken = any(course.broken for course in courses)
        notes, self.training.notes = self.training.notes, []  # said once
        epoch = max(course.epochs for course in courses)
        trained = sum(course.epochs for course in courses)
        seconds = float(np.mean([self.seconds[member] for member in part.members]))
        ended = endings.get(part.job.key)
        scores = means([course.scores for course in courses]) if part.trial else {}
        return Step(epoch, objective, broken, epochs, ended, notes, trained, seconds, scores)

    def _arrived(self) -> bool:
        return self.training.epoch == self.until

    def _done(self) -> bool:
        """Return whether every job is over; what is left of one that is trains no further."""
        for part in self.parts:
            if self._over(part):
                self.training.drop(part.members)
        return self.training.done

    def _over(self, part: JobMembers) -> bool:
        """Return whether every member has ended, or one by which the trial has failed."""
        ends = [self.training.courses[member].end for member in part.members]
        return None not in ends or (part.trial is not None and "failed" in ends)

    def _epoch(self, epochs_of: Sequence[Epochs]) -> None:
        """Train for an epoch, and add each job's metrics to its epochs."""
        epoch, started = self.training.epoch + 1, time.monotonic()
        active = list(self.training.active)
        scores: dict[int, dict[str, float]] = {}

        def judge(evaluations: Mapping[int, Evaluation]) -> dict[int, Rank]:
            own = (time.monotonic() - started) / len(active)  # without the time of the scores
            for member in evaluations:
                self.seconds[member] += own
            scores.update(self.scoring.epoch(epoch, evaluations, self.training.split("val")))
            ranks = {member: self.goal.rank(found) for member, found in scores.items()}
            return ranks | dict.fromkeys(self.scoring.raised, NO_RANK)

        losses = self.training.run_epoch(judge)
        for member, error in self.scoring.raised.items():
            self.training.courses[member].reason = f"{told(error)} in epoch {epoch}"
        found = {
            n: {"train/loss": loss, **self._train_unweighted(n), **scores[n]}
            for n, (loss, _) in losses.items()
        }
        for n, scored in found.items():
            self.training.courses[n].take(scored)
        for part, epochs in zip(self.parts, epochs_of, strict=True):
            own = {place: found[n] for place, n in enumerate(part.members) if n in found}
            if own and part.trial is not None:
                own = {0: part.trial.epoch(own)}
            epochs.extend((place, epoch, metrics) for place, metrics in own.items())

    def _train_unweighted(self, member: int) -> dict[str, float]:
        return unweighted_scores("train", self.training.courses[member].unweighted)

    def _endings(self) -> dict[str, list[Ending]]:
        """Score the members of jobs that are over at their best weights, by the jobs' keys.

        The test split is made here or never.
        """
        over = [part for part in self.parts if self._over(part)]
        chosen = [member for part in over for member in part.members]
        if not chosen:
            return {}
        split: SplitName = "test" if over[0].trial is None else "val"
        found = self._last(split, chosen)
        endings = {}
        for part in over:
            own = [found[member] for member in part.members]
            endings[part.job.key] = own if part.trial is None else [part.trial.ending(own)]
        return endings

    def _last(self, split: SplitName, chosen: Sequence[int]) -> dict[int, Ending]:
        """Return how members end; one of which a pass or a score raises fails alone."""
        passed, raised = of_each(chosen, partial(self.training.evaluate_best, split))

        def end(members: Sequence[int]) -> list[Ending]:
            return [self._ending(member, split, passed[member].cpu()) for member in members]

        ended, others = of_each(list(passed), end)
        raised |= others
        found = ended | {member: ended_by(error) for member, error in raised.items()}
        for member, ending in found.items():
            if ending.end == "failed":  # its model is not kept as one that has a score
                self.training.courses[member].end = "failed"
        return found

    def _ending(self, member: int, split: SplitName, evaluation: Evaluation) -> Ending:
        course, seconds = self.training.courses[member], self.seconds[member]
        return self.scoring.ending(member, course, split, evaluation, seconds)

    def save(self, folder: Path, key: str | None = None) -> None:
        """Write the jobs' states, or that of one of them, into a folder."""
        states = {
            part.job.key: self._state(part) for part in self.parts if key in (None, part.job.key)
        }
        torch.save(states, folder / STATE_FILE)

    def _state(self, part: JobMembers) -> dict[str, Any]:
        return {
            "epoch": self.training.epoch,
            "members": [
                {
                    "training": self.training.state(member),
                    "scoring": self.scoring.state(member),
                    "seconds": self.seconds[member],
                }
                for member in part.members
            ],
            "last": part.trial.last if part.trial else {},
        }

    def restore(self, states: States) -> bool:
        """Go on from states that :func:`read_state` returned, if they are of one epoch.

        Returns:
            Whether they are; if not, or one is missing, all jobs begin anew.

        Raises:
            StateError: If one is none from which its job can go on; nothing is taken from any then.
        """
        found = [states.get(part.job.key) for part in self.parts]
        own = [state for state in found if state is not None]
        for part, state in zip(self.parts, found, strict=True):
            if state is not None:
                self._check(part, state)
        if len(own) < len(found) or len({state["epoch"] for state in own}) > 1:
            return False
        members = [member for state in own for member in state["members"]]
        self.training.load([member["training"] for member in members])
        for index, member in enumerate(members):
            self.scoring.load(index, member["scoring"])
        self.seconds = [member["seconds"] for member in members]
        for part, state in zip(self.parts, own, strict=True):
            if part.trial is not None:
                part.trial.last = state["last"]
        return True

    def _check(self, part: JobMembers, state: dict[str, Any]) -> None:
        """Check that a job can go on from a state, which other code or data may have left."""
        check_form(state, self._state(part))
        for member in state["members"]:
            self.scoring.check(member["scoring"])
        if self.until is not None and state["epoch"] > self.until:
            raise StateError(f"is of epoch {state['epoch']}, after epoch {self.until}")

    def save_model(self, path: Path) -> None:
        """Write the best member by the goal that did not fail, and how to make it."""
        courses = self.training.courses
        scored = [index for index, course in enumerate(courses) if course.end != "failed"]
        best = min(
            scored or range(len(courses)),
            key=lambda member: (courses[member].broken, courses[member].best_cost),
        )
        job = self.parts[0].job
        member = job.members[best]
        model = {
            "gate": job.gate,
            "configuration": dict(member.configuration.values),
            "seed": member.seed,
            "state": self.training.served(best),
        }
        torch.save(model, path)
