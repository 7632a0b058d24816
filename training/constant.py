"""The constant prediction: the scores of a model that reads no input, exact and untrained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gatelab.tasks.metrics import loss
from gatelab.tasks.task import Split, SplitName, Target, Task
from gatelab.training.evaluation import Evaluation
from gatelab.training.goal import BY_LOSS, Goal
from gatelab.training.jobs import Job
from gatelab.training.scores import predictive_scores, target_scores, why_no_score
from gatelab.training.steps import Ending, Step
from gatelab.training.work import STATE_FILE

ABSENT = 0.5
"""As how many rows a class counts that the train split has not: one of its own would make the
loss infinite where the class is met."""
UNTRAINED = "a constant prediction is not trained"


class ConstantWork:
    """Scores the constant prediction on test, once for each member, all of which are equal.

    There is no model to save.
    """

    def __init__(
        self, task: Task, job: Job, metrics: Sequence[str] | None = None, goal: Goal = BY_LOSS
    ) -> None:
        """Take the job.

        Args:
            task: Whose train split the constants are of.
            job: An evaluation.
            metrics: Names in ``tasks.metrics``; ``None``: the defaults of each target's kind.
            goal: By which the val split is scored.

        Raises:
            ValueError: If the job is a search's, which must not see the test split.
        """
        if job.stage != "evaluate":
            raise ValueError(f"{UNTRAINED}, so that nothing is searched, but got {job.name!r}.")
        self.task, self.job, self.metrics, self.goal = task, job, metrics, goal

    def step(self) -> list[Step]:
        """Return the job's step: the endings of all members, at epoch 0."""
        ending = self._ending()
        endings = [ending] * len(self.job.members)
        return [Step(0, ending.objective, False, [], endings)]

    def _ending(self) -> Ending:
        outputs = constant_outputs(self.task)
        val, test = (evaluate_constant(self.task, outputs, name) for name in ("val", "test"))
        key = self.goal.objective
        objective = predictive_scores("val", val, self._by_target("val", val), key)[key]
        ending = Ending("finished", UNTRAINED, 0, objective)
        if reason := why_no_score("test", test):
            ending.end, ending.reason = "failed", reason
            return ending
        ending.by_target = self._by_target("test", test)
        ending.test_to_train = self.task.test_to_train()
        ending.metrics = {
            **predictive_scores("test", test, ending.by_target),
            "val/loss": val.loss,
            "objective": objective,
        }
        return ending

    def _by_target(self, name: SplitName, found: Evaluation) -> dict[str, dict[str, float]]:
        return target_scores(self.task, self.metrics, found, self.task.data(name))

    def save(self, folder: Path, key: str | None = None) -> None:
        """Write a state, in which there is nothing."""
        torch.save({}, folder / STATE_FILE)

    def restore(self, states: Mapping[str, Any]) -> bool:
        """Begin anew."""
        return False


def constant_outputs(task: Task) -> list[Tensor]:
    """Return every target's constant of the known rows of train, ``(out_features,)``, float64."""
    split = task.data("train")
    return [
        _output(target, _known(split, index).double()) for index, target in enumerate(task.targets)
    ]


def _output(target: Target, values: Tensor) -> Tensor:
    """Return a mean, or logits whose probabilities are the classes' shares."""
    if target.kind == "regression":
        return values.mean().view(1)
    counts = values.long().bincount(minlength=target.num_classes or 2).double()
    logits = counts.clamp_min(ABSENT).log()
    return logits.log_softmax(0) if target.kind == "multiclass" else logits[1:] - logits[:1]


def evaluate_constant(task: Task, outputs: Sequence[Tensor], name: SplitName) -> Evaluation:
    """Return what constants give for a split, with weights of no expert."""
    split = task.data(name)
    rows = len(split.inputs)
    losses = torch.stack([_mean_loss(t, outputs[i], split, i) for i, t in enumerate(task.targets)])
    weights = losses.new_tensor([target.weight for target in task.targets])
    return Evaluation(
        tuple(output.expand(rows, -1) for output in outputs),
        torch.zeros(len(outputs), rows, 0),
        losses,
        float(losses @ weights),
        {},
    )


def _mean_loss(target: Target, output: Tensor, split: Split, index: int) -> Tensor:
    """Return a target's mean loss over its known rows ``()``; 0 without any, as a model has it."""
    values = _known(split, index)
    found = loss(target.kind, output.expand(len(values), -1), values)
    return found.mean() if len(values) else found.sum()


def _known(split: Split, index: int) -> Tensor:
    """Return the values of a target where it is known, ``(known rows,)``."""
    values = split.targets[:, index]
    return values if split.mask is None else values[split.mask[:, index]]
