"""Checks of a spec beyond its form: what it names exists, and every value can work."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import torch

from gatelab.gates.auxiliary import make_gate
from gatelab.gates.gate import Gate, gates
from gatelab.registry import near_misses
from gatelab.sweeps.spec.space import (
    SearchSpace,
    configuration,
    gate_defaults,
    keyword_defaults,
    space,
)
from gatelab.sweeps.spec.spec import Spec, SpecError
from gatelab.tasks.metrics import METRICS
from gatelab.tasks.task import Task, tasks
from gatelab.tracking.store_errors import check_experiment_name


def check_spec(spec: Spec) -> None:
    """Check everything that can be known before data are read.

    Raises:
        SpecError: With the first thing that cannot work.
    """
    try:
        check_experiment_name(spec.experiment)
    except ValueError as error:
        raise SpecError("", "experiment", str(error)) from error
    task = make_task(spec)
    _check_metrics(spec, task)
    _check_early_stopping(spec)
    _check_names("model", spec.model, {"num_experts", *keyword_defaults(type(task).network)})
    for label, gate in spec.gates.items():
        cls = _registered(f"gates.{label}.gate", gates.get, gate.gate)
        _check_names(f"gates.{label}", gate.hyperparameters, gate_defaults(cls))
        _check_search_space(label, cls)
    for label in spec.gates:
        _check_values(task, label, space(spec, label, task), gates.get(spec.gates[label].gate))


def make_task(spec: Spec) -> Task:
    """Return the spec's task, whose data are not made before a split is asked for.

    Raises:
        SpecError: If there is no such task, or it refuses an option.
    """
    cls = _registered("task", tasks.get, spec.task.name)
    options = spec.task.options
    _check_names("task", options, keyword_defaults(cls))
    try:
        task: Task = cls(**options)
        return task
    except (ValueError, TypeError) as error:
        raise SpecError("", _blame("task", options, str(error)), str(error)) from error


def _registered(path: str, get: Callable[[str], Any], key: str) -> Any:
    try:
        return get(key)
    except ValueError as error:
        raise SpecError("", path, str(error)) from error


def _check_names(path: str, given: Mapping[str, Any], valid: Any) -> None:
    for name in given:
        if name not in valid:
            raise SpecError("", path, f"unknown key {name!r}; {near_misses(name, valid)}")


def _check_search_space(label: str, cls: type[Gate]) -> None:
    defaults = gate_defaults(cls)
    for name in cls.search_space:
        if name not in defaults:
            message = f"{cls.__name__} has {name!r} in its search space, but no such argument"
            raise SpecError("", f"gates.{label}", f"{message}; {near_misses(name, defaults)}")


def _check_metrics(spec: Spec, task: Task) -> None:
    kinds = {target.kind for target in task.targets}
    for name in spec.metrics or ():
        if name not in METRICS:
            raise SpecError("", "metrics", f"unknown metric {name!r}; {near_misses(name, METRICS)}")
        if not METRICS[name].kinds & kinds:
            fitting = [metric for metric in METRICS if METRICS[metric].kinds & kinds]
            raise SpecError(
                "",
                "metrics",
                f"{name!r} fits no target of task {spec.task.name!r}; "
                f"those that fit: {', '.join(fitting)}.",
            )


def _check_early_stopping(spec: Spec) -> None:
    halving, max_epochs = spec.search.early_stopping, spec.training.max_epochs
    if halving and halving.grace_epochs > max_epochs:
        raise SpecError(
            "",
            "search.early_stopping.grace_epochs",
            "`grace_epochs <= max_epochs` must hold, "
            f"but got (grace_epochs={halving.grace_epochs}, {max_epochs=}).",
        )


def _check_values(task: Task, label: str, found: SearchSpace, gate: type[Gate]) -> None:
    """Construct what the space's extremes describe: the rules of values live in constructors."""
    for sampled in found.extremes():
        chosen = configuration(found, sampled)
        options = dict(chosen.model)
        num_experts = options.pop("num_experts")
        if num_experts < 1:
            raise SpecError(
                "",
                "model.num_experts",
                f"`num_experts >= 1` must hold, but got ({num_experts=}).",
            )
        _check_optimizer(chosen.optimizer)
        try:
            network = task.network(**options)
        except (ValueError, TypeError) as error:
            raise SpecError("", _blame("model", options, str(error)), str(error)) from error
        try:
            count = len(task.targets)
            sizes = (network.gate_features, num_experts)
            with torch.random.fork_rng([]):
                make_gate(gate, *sizes, target=count - 1, num_targets=count, **chosen.gate)
        except (ValueError, TypeError) as error:
            path = _blame(f"gates.{label}", chosen.gate, str(error))
            raise SpecError("", path, str(error)) from error


def _check_optimizer(options: Mapping[str, Any]) -> None:
    learning_rate, weight_decay = options["learning_rate"], options["weight_decay"]
    if not 0 < learning_rate < float("inf"):
        raise SpecError(
            "",
            "optimizer.learning_rate",
            f"`0 < learning_rate < inf` must hold, but got ({learning_rate=}).",
        )
    if not 0 <= weight_decay < float("inf"):
        raise SpecError(
            "",
            "optimizer.weight_decay",
            f"`0 <= weight_decay < inf` must hold, but got ({weight_decay=}).",
        )


def _blame(path: str, options: Mapping[str, Any], message: str) -> str:
    """Return the path of the option that a message names first."""
    found = [(m.start(), name) for name in options if (m := re.search(rf"\b{name}\b", message))]
    return f"{path}.{min(found)[1]}" if found else path
