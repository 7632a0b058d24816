"""The task of a spec."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from gatelab.foreign import foreign
from gatelab.sweeps.spec.faults import blamed, check_known, looked_up, raise_faults
from gatelab.sweeps.spec.hyperparameters import typed
from gatelab.sweeps.spec.space import keyword_defaults
from gatelab.sweeps.spec.spec import Spec, SpecError
from gatelab.tasks.target import Target
from gatelab.tasks.task import Task, tasks


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
    cls = looked_up("task", tasks.get, key)
    check_known("task", options, keyword_defaults(cls))
    _check_options(cls, options)
    with blamed("task", options), foreign():
        task: Task = cls(**options)
    _check_parts(key, task)
    return task


def _check_parts(name: str, task: Task) -> None:
    """Check that a task has what every task has; what these hold is looked at with the data."""
    lacking = [n for n in ("split", "network") if getattr(type(task), n) is getattr(Task, n)]
    if lacking:
        methods = " and ".join(f"`{method}`" for method in lacking)
        raise SpecError("", "task", f"{name!r}: the task has no method {methods}.")
    with blamed("task", {}), foreign():  # they may be a property
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
    raise_faults(faults)
