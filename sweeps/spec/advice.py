"""Advice: what to try on a task and gates of one's own, which no spec is refused for."""

from __future__ import annotations

import shlex

from gatelab.foreign import is_ours
from gatelab.gates.gate import gates
from gatelab.sweeps.spec.notation import write_inline
from gatelab.sweeps.spec.spec import Spec, TaskSpec
from gatelab.tasks.task import tasks

LOOKS_FOR = (
    "looks for what trains all the same: rows that change each other's outputs, noise in "
    "evaluation, experts that start alike, other data each time."
)

LOOKS_FOR_IN_GATES = (
    "looks for what trains all the same: rows that change each other's weights, an aux loss that "
    "is no mean, more experts than `k`, numbers that follow from no seed."
)


def check_of(task: TaskSpec) -> str:
    """Return the command that runs the suite over a spec's task.

    Empty for one of ours, which passes it, and for one that a command cannot import.
    """
    if not _is_own(tasks.get(task.name)):
        return ""
    given = [f"{name}={write_inline(value)}" for name, value in task.options.items()]
    return shlex.join(
        ["gatelab", "check", "task", task.name, *(w for each in given for w in ("--option", each))]
    )


def checks_of_gates(spec: Spec) -> list[str]:
    """Return the commands that run the suite over the gates of a spec that are not ours."""
    keys = dict.fromkeys(gate.gate for gate in spec.gates.values())
    return [shlex.join(["gatelab", "check", "gate", k]) for k in keys if _is_own(gates.get(k))]


def _is_own(cls: type) -> bool:
    return not is_ours(cls) and cls.__module__ != "__main__"


def advised(spec: Spec) -> list[str]:
    """Return a line that advises each of these commands."""
    command = check_of(spec.task)
    lines = [f"`{command}` {LOOKS_FOR}"] if command else []
    return [*lines, *(f"`{each}` {LOOKS_FOR_IN_GATES}" for each in checks_of_gates(spec))]
