"""The constant prediction: the scores of a model that reads no input, exact and untrained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gatelab.tasks.columns import by_target
from gatelab.tasks.loss import loss_of
from gatelab.tasks.target import Target
from gatelab.tasks.task import Split, SplitName, Task
from gatelab.training.evaluation import Evaluation
from gatelab.training.goal import BY_LOSS, Goal
from gatelab.training.jobs import Job
from gatelab.training.scores import (
    predictive_scores,
    target_scores,
    unweighted_scores,
    why_no_score,
)
from gatelab.training.states import STATE_FILE
from gatelab.training.steps import Ending, Step
from gatelab.training.weighting import loss_factors

ABSENT = 0.5
"""As how many rows a class counts that the train split has not: one of its own would make the
loss infinite where the class is met."""
DECIMALS = 12
"""Of logits of weighted classes: those that weights balance are level, and no rounding decides."""
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
            **unweighted_scores("val", val.unweighted_loss),
            "objective": objective,
        }
        return ending

    def _by_target(self, name: SplitName, found: Evaluation) -> dict[str, dict[str, float]]:
        return target_scores(self.task, self.metrics, [found], self.task.data(name))[0]

    def save(self, folder: Path, key: str | None = None) -> None:
        """Write a state, in which there is nothing."""
        torch.save({}, folder / STATE_FILE)

    def restore(self, states: Mapping[str, Any]) -> bool:
        """Begin anew."""
        return False


def constant_outputs(task: Task) -> list[Tensor]:
    """Return every target's constant of the known rows of train, ``(out_features,)``, float64.

    It is that of the least loss: rows and classes weigh here what they weigh there.
    """
    split = task.data("train")
    factors = loss_factors(task.targets, split)
    known = _known(task.targets, split, factors)
    return [_output(target, *found) for target, found in zip(task.targets, known, strict=True)]


def _output(target: Target, values: Tensor, factors: Tensor | None) -> Tensor:
    found = _of_kind(target, values, factors)
    return found if target.loss is None else _least(target, found, values, factors)


def _least(target: Target, start: Tensor, values: Tensor, factors: Tensor | None) -> Tensor:
    """Return the constant of the least loss of one's own, as L-BFGS finds it.

    It is looked for in float64, or where the loss cannot be had of that, which no training gives
    it, in float32.
    """
    with suppress(RuntimeError):
        return _least_of_its_type(target, start, values, factors)
    return _least_of_its_type(target, start.float(), values, factors).double()


def _least_of_its_type(
    target: Target, start: Tensor, values: Tensor, factors: Tensor | None
) -> Tensor:
    output, loss = start.clone().requires_grad_(), loss_of(target)
    search = torch.optim.LBFGS([output], max_iter=100, line_search_fn="strong_wolfe")

    def mean() -> Tensor:
        search.zero_grad()
        found = _mean(loss(output.expand(len(values), -1), values), factors)
        torch.autograd.backward(found)
        return found

    search.step(mean)
    return output.detach() if output.isfinite().all() else start


def _of_kind(target: Target, values: Tensor, factors: Tensor | None) -> Tensor:
    """Return a mean, or logits whose probabilities are the classes' shares."""
    if target.kind == "regression":
        return _mean(values.double(), factors).view(-1)
    counts = values.long().bincount(factors, minlength=target.num_classes or 2).double()
    logits = torch.where(counts > 0, counts, ABSENT).log()
    if target.class_weights is not None:
        logits = logits.round(decimals=DECIMALS)
    return logits.log_softmax(0) if target.kind == "multiclass" else logits[1:] - logits[:1]


def evaluate_constant(task: Task, outputs: Sequence[Tensor], name: SplitName) -> Evaluation:
    """Return what constants give for a split, with weights of no expert."""
    split = task.data(name)
    rows, factors = len(split.inputs), loss_factors(task.targets, split)
    weights = outputs[0].new_tensor([target.weight for target in task.targets])
    losses, plain = (_losses(task.targets, outputs, split, each) for each in (factors, None))
    return Evaluation(
        tuple(output.expand(rows, -1) for output in outputs),
        torch.zeros(len(outputs), rows, 0),
        losses,
        float(losses @ weights),
        {},
        unweighted_losses=None if factors is None else plain,
        unweighted_loss=None if factors is None else float(plain @ weights),
    )


def _losses(
    targets: Sequence[Target], outputs: Sequence[Tensor], split: Split, factors: Tensor | None
) -> Tensor:
    """Return every target's mean loss, ``(targets,)``; 0 of no known row, as a model has it."""
    found, known = [], _known(targets, split, factors)
    for target, output, (values, weights) in zip(targets, outputs, known, strict=True):
        rows = _rows(target, output, values)
        found.append(_mean(rows, weights) if len(rows) else rows.sum())
    return torch.stack(found)


def _rows(target: Target, output: Tensor, values: Tensor) -> Tensor:
    """Return every row's loss in float64, computed in float32 where one's own takes no other."""
    loss, many = loss_of(target), output.expand(len(values), -1)
    if target.loss is not None:
        with suppress(RuntimeError):
            return loss(many, values).double()
        many = many.float()
    return loss(many, values).double()


def _mean(values: Tensor, factors: Tensor | None) -> Tensor:
    """Return the mean over rows, ``()`` or by column."""
    if factors is None:
        return values.mean(0)
    return (values * (factors if values.dim() == 1 else factors[:, None])).mean(0)


def _known(
    targets: Sequence[Target], split: Split, factors: Tensor | None
) -> list[tuple[Tensor, Tensor | None]]:
    """Return each target's values where it is known, ``(known rows, ...)``, and their factors."""
    found: list[tuple[Tensor, Tensor | None]] = []
    for index, values in enumerate(by_target(targets, split.targets)):
        known = slice(None) if split.mask is None else split.mask[:, index]
        found.append((values[known], None if factors is None else factors[known, index]))
    return found
