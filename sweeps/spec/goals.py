"""The goal that a spec states, with its direction."""

from __future__ import annotations

from gatelab.registry import near_misses
from gatelab.rules import written
from gatelab.sweeps.spec.spec import Spec, SpecError
from gatelab.tasks.metric import TARGETS_LOSS, metrics_of
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
