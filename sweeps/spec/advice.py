"""Advice: what to try on a task of one's own, which no spec is refused for."""

from __future__ import annotations

import shlex

from gatelab.foreign import is_ours
from gatelab.sweeps.spec.notation import write_inline
from gatelab.sweeps.spec.spec import TaskSpec
from gatelab.tasks.task import tasks

LOOKS_FOR = (
    "looks for what trains all the same: rows that change each other's outputs, noise in "
    "evaluation, experts that start alike, other data each time."
)


def check_of(task: TaskSpec) -> str:
    """Return the command that runs the suite over a spec's task.

    Empty for one of ours, which passes it, and for one that a command cannot import.
    """
    cls = tasks.get(task.name)
    if is_ours(cls) or cls.__module__ == "__main__":
        return ""
    given = [f"{name}={write_inline(value)}" for name, value in task.options.items()]
    return shlex.join(
        ["gatelab", "check", "task", task.name, *(w for each in given for w in ("--option", each))]
    )


def advised(task: TaskSpec) -> list[str]:
    """Return the line that advises this command, if there is one."""
    command = check_of(task)
    return [f"`{command}` {LOOKS_FOR}"] if command else []
