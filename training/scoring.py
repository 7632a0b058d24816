"""Scoring: what a member's epochs and its end are worth, as metrics by their keys."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from gatelab.gates.metrics import expert_load, mean_weights
from gatelab.tasks.task import SplitName, Task
from gatelab.training.evaluation import Evaluation
from gatelab.training.goal import Goal
from gatelab.training.member import Course
from gatelab.training.model import Model
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
from gatelab.training.states import StateError
from gatelab.training.steps import Ending


class Scoring:
    """Scores the members of one structure; what an epoch changed is against the one before."""

    def __init__(
        self,
        task: Task,
        model: Model,
        metrics: Sequence[str] | None,
        goal: Goal,
        batch_size: int,
        members: int,
    ) -> None:
        """Begin before the first epoch.

        Args:
            task: What they learn.
            model: One that has their structure.
            metrics: Names in ``tasks.metrics``; ``None``: the defaults of each target's kind.
            goal: By which weights are kept.
            batch_size: Rows of a step.
            members: How many there are.
        """
        self.task, self.metrics, self.goal, self.batch_size = task, metrics, goal, batch_size
        self.k: int | None = getattr(model.mixture.gates.each, "k", None)
        self.sizes = {
            "model/parameters": float(_count(model)),
            "model/gate_parameters": float(_count(model.mixture.gates)),
        }
        self.before: list[Tensor | None] = [None] * members
        self.settled: list[int | None] = [None] * members

    def epoch(self, member: int, epoch: int, evaluation: Evaluation) -> dict[str, float]:
        """Return a member's scores on val after an epoch, counted from 1."""
        if not math.isfinite(evaluation.loss):  # it has diverged: nothing else has a meaning
            return {"val/loss": evaluation.loss}
        by_target = self._by_target("val", evaluation)
        scores = predictive_scores("val", evaluation, by_target, also=self.goal.objective)
        scores |= gate_scores(self.task, self.k, evaluation)
        before = self.before[member]
        if before is not None:
            steps = -(-len(self.task.data("train").inputs) // self.batch_size)
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

    def _by_target(self, name: SplitName, evaluation: Evaluation) -> dict[str, dict[str, float]]:
        return target_scores(self.task, self.metrics, evaluation, self.task.data(name))

    def ending(
        self, member: int, course: Course, split: SplitName, evaluation: Evaluation, seconds: float
    ) -> Ending:
        """Return how a member ended, with its scores at the weights that it keeps.

        Args:
            member: Its index.
            course: What has become of it.
            split: ``val``, or ``test`` of an evaluation.
            evaluation: Its pass over that split.
            seconds: Of its training.
        """
        objective = self.goal.cost(course.best_cost)
        ending = Ending(course.end or "", course.reason, course.epochs, objective, course.broken)
        if course.end == "failed":
            return ending
        if reason := why_no_score(split, evaluation):
            ending.end, ending.reason = "failed", reason
            return ending
        by_target = self._by_target(split, evaluation)
        names = [target.name for target in self.task.targets]
        few = len(names) <= MANY_TARGETS
        ending.metrics = {
            **predictive_scores(split, evaluation, by_target),
            **gate_scores(self.task, self.k, evaluation, names if few else None),
            "val/loss": course.best_loss,
            **unweighted_scores("val", course.best_unweighted),
            "objective": objective,
            "time/train_seconds": seconds,
            **self.sizes,
        }
        if (settled := self.settled[member]) is not None:
            ending.metrics["gate/settled_epoch"] = settled
        if split == "test":
            self._tell_test(ending, by_target, evaluation)
        return ending

    def _tell_test(
        self, ending: Ending, by_target: dict[str, dict[str, float]], evaluation: Evaluation
    ) -> None:
        """Add what only an evaluation tells: every target's scores, and which experts it uses."""
        ending.by_target = by_target
        ending.test_to_train = self.task.test_to_train()
        weights, known = evaluation.weights.numpy(), rows_that_count(evaluation)
        ending.weights = mean_weights(weights, known).tolist()
        ending.load = expert_load(weights, known).tolist()

    def state(self, member: int) -> dict[str, Any]:
        """Return what a member's next epochs are scored against."""
        before = self.before[member]  # a view of all members' weights, which would be saved too
        own = None if before is None else before.clone()
        return {"before": own, "settled": self.settled[member]}

    def check(self, state: dict[str, Any]) -> None:
        """Check that epochs can be scored against a state: that it is of this val split.

        Raises:
            StateError: If it is not.
        """
        before, settled = state["before"], state["settled"]
        shape = (len(self.task.targets), len(self.task.data("val").inputs))
        if before is not None and not (isinstance(before, Tensor) and before.shape[:2] == shape):
            raise StateError("is of another val split")
        if not isinstance(settled, int | None):
            raise StateError("is of another form (settled)")

    def load(self, member: int, state: dict[str, Any]) -> None:
        """Put what :meth:`state` returned into a member."""
        self.before[member], self.settled[member] = state["before"], state["settled"]


def _count(module: nn.Module) -> int:
    """Return how many numbers a module learns."""
    return sum(parameter.numel() for parameter in module.parameters())
