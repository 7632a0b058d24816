"""Checks of a spec beyond its form: what it names exists, and every value can work."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, TypeVar

from gatelab.gates.gate import Gate, gates
from gatelab.registry import near_misses
from gatelab.rules import written
from gatelab.sweeps.spec.extremes import check_values
from gatelab.sweeps.spec.faults import check_known, looked_up, raise_faults
from gatelab.sweeps.spec.goals import goal_of
from gatelab.sweeps.spec.learner_spec import LearnerSpec
from gatelab.sweeps.spec.made_task import make_task
from gatelab.sweeps.spec.search_rules import (
    check_first,
    check_grace,
    check_rounds,
    check_row_names,
    check_splits,
)
from gatelab.sweeps.spec.space import (
    gate_defaults,
    keyword_defaults,
)
from gatelab.sweeps.spec.spec import Fault, Spec, SpecError
from gatelab.tasks.metric import metrics
from gatelab.tasks.task import Task
from gatelab.tracking.store_errors import check_experiment_name
from gatelab.training.learners import Learner, learners
from gatelab.training.optimizers.catalogue import optimizer_defaults

T = TypeVar("T")


def faults_of(spec: Spec, wrong: Collection[str] = ()) -> list[Fault]:
    """Return everything that cannot work, as far as it can be known before data are read.

    Args:
        spec: The spec.
        wrong: Its sections that stand for others, whose form is wrong: what depends on them is
            not looked at.
    """
    faults: list[Fault] = []

    def check(parts: str, function: Callable[..., T], *arguments: Any) -> T | None:
        if not set(parts.split()) & set(wrong):
            try:
                return function(*arguments)
            except SpecError as error:
                faults.extend(error.faults)
        return None

    check("experiment", _check_experiment, spec)
    task = check("task", make_task, spec)
    if task is not None:
        check("model", _check_model, spec, task)
        check("training", _check_target_weights, spec, task)
    check("optimizer", _check_optimizer, spec)
    sound = task if not faults else None
    if task is not None:
        known = len(faults)
        check("metrics", _check_metrics, spec, task)
        if len(faults) == known:
            check("search metrics", goal_of, spec, task)
    check("search training", check_grace, spec)
    check("search", check_rounds, spec)
    check("search gates", check_first, spec)
    if task is not None:
        check("evaluation", check_splits, spec, task)
    check("gates", check_row_names, spec)
    for label in spec.gates:
        cls = check("gates", _check_gate, spec, label)
        if cls is not None and sound is not None:
            check("model optimizer training task", check_values, spec, sound, label, cls)
    return list(dict.fromkeys(faults))


def _check_experiment(spec: Spec) -> None:
    try:
        check_experiment_name(spec.experiment)
    except ValueError as error:
        raise SpecError("", "experiment", str(error)) from error


def _check_model(spec: Spec, task: Task) -> None:
    check_known("model", spec.model, {"num_experts", *keyword_defaults(type(task).network)})


def _check_optimizer(spec: Spec) -> None:
    name, given = spec.optimizer.name, spec.optimizer.hyperparameters
    check_known("optimizer", given, optimizer_defaults(name), of=name)


def _check_target_weights(spec: Spec, task: Task) -> None:
    names = [target.name for target in task.targets]
    raise_faults(
        (
            "training.target_weights",
            f"no target is called {written(name)}; {near_misses(name, names)}",
        )
        for name in spec.training.target_weights
        if name not in names
    )


def _check_gate(spec: Spec, label: str) -> type[Gate]:
    gate = spec.gates[label]
    cls: type[Gate] = looked_up(f"gates.{label}.gate", gates.get, gate.gate)
    check_known(f"gates.{label}", gate.hyperparameters, gate_defaults(cls))
    _check_learner(label, gate.learner, cls)
    _check_search_space(label, cls)
    return cls


def _check_learner(label: str, said: LearnerSpec, gate: type[Gate]) -> None:
    path = f"gates.{label}.learner"
    learner: type[Learner] = looked_up(path, learners.get, said.name)
    check_known(path, said.hyperparameters, learner.hyperparameters, of=said.name)
    if not (gate.trained or said.is_default):
        raise SpecError("", path, f"must be left out: {label!r} is not trained.")


def _check_search_space(label: str, cls: type[Gate]) -> None:
    defaults = gate_defaults(cls)
    for name in cls.search_space:
        if name not in defaults:
            message = f"{cls.__name__} has {name!r} in its search space, but no such argument"
            raise SpecError("", f"gates.{label}", f"{message}; {near_misses(name, defaults)}")


def _check_metrics(spec: Spec, task: Task) -> None:
    kinds = {target.kind for target in task.targets}
    seen: dict[str, str] = {}
    faults: list[Fault] = []
    for key in spec.metrics or ():
        try:
            fitting = set(looked_up("metrics", metrics.get, key).kinds)
        except SpecError as error:
            faults += error.faults
            continue
        name = key.rpartition(":")[2]
        if name in seen:
            both = f"{seen[name]!r} and {key!r} are recorded under one name, {name!r}."
            faults.append(("metrics", both))
        seen[name] = key
        if not fitting & kinds:
            valid = [n for n in metrics.names() if set(metrics.get(n).kinds) & kinds]
            why = f"fits no target of task {spec.task.name!r}; those that fit: {', '.join(valid)}."
            faults.append(("metrics", f"{written(key)} {why}"))
    raise_faults(faults)
