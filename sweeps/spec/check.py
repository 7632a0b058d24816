"""Checks of a spec beyond its form: what it names exists, and every value can work."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

import torch

from gatelab.foreign import ForeignError, foreign
from gatelab.gates.gate import Gate, gates
from gatelab.registry import near_misses
from gatelab.rules import written
from gatelab.sweeps.spec.goals import goal_of
from gatelab.sweeps.spec.hyperparameters import typed
from gatelab.sweeps.spec.rounds import default_rounds
from gatelab.sweeps.spec.searches import row_label
from gatelab.sweeps.spec.space import (
    configuration,
    gate_defaults,
    keyword_defaults,
    space,
)
from gatelab.sweeps.spec.spec import Fault, Spec, SpecError
from gatelab.sweeps.spec.steps import optimizer_keys, step_faults
from gatelab.tasks.metric import metrics
from gatelab.tasks.task import Network, Target, Task, split_seeds, tasks
from gatelab.tracking.store_errors import check_experiment_name
from gatelab.training.configuration import Configuration
from gatelab.training.model import target_gate

T = TypeVar("T")
MOST_EXPERTS = 10_000
"""More are a slip of the pen, and would fill the memory of whoever makes them to look."""


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
    check("optimizer", lambda: _raise(optimizer_keys(spec)))
    sound = task if not faults else None
    if task is not None:
        known = len(faults)
        check("metrics", _check_metrics, spec, task)
        if len(faults) == known:
            check("search metrics", goal_of, spec, task)
    check("search training", _check_grace, spec)
    check("search", _check_rounds, spec)
    check("search gates", _check_first, spec)
    if task is not None:
        check("evaluation", _check_splits, spec, task)
    check("gates", _check_rows, spec)
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
    _check_names("model", spec.model, {"num_experts", *keyword_defaults(type(task).network)})


def _check_target_weights(spec: Spec, task: Task) -> None:
    names = [target.name for target in task.targets]
    _raise(
        (
            "training.target_weights",
            f"no target is called {written(name)}; {near_misses(name, names)}",
        )
        for name in spec.training.target_weights
        if name not in names
    )


def _check_gate(spec: Spec, label: str) -> type[Gate]:
    gate = spec.gates[label]
    cls: type[Gate] = _registered(f"gates.{label}.gate", gates.get, gate.gate)
    _check_names(f"gates.{label}", gate.hyperparameters, gate_defaults(cls))
    _check_search_space(label, cls)
    return cls


def make_task(spec: Spec) -> Task:
    """Return the spec's task, whose data are not made before a split is asked for.

    Raises:
        SpecError: If there is no such task, or it refuses an option.
    """
    return checked_task(spec.task.name, spec.task.options)


def checked_task(key: str, options: Mapping[str, Any]) -> Task:
    """Return a task with options, as :func:`make_task` does.

    Raises:
        SpecError: If there is no such task, or it refuses an option.
    """
    cls = _registered("task", tasks.get, key)
    _check_names("task", options, keyword_defaults(cls))
    _check_options(cls, options)
    with _blamed("task", options), foreign():
        task: Task = cls(**options)
    _check_parts(key, task)
    return task


def _check_parts(name: str, task: Task) -> None:
    """Check that a task has what every task has; what these hold is looked at with the data."""
    lacking = [n for n in ("split", "network") if getattr(type(task), n) is getattr(Task, n)]
    if lacking:
        methods = " and ".join(f"`{method}`" for method in lacking)
        raise SpecError("", "task", f"{name!r}: the task has no method {methods}.")
    if not callable(type(task).network):
        raise SpecError("", "task", f"{name!r}: `network` must be a method.")
    with _blamed("task", {}), foreign():  # they may be a property
        targets = getattr(task, "targets", None)
    if not isinstance(targets, tuple) or not all(isinstance(each, Target) for each in targets):
        raise SpecError("", "task", f"{name!r}: `targets` must be a tuple of Target.")


def _check_options(cls: type[Task], options: Mapping[str, Any]) -> None:
    """Check the kind of options that are declared with one, ``int`` or ``"int"``, not more."""
    faults = []
    for name, parameter in inspect.signature(cls).parameters.items():
        default = parameter.default
        declared = parameter.annotation in (type(default), type(default).__name__)
        if name in options and declared and isinstance(default, (bool, int, float, str)):
            try:
                typed(options[name], default)
            except ValueError as error:
                faults.append((f"task.{name}", str(error)))
    _raise(faults)


def _registered(path: str, get: Callable[[str], Any], key: str) -> Any:
    try:
        return get(key)
    except ValueError as error:
        raise SpecError("", path, str(error)) from error


def _check_names(path: str, given: Mapping[str, Any], valid: Any) -> None:
    _raise(
        (path, f"unknown key {written(name)}; {near_misses(str(name), valid)}")
        for name in given
        if name not in valid
    )


def _raise(faults: Iterable[Fault]) -> None:
    """Raise a :class:`SpecError` of faults, if there is any."""
    if faults := list(faults):
        raise SpecError.of(faults)


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
            fitting = set(_registered("metrics", metrics.get, key).kinds)
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
    _raise(faults)


def _check_grace(spec: Spec) -> None:
    halving, max_epochs = spec.search.early_stopping, spec.training.max_epochs
    if halving and halving.grace_epochs and halving.grace_epochs > max_epochs:
        raise SpecError(
            "",
            "search.early_stopping.grace_epochs",
            "`grace_epochs <= max_epochs` must hold, "
            f"but got (grace_epochs={halving.grace_epochs}, {max_epochs=}).",
        )


def _check_rounds(spec: Spec) -> None:
    trials, halving = spec.search.trials, spec.search.early_stopping
    rounds = spec.search.rounds or default_rounds(trials)
    if trials % rounds:
        fitting = ", ".join(str(n) for n in range(1, trials + 1) if trials % n == 0)
        message = f"`rounds` must divide `trials`, but got ({rounds=}, {trials=}); {fitting} do."
        raise SpecError("", "search.rounds", message)
    size = trials // rounds
    if halving and 1 < size < halving.reduction_factor:
        raise SpecError(
            "",
            "search.early_stopping.reduction_factor",
            "`reduction_factor <= trials / rounds` must hold, "
            f"but got (reduction_factor={halving.reduction_factor}, {trials=}, {rounds=}).",
        )


def _check_first(spec: Spec) -> None:
    """Check that what is tried first is of gates that there are, and fits into the first round."""
    search = spec.search
    room = search.trials // (search.rounds or default_rounds(search.trials)) - 1
    faults = []
    for label, listed in search.first.items():
        path = f"search.first.{label}"
        if label not in spec.gates:
            faults.append((path, f"is no gate of the spec; {near_misses(label, spec.gates)}"))
        elif len(listed) > room:
            message = (
                f"at most {room} fit into the first round beside the default, but got "
                f"{len(listed)}: a round has `trials / rounds`."
            )
            faults.append((path, message))
    _raise(faults)


def _check_splits(spec: Spec, task: Task) -> None:
    splits = spec.evaluation.splits
    if splits > 1 and not split_seeds(task):
        why = (
            "whose options say which rows are in which split"
            if task.fixed_split
            else "which takes no `split_seed` by which it could be divided anew"
        )
        raise SpecError(
            "",
            "evaluation.splits",
            f"must be 1 on task {spec.task.name!r}, {why}, but got {splits}.",
        )


def _check_rows(spec: Spec) -> None:
    """Check that no gate has the name of another's row at one k."""
    rows = {
        row_label(label, k): label
        for label, gate in spec.gates.items()
        if isinstance(listed := gate.hyperparameters.get("k"), tuple)
        for k in listed
    }
    _raise(
        (f"gates.{name}", f"is the name of the row of {rows[name]!r} at one k: take another.")
        for name in spec.gates
        if name in rows
    )


