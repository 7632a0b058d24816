"""Work: one job's training and scores, in steps that can be stopped and gone on with."""

from __future__ import annotations

import math
import time
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gatelab.gates.gate import gates
from gatelab.gates.metrics import expert_load, mean_weights
from gatelab.tasks.task import SplitName, Task
from gatelab.training.evaluation import Evaluation
from gatelab.training.goal import BY_LOSS, Goal, Rank
from gatelab.training.jobs import Job
from gatelab.training.scores import (
    MANY_TARGETS,
    gate_scores,
    predictive_scores,
    rows_that_count,
    stability_scores,
    target_scores,
    unweighted_scores,
    why_no_score,
)
from gatelab.training.steps import Ending, Epochs, Step, Trial
from gatelab.training.train import Recipe, Training

STEP_SECONDS = 5.0
"""After so long a step ends with the epoch at hand: news for the display, a place to go on from."""
STATE_FILE = "state.pt"
TRACE = 20_000
"""The last characters of a traceback, which are kept."""


class Work:
    """Trains a job's members and scores them: each epoch on val, in an evaluation once on test."""

    def __init__(
        self,
        task: Task,
        job: Job,
        recipe: Recipe,
        metrics: Sequence[str] | None = None,
        device: str = "cpu",
        step_seconds: float = STEP_SECONDS,
        goal: Goal = BY_LOSS,
    ) -> None:
        """Make the models.

        Args:
            task: What they learn.
            job: Which they are.
            recipe: How long they train.
            metrics: Names in ``tasks.metrics``; ``None``: the defaults of each target's kind.
            device: Where they train.
            step_seconds: After which a step ends with the epoch at hand.
            goal: By which weights are kept.
        """
        self.goal = goal
        self.task, self.job, self.recipe, self.metrics = task, job, recipe, metrics
        self.step_seconds = step_seconds
        self.training = Training(task, gates.get(job.gate), job.members, recipe, device)
        self.k: int | None = getattr(self.training.model.mixture.gates.each, "k", None)
        model = self.training.model
        self.sizes = {
            "model/parameters": float(_count(model)),
            "model/gate_parameters": float(_count(model.mixture.gates)),
        }
        self.before: dict[int, Tensor] = {}
        self.settled: list[int | None] = [None] * len(job.members)
        self.seconds = 0.0
        self.trial = Trial() if job.stage == "search" else None

    def step(self) -> Step:
        """Train until the job's rung, the end, or a few seconds have passed."""
        started = time.monotonic()
        epochs: Epochs = []
        while not self._over():
            epochs.extend(self._epoch())
            late = time.monotonic() - started > self.step_seconds
            if late or self.training.epoch == self.job.until:
                break
        endings = self._endings() if self._over() else None
        courses = self.training.courses
        objective = float(np.mean([self.goal.cost(course.best_cost) for course in courses]))
        broken = any(course.broken for course in courses)
        notes, self.training.notes = self.training.notes, []  # said once
        return Step(self.training.epoch, objective, broken, epochs, endings, notes)

    def _over(self) -> bool:
        """Return whether every member has ended, or one by which the trial has failed."""
        ends = [course.end for course in self.training.courses]
        return self.training.done or (self.trial is not None and "failed" in ends)

    def _epoch(self) -> Epochs:
        epoch, started = self.training.epoch + 1, time.monotonic()
        scores: dict[int, dict[str, float]] = {}

        def judge(evaluations: Mapping[int, Evaluation]) -> dict[int, Rank]:
            self.seconds += time.monotonic() - started  # of the training, without the scores
            for member, evaluation in evaluations.items():
                scores[member] = self._epoch_scores(member, epoch, evaluation)
            return {member: self.goal.rank(found) for member, found in scores.items()}

        losses = self.training.run_epoch(judge)
        found = {
            n: {"train/loss": loss, **self._train_unweighted(n), **scores[n]}
            for n, (loss, _) in losses.items()
        }
        told = found if self.trial is None else {0: self.trial.epoch(found)}
        return [(member, epoch, metrics) for member, metrics in told.items()]

    def _train_unweighted(self, member: int) -> dict[str, float]:
        return unweighted_scores("train", self.training.courses[member].unweighted)

    def _epoch_scores(self, member: int, epoch: int, evaluation: Evaluation) -> dict[str, float]:
        if not math.isfinite(evaluation.loss):  # it has diverged: nothing else has a meaning
            return {"val/loss": evaluation.loss}
        by_target = self._target_scores(evaluation, "val")
        scores = predictive_scores("val", evaluation, by_target, also=self.goal.objective)
        scores |= gate_scores(self.task, self.k, evaluation)
        before = self.before.get(member)
        if before is not None:
            steps = -(-len(self.task.data("train").inputs) // self.recipe.batch_size)
            scores |= stability_scores(before.numpy(), evaluation, steps)
        self.before[member] = evaluation.weights
        self._settle(member, epoch, scores.get("gate/at_most_k"))
        return scores

    def _settle(self, member: int, epoch: int, at_most_k: float | None) -> None:
        """Keep the first epoch from which on every example has used at most k experts."""
        if at_most_k is None or at_most_k < 1:
            self.settled[member] = None
        elif self.settled[member] is None:
            self.settled[member] = epoch

    def _target_scores(
        self, evaluation: Evaluation, name: SplitName
    ) -> dict[str, dict[str, float]]:
        return target_scores(self.task, self.metrics, evaluation, self.task.data(name))

    def _endings(self) -> list[Ending]:
        """Score every member at its best weights; the test split is made here or never."""
        split: SplitName = "test" if self.job.stage == "evaluate" else "val"
        evaluations = self.training.evaluate_best(split)
        endings = [self._ending(i, split, e) for i, e in enumerate(evaluations)]
        return endings if self.trial is None else [self.trial.ending(endings)]

    def _ending(self, member: int, split: SplitName, evaluation: Evaluation) -> Ending:
        course = self.training.courses[member]
        objective = self.goal.cost(course.best_cost)
        ending = Ending(course.end or "", course.reason, course.epochs, objective, course.broken)
        if course.end == "failed":
            return ending
        if reason := why_no_score(split, evaluation):
            ending.end, ending.reason = "failed", reason
            return ending
        by_target = self._target_scores(evaluation, split)
        names = [target.name for target in self.task.targets]
        few = len(names) <= MANY_TARGETS
        ending.metrics = {
            **predictive_scores(split, evaluation, by_target),
            **gate_scores(self.task, self.k, evaluation, names if few else None),
            "val/loss": course.best_loss,
            **unweighted_scores("val", course.best_unweighted),
            "objective": objective,
            "time/train_seconds": self.seconds / len(self.training.courses),
            **self.sizes,
        }
        if (settled := self.settled[member]) is not None:
            ending.metrics["gate/settled_epoch"] = settled
        if self.job.stage == "evaluate":
            ending.by_target = by_target
            ending.test_to_train = self.task.test_to_train()
            weights, known = evaluation.weights.numpy(), rows_that_count(evaluation)
            ending.weights = mean_weights(weights, known).tolist()
            ending.load = expert_load(weights, known).tolist()
        return ending

    def save(self, folder: Path) -> None:
        """Write the state into a folder."""
        state = {
            "training": self.training.state_dict(),
            "before": self.before,
            "settled": self.settled,
            "seconds": self.seconds,
            "last": self.trial.last if self.trial else {},
        }
        torch.save(state, folder / STATE_FILE)

    def save_model(self, path: Path) -> None:
        """Write the best member by the goal that did not fail, and how to make it."""
        courses = self.training.courses
        scored = [index for index, course in enumerate(courses) if course.end != "failed"]
        best = min(
            scored or range(len(courses)),
            key=lambda member: (courses[member].broken, courses[member].best_cost),
        )
        member = self.job.members[best]
        model = {
            "gate": self.job.gate,
            "configuration": dict(member.configuration.values),
            "seed": member.seed,
            "state": self.training.best[best],
        }
        torch.save(model, path)

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a state that :func:`read_state` returned."""
        self.training.load_state_dict(state["training"])
        self.before, self.settled = state["before"], state["settled"]
        self.seconds = state["seconds"]
        if self.trial is not None:
            self.trial.last = state["last"]


def read_state(folder: Path) -> dict[str, Any]:
    """Return a state that :meth:`Work.save` wrote; nothing in it is executed."""
    state: dict[str, Any] = torch.load(folder / STATE_FILE, weights_only=True)
    return state


def failed(error: BaseException, job: Job) -> Step:
    """Return the step of a job that an error ended."""
    reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
    trace = "".join(traceback.format_exception(error))[-TRACE:]
    ending = Ending("failed", reason, 0, math.inf, broken=True, trace=trace)
    return Step(0, math.inf, True, [], [ending] * job.told)


def _count(module: nn.Module) -> int:
    """Return how many numbers a module learns."""
    return sum(parameter.numel() for parameter in module.parameters())
