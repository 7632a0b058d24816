"""Scores: an evaluation as numbers under the keys of the record."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import chain

import numpy as np
import numpy.typing as npt
import torch

from gatelab.gates.metrics import Known, selection_metrics, support_flips, weight_change
from gatelab.tasks.metric import TARGETS_LOSS, TARGETS_UNWEIGHTED, metrics_of
from gatelab.tasks.task import Split, SplitName, Task
from gatelab.training.evaluation import Evaluation
from gatelab.training.weighting import is_weighted

Weights = npt.NDArray[np.floating]
MANY_TARGETS = 16
"""With more targets than this, only means over the targets are recorded each epoch."""


def target_scores(
    task: Task, chosen: Sequence[str] | None, evaluation: Evaluation, split: Split
) -> dict[str, dict[str, float]]:
    """Return loss and metrics of every target, by its name, over its known rows.

    Metrics are in the user's unit; the loss is what is minimised, so that it stays as scaled. A
    weighted loss has the unweighted one beside it; metrics are weighted by rows, not by classes.
    """
    scores: dict[str, dict[str, float]] = {}
    for index, target in enumerate(task.targets):
        outputs, values, weights = evaluation.outputs[index], split.targets[:, index], split.weights
        if split.mask is not None:
            known = split.mask[:, index]
            outputs, values = outputs[known], values[known]
            weights = None if weights is None else weights[known]
        outputs, values = target.in_unit(outputs), target.in_unit(values)
        found = {TARGETS_LOSS: float(evaluation.losses[index])}
        if evaluation.unweighted_losses is not None and is_weighted(target, split):
            found[TARGETS_UNWEIGHTED] = float(evaluation.unweighted_losses[index])
        for name, metric in metrics_of(target, chosen).items():
            found[name] = metric.score(outputs, values, weights)
        scores[target.name] = found
    return scores


def predictive_scores(
    name: SplitName,
    evaluation: Evaluation,
    by_target: dict[str, dict[str, float]],
    also: str | None = None,
) -> dict[str, float]:
    """Return the losses, means of metrics over targets, and with few targets those of each.

    A mean is over the targets of which the metric is defined; where that is not all of those that
    have it, both numbers stand beside it: AUROC is not defined of a target of one class.

    Args:
        name: Of the split.
        evaluation: What a member gave for it.
        by_target: Loss and metrics of every target.
        also: The key of one that is returned with many targets too.
    """
    scores = {
        f"{name}/loss": evaluation.loss,
        **unweighted_scores(name, evaluation.unweighted_loss),
    }
    metrics = dict.fromkeys(chain.from_iterable(by_target.values()))
    for metric in (m for m in metrics if m not in (TARGETS_LOSS, TARGETS_UNWEIGHTED)):
        values = [target[metric] for target in by_target.values() if metric in target]
        defined = [value for value in values if not math.isnan(value)]
        scores[f"{name}/mean/{metric}"] = float(np.mean(defined)) if defined else math.nan
        if len(defined) < len(values):
            scores[f"defined/{name}/{metric}"] = float(len(defined))
            scores[f"targets/{name}/{metric}"] = float(len(values))
    few = len(by_target) <= MANY_TARGETS
    for target, values_of in by_target.items():
        keyed = {f"{name}/{target}/{key}": value for key, value in values_of.items()}
        scores.update({key: value for key, value in keyed.items() if few or key == also})
    return scores


def unweighted_scores(name: SplitName, loss: float | None) -> dict[str, float]:
    """Return ``<split>/unweighted_loss``, where there is one beside the weighted loss."""
    return {} if loss is None else {f"{name}/{TARGETS_UNWEIGHTED}": loss}


def gate_scores(
    task: Task, k: int | None, evaluation: Evaluation, names: Sequence[str] | None = None
) -> dict[str, float]:
    """Return the expert-selection metrics under ``gate/``, by target for those named.

    Args:
        task: Gives the planted truth, where there is one.
        k: How many experts the gate is meant to select, where it says so.
        evaluation: What a member gave for a split.
        names: The targets' names, for values by target.
    """
    truth = task.truth
    scores = selection_metrics(
        evaluation.weights.numpy(),
        k=k,
        truth_groups=truth.groups if truth else None,
        truth_experts=truth.experts or None if truth else None,
        targets=names,
        known=rows_that_count(evaluation),
    )
    for key, values in evaluation.diagnostics.items():
        scores[key] = float(values.mean())
        scores.update({f"{n}/{key}": float(v) for n, v in zip(names or (), values, strict=False)})
    return {f"gate/{key}": value for key, value in scores.items()}


def rows_that_count(evaluation: Evaluation) -> Known | None:
    """Return the rows that gates are measured on, ``(targets, rows)``: where targets are known."""
    return None if evaluation.known is None else evaluation.known.numpy()


def why_no_score(split: SplitName, evaluation: Evaluation) -> str:
    """Return why a pass over a split gives no score, such as NaN in it; empty: it does."""
    if not evaluation.weights.shape[1]:
        return f"the {split} split has no rows"
    if not math.isfinite(evaluation.loss):
        return f"{split}/loss is {evaluation.loss} at the weights of lowest val/loss"
    if not torch.isfinite(evaluation.weights).all():
        return f"the gates' weights are not finite on the {split} split"
    return ""


def stability_scores(before: Weights, evaluation: Evaluation, steps: int) -> dict[str, float]:
    """Return how much the weights of the same rows moved in so many optimiser steps.

    Both are lower bounds: what moves and comes back between two looks is not seen.
    """
    after, known = evaluation.weights.numpy(), rows_that_count(evaluation)
    return {
        "gate/weight_change": weight_change(before, after, known) / steps,
        "gate/support_flips": support_flips(before, after, known) * 1000 / steps,
    }