def check_values(spec: Spec, task: Task, label: str, gate: type[Gate]) -> None:
    """Construct what a gate's extremes describe: the rules of values live in constructors.

    Raises:
        SpecError: With every value that cannot work.
    """
    found = space(spec, label, task)
    faults: dict[str, str] = {}
    for sampled in found.extremes():
        chosen = configuration(found, sampled)
        for check in (
            partial(_check_steps, chosen),
            partial(_check_made, chosen, task, label, gate),
        ):
            try:
                check()
            except SpecError as error:
                for path, why in error.faults:
                    faults.setdefault(path, why)  # that of the first extreme
    _raise(faults.items())


def _check_steps(chosen: Configuration) -> None:
    _raise(step_faults(chosen))


def _check_made(chosen: Configuration, task: Task, label: str, gate: type[Gate]) -> None:
    options = dict(chosen.model)
    num_experts = options.pop("num_experts")
    if not 1 <= num_experts <= MOST_EXPERTS:
        raise SpecError(
            "",
            "model.num_experts",
            f"`1 <= num_experts <= {MOST_EXPERTS}` must hold, but got ({num_experts=}).",
        )
    with _blamed("model", options), foreign():
        experts = gate.num_experts_for(num_experts, len(task.targets))
        network = task.network(**options)
    if not isinstance(network, Network):
        raise SpecError("", "model", f"`network` must give a Network, but gives {network!r:.100}.")
    width = network.gate_features
    if not (isinstance(width, int) and width >= 1):
        raise SpecError(
            "", "model", f"`gate_features >= 1` must hold, a whole number, but got {width!r:.100}."
        )
    if num_experts < (kinds := len(network.other_experts) + 1):
        raise SpecError(
            "",
            "model.num_experts",
            f"`num_experts >= {kinds}` must hold, one of each kind, but got ({num_experts=}).",
        )
    sizes = (width, experts)
    with _blamed(f"gates.{label}", chosen.gate), foreign(), torch.random.fork_rng([]):
        target_gate(task, len(task.targets) - 1, gate, sizes, chosen.gate)


@contextmanager
def _blamed(path: str, options: Mapping[str, Any]) -> Iterator[None]:
    """Say of which option an error is: that which its message names first."""
    try:
        yield
    except ForeignError as error:
        text = str(error)
        found = [(m.start(), n) for n in options if (m := re.search(rf"\b{re.escape(n)}\b", text))]
        raise SpecError("", f"{path}.{min(found)[1]}" if found else path, text) from error
