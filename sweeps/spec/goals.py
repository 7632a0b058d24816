"""The goal that a spec states, with its direction."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

from gatelab.registry import near_misses
from gatelab.rules import written
from gatelab.sweeps.spec.spec import Spec, SpecError
from gatelab.tasks.check.subject import known
from gatelab.tasks.metric import TARGETS_LOSS, Metric, metrics_of
from gatelab.tasks.target import MEAN, Target
from gatelab.tasks.task import Task
from gatelab.training.goal import VAL_LOSS, Goal


def goal_of(spec: Spec, task: Task) -> Goal:
    """Return by what weights are kept, trials compared and configurations selected.

    Raises:
        SpecError: If no target of the task has the objective.
    """
    found, key = _directions(spec, task), spec.search.objective
    if key not in found:
        near = near_misses(key, found)
        message = f"must be `loss` or a metric of the task, but got {written(key)}; {near}"
        raise SpecError("", "search.objective", message)
    required = spec.search.require.at_most_k if spec.search.require else None
    return Goal(VAL_LOSS if key == "loss" else key, found[key], required)


def _directions(spec: Spec, task: Task) -> dict[str, bool]:
    """Return of each objective that the task knows whether the higher is the better."""
    found = {"loss": False, VAL_LOSS: False}
    for target in task.targets:
        found[f"val/{target.name}/{TARGETS_LOSS}"] = False
        for name, metric in metrics_of(target, spec.metrics).items():
            found[f"val/mean/{name}"] = metric.higher_is_better
            found[f"val/{target.name}/{name}"] = metric.higher_is_better
    return found


def why_undefined(spec: Spec, task: Task) -> str:
    """Return why the objective is NaN on the val split whatever is predicted; empty: it is not.

    AUROC is not defined where val has one class, nor R2 where it has one value. A mean over targets
    is, if it is of one of them.

    Args:
        spec: A spec whose objective the task has.
        task: The spec's, whose data are sound.
    """
    split, key = task.data("val"), spec.search.objective
    whose, _, name = key.removeprefix("val/").rpartition("/")
    found: list[str] = []
    for target, rows, values in known(split, task.targets):
        metric = metrics_of(target, spec.metrics).get(name)
        if metric is None or whose not in (target.name, MEAN):
            continue
        weights = None if split.weights is None else split.weights[rows]
        if _is_defined(metric, target, values, weights):
            return ""
        distinct = len(values.unique(dim=0))
        found.append(f"{distinct} distinct of {len(values)} known values of {target.name!r}")
    return found[0] if found else ""


def _is_defined(metric: Metric, target: Target, values: Tensor, weights: Tensor | None) -> bool:
    """Return whether a metric is a number for what some model might predict."""
    wanted = target.in_unit(values)
    outputs = map(target.in_unit, _predictions(target, values))
    return any(not math.isnan(metric.score(given, wanted, weights)) for given in outputs)


def _predictions(target: Target, values: Tensor) -> Iterator[Tensor]:
    """Yield outputs ``(rows, out_features)``: such as are right, and others."""
    size = len(values), target.out_features
    if target.kind == "multiclass":
        yield F.one_hot(values.long(), target.out_features).float()
    else:
        yield values.float().reshape(size)
    yield torch.randn(size, generator=torch.Generator().manual_seed(0))
