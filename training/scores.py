"""Scores: an evaluation as numbers under the keys of the record."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import chain

import numpy as np
import torch
from torch import Tensor

from gatelab.gates.metrics import usage_metrics
from gatelab.gates.usage import Usage, support_flips, usage_of, weight_change
from gatelab.tasks.columns import by_target
from gatelab.tasks.metric import TARGETS_LOSS, TARGETS_UNWEIGHTED, metrics_of
from gatelab.tasks.task import Split, SplitName, Task
from gatelab.training.evaluation import Evaluation
from gatelab.training.weighting import is_weighted

NUMBERS_AT_ONCE = 2**26
"""Of so many gate weights, of several members, metrics are computed at once."""
MANY_TARGETS = 16
"""With more targets than this, only means over the targets are recorded each epoch."""


def target_scores(
    task: Task, chosen: Sequence[str] | None, evaluations: Sequence[Evaluation], split: Split
) -> list[dict[str, dict[str, float]]]:
    """Return for every member loss and metrics of each target, by its name, over its known rows.

    The split must be where the evaluations are. Metrics are in the user's unit; the loss is what is
    minimised, so that it stays as scaled. A weighted loss has the unweighted one beside it; metrics
    are weighted by rows, not by classes.
    """
    scores: list[dict[str, dict[str, float]]] = [{} for _ in evaluations]
    if not evaluations:
        return scores
    columns = by_target(task.targets, split.targets)
    for index, (target, values) in enumerate(zip(task.targets, columns, strict=True)):
        outputs = torch.stack([evaluation.outputs[index] for evaluation in evaluations])
        weights = split.weights
        if split.mask is not None:
            known = split.mask[:, index]
            outputs, values = outputs[:, known], values[known]
            weights = None if weights is None else weights[known]
        outputs, values = target.in_unit(outputs), target.in_unit(values)
        for found, evaluation in zip(scores, evaluations, strict=True):
            found[target.name] = _losses(evaluation, index, is_weighted(target, split))
        for name, metric in metrics_of(target, chosen).items():
            of_members = metric.scores(outputs, values, weights)
            for found, score in zip(scores, of_members, strict=True):
                found[target.name][name] = score
    return scores


def _losses(evaluation: Evaluation, target: int, weighted: bool) -> dict[str, float]:
    found = {TARGETS_LOSS: float(evaluation.losses[target])}
    if evaluation.unweighted_losses is not None and weighted:
        found[TARGETS_UNWEIGHTED] = float(evaluation.unweighted_losses[target])
    return found


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


def usages(k: int | None, evaluations: Sequence[Evaluation], *, apart: bool = False) -> list[Usage]:
    """Return how each member's gates use the experts.

    Args:
        k: How many they are to use, if the gate says so.
        evaluations: Of the members.
        apart: Whether targets have experts of their own.
    """
    found: list[Usage] = []
    for some in _parts(evaluations):
        weights = torch.stack([evaluation.weights for evaluation in some])
        found += usage_of(weights, k, some[0].known, apart=apart).members()
    return found


def gate_scores(
    task: Task, usage: Usage, evaluation: Evaluation, names: Sequence[str] | None = None
) -> dict[str, float]:
    """Return the expert-selection metrics under ``gate/``, by target for those named.

    Args:
        task: Gives the planted truth, where there is one.
        usage: How a member's gates use the experts.
        evaluation: What the member gave for a split.
        names: The targets' names, for values by target.
    """
    truth = task.truth
    scores = usage_metrics(
        usage,
        truth_groups=truth.groups if truth else None,
        truth_experts=truth.experts or None if truth else None,
        targets=names,
    )
    for key, values in evaluation.diagnostics.items():
        if key in scores:  # of a gate that returns it for some batches only, or it had been refused
            raise ValueError(f"diagnostic {key!r} has the name of a metric of every gate.")
        scores[key] = float(values.mean())
        scores.update({f"{n}/{key}": float(v) for n, v in zip(names or (), values, strict=False)})
    return {f"gate/{key}": value for key, value in scores.items()}


def learner_scores(evaluation: Evaluation) -> dict[str, float]:
    """Return what the learner says of a member, under ``learner/``."""
    return {f"learner/{name}": value for name, value in evaluation.learner.items()}


def why_no_score(split: SplitName, evaluation: Evaluation) -> str:
    """Return why a pass over a split gives no score, such as NaN in it; empty: it does."""
    if not evaluation.weights.shape[1]:
        return f"the {split} split has no rows"
    if not math.isfinite(evaluation.loss):
        return f"{split}/loss is {evaluation.loss} at the weights that are kept"
    if not torch.isfinite(evaluation.weights).all():
        return f"the gates' weights are not finite on the {split} split"
    return ""


def stability_scores(
    before: Sequence[Tensor], evaluations: Sequence[Evaluation], steps: int
) -> list[dict[str, float]]:
    """Return how much each member's weights of the same rows moved in so many optimiser steps.

    Both are lower bounds: what moves and comes back between two looks is not seen.
    """
    found: list[dict[str, float]] = []
    for some in _parts(evaluations):
        then = torch.stack([before[len(found) + place] for place in range(len(some))])
        now = torch.stack([evaluation.weights for evaluation in some])
        then, known = then.to(now.device), some[0].known
        changes, flips = (f(then, now, known).tolist() for f in (weight_change, support_flips))
        found += [
            {"gate/weight_change": change / steps, "gate/support_flips": flip * 1000 / steps}
            for change, flip in zip(changes, flips, strict=True)
        ]
    return found


def _parts(evaluations: Sequence[Evaluation]) -> Iterator[Sequence[Evaluation]]:
    """Yield members that are computed at once: not more than memory may hold several times."""
    if evaluations:
        size = max(1, NUMBERS_AT_ONCE // max(1, evaluations[0].weights.numel()))
        for start in range(0, len(evaluations), size):
            yield evaluations[start : start + size]
