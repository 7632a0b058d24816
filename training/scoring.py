"""Scoring: what a member's epochs and its end are worth, as metrics by their keys."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from gatelab.gates.stack import Stack
from gatelab.gates.stacks import Stacks
from gatelab.gates.usage import Usage
from gatelab.tasks.task import Split, SplitName, Task
from gatelab.training.evaluation import Evaluation
from gatelab.training.goal import Goal
from gatelab.training.learners.shared import count_shared
from gatelab.training.member import Course
from gatelab.training.model import Model
from gatelab.training.raising import of_each
from gatelab.training.scores import (
    MANY_TARGETS,
    gate_scores,
    learner_scores,
    predictive_scores,
    stability_scores,
    target_scores,
    usages,
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
        copies: int = 1,
    ) -> None:
        """Begin before the first epoch.

        Args:
            task: What they learn.
            model: One that has their structure.
            metrics: Names in ``tasks.metrics``; ``None``: the defaults of each target's kind.
            goal: By which weights are kept.
            batch_size: Rows of a step.
            members: How many there are.
            copies: Of what targets share, in each member.
        """
        self.task, self.metrics, self.goal, self.batch_size = task, metrics, goal, batch_size
        self.k: int | None = getattr(model.mixture.gates.each, "k", None)
        self.apart = copies > 1
        self.sizes = {
            "model/parameters": float(_count(model) + (copies - 1) * count_shared(model)),
            "model/gate_parameters": float(_count(model.mixture.gates)),
        }
        self.copies = copies
        self.saved = _parameters_of_each(model.mixture.experts) * (not model.gate_reads_experts)
        """What a row does without where it does not use an expert, ``(num_experts,)``: nothing
        where gates read all of them."""
        self.before: dict[int, Tensor] = {}
        """The weights of an epoch ago, of those that trained in it: views of all members' at once,
        which would stay as long as one of them."""
        self.settled: list[int | None] = [None] * members
        self.dense: list[Tensor | None] = [None] * members
        """The val losses of the epochs that cannot be kept, since a gate uses more than k experts,
        ``(epochs,)`` float64."""
        self.raised: dict[int, Exception] = {}
        """What the scores of the last epoch have raised, of members of whom alone they do so."""

    def epoch(
        self, epoch: int, evaluations: Mapping[int, Evaluation], split: Split
    ) -> dict[int, dict[str, float]]:
        """Return scores on val after an epoch by member.

        Args:
            epoch: Counted from 1.
            evaluations: Of those that trained in it.
            split: The val split, where the evaluations are.
        """
        scores = {member: {"val/loss": found.loss} for member, found in evaluations.items()}
        # Of one that has diverged nothing else has a meaning.
        sound = [member for member, found in evaluations.items() if math.isfinite(found.loss)]

        def score(some: Sequence[int]) -> list[dict[str, dict[str, float]]]:
            return target_scores(self.task, self.metrics, [evaluations[m] for m in some], split)

        by_target, self.raised = of_each(sound, score)
        sound = list(by_target)
        chosen = [evaluations[member] for member in sound]
        used, moved = usages(self.k, chosen, apart=self.apart), self._stability(sound, chosen)
        self.before = {member: evaluations[member].weights for member in sound}
        for member, found, targets, usage in zip(
            sound, chosen, by_target.values(), used, strict=True
        ):
            own = predictive_scores("val", found, targets, also=self.goal.objective)
            own |= gate_scores(self.task, usage, found) | moved.get(member, {})
            own |= learner_scores(found)
            scores[member] = own
            self._settle(member, epoch, own.get("gate/at_most_k"))
            if self.goal.rank(own).broken:
                before, loss = self.dense[member], torch.tensor([found.loss], dtype=torch.float64)
                self.dense[member] = loss if before is None else torch.cat([before, loss])
        return scores

    def _stability(
        self, members: Sequence[int], evaluations: Sequence[Evaluation]
    ) -> dict[int, dict[str, float]]:
        """Return by member what an epoch changed, of those that have one before it."""
        steps = -(-len(self.task.data("train").inputs) // self.batch_size)
        pairs = dict(zip(members, evaluations, strict=True))
        chosen = [member for member in members if member in self.before]
        earlier, later = [self.before[m] for m in chosen], [pairs[m] for m in chosen]
        return dict(zip(chosen, stability_scores(earlier, later, steps), strict=True))

    def _settle(self, member: int, epoch: int, at_most_k: float | None) -> None:
        """Keep the first epoch from which on every example has used at most k experts."""
        if at_most_k is None or at_most_k < 1:
            self.settled[member] = None
        elif self.settled[member] is None:
            self.settled[member] = epoch

    def ending(
        self, member: int, course: Course, split: SplitName, evaluation: Evaluation, seconds: float
    ) -> Ending:
        """Return how a member ended, with its scores at the weights that it keeps.

        Args:
            member: Its index.
            course: What has become of it.
            split: ``val``, or ``test`` of an evaluation.
            evaluation: Its pass over that split, on the CPU.
            seconds: Of its training.
        """
        objective = self.goal.cost(course.best_cost)
        ending = Ending(course.end or "", course.reason, course.epochs, objective, course.broken)
        if course.end == "failed":
            return ending
        if reason := why_no_score(split, evaluation):
            ending.end, ending.reason = "failed", reason
            return ending
        (usage,) = usages(self.k, [evaluation], apart=self.apart)
        names = [target.name for target in self.task.targets]
        few = len(names) <= MANY_TARGETS
        ending.metrics = {
            **course.scores,
            **gate_scores(self.task, usage, evaluation, names if few else None),
            **learner_scores(evaluation),
            "objective": objective,
            "time/train_seconds": seconds,
            **self.sizes,
        }
        ending.metrics["model/active_parameters"] = self._active_parameters(usage)
        if (settled := self.settled[member]) is not None:
            ending.metrics["gate/settled_epoch"] = settled
        if (dense := self.dense[member]) is not None and dense.min() > 0:
            ending.metrics["gate/rise_while_dense"] = _rise(dense)
        if split == "test":
            self._tell_test(ending, evaluation, usage)
        return ending

    def _active_parameters(self, usage: Usage) -> float:
        """Return how many parameters run for a row, the mean over rows."""
        idle = self.copies * usage.rows - usage.runs
        return self.sizes["model/parameters"] - float(idle @ self.saved / usage.rows)

    def _tell_test(self, ending: Ending, evaluation: Evaluation, usage: Usage) -> None:
        """Add what only an evaluation tells: every target's scores, and which experts it uses."""
        test = self.task.data("test")
        (ending.by_target,) = target_scores(self.task, self.metrics, [evaluation], test)
        ending.metrics |= predictive_scores("test", evaluation, ending.by_target)
        ending.test_to_train = self.task.test_to_train()
        ending.test_rows = len(test.inputs)
        ending.weights, ending.load = usage.importance.tolist(), usage.load.tolist()

    def state(self, member: int) -> dict[str, Any]:
        """Return what a member's next epochs are scored against."""
        before = self.before.get(member)  # a view, of which all would be saved
        own = None if before is None else before.clone()
        return {"before": own, "settled": self.settled[member], "dense": self.dense[member]}

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
        self.settled[member], self.dense[member] = state["settled"], state["dense"]
        if state["before"] is not None:
            self.before[member] = state["before"]


def _rise(losses: Tensor) -> float:
    """Return by what share the lowest of the last quarter of losses lies above the lowest of all.

    Of a quarter: a single epoch's loss is often a fifth above the one before it, by chance.
    """
    late = losses[-math.ceil(len(losses) / 4) :]
    return float(late.min() / losses.min() - 1)


def _count(module: nn.Module) -> int:
    """Return how many numbers a module learns."""
    return sum(parameter.numel() for parameter in module.parameters())


def _parameters_of_each(experts: Stack | Stacks) -> Tensor:
    """Return how many numbers every expert learns, ``(num_experts,)`` float64."""
    kinds = experts.stacks if isinstance(experts, Stacks) else [experts]
    sizes = [(kind.size, _count(kind)) for kind in kinds if isinstance(kind, Stack)]
    alike = [torch.full((n,), numbers / n, dtype=torch.float64) for n, numbers in sizes]
    return torch.cat(alike)
