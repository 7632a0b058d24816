"""Remarks on tables of sparse gradients: what of an optimiser does not reach them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from gatelab.foreign import ForeignError, foreign
from gatelab.gates.gate import gates
from gatelab.sweeps.spec.space import configuration, space
from gatelab.sweeps.spec.spec import Spec
from gatelab.tasks.check.random_states import seeded
from gatelab.tasks.check.subject import made_of
from gatelab.tasks.task import Task
from gatelab.training.configuration import Configuration
from gatelab.training.members import sparse_tables

PAST_TABLES = ("weight_decay", "momentum")
"""Of an optimiser's hyperparameters those that would touch every row of a table at every step."""


def told_tables(spec: Spec, task: Task) -> list[str]:
    """Return a line where a network has tables that a spec's optimiser reaches in part.

    Args:
        spec: It has been checked.
        task: The spec's.
    """
    chosen = list(_stepped(spec, task))
    used = [name for name in PAST_TABLES if any(one.optimizer.get(name) for one in chosen)]
    if not used:
        return []
    tables = next((found for one in _networks(chosen) if (found := _tables(task, one))), [])
    if not tables:
        return []
    named = " and ".join(f"`optimizer.{name}`" for name in used)
    do, it = ("do", "they") if len(used) > 1 else ("does", "it")
    return [
        f"{named} {do} not reach tables of `nn.Embedding(sparse=True)`, as {tables[0]}: a step "
        f"moves only the rows that it looks up; with `sparse=False` {it} would."
    ]


def _stepped(spec: Spec, task: Task) -> Iterator[Configuration]:
    """Yield what gates that take steps may come to, at the ends of what is searched."""
    for label, gate in spec.gates.items():
        if gates.get(gate.gate).trained and gate.learner.cls.descends:
            found = space(spec, label, task)
            yield from (configuration(found, sampled) for sampled in found.extremes())


def _networks(chosen: list[Configuration]) -> list[dict[str, Any]]:
    """Return the options of their networks, each once."""
    found = [{n: v for n, v in one.model.items() if n != "num_experts"} for one in chosen]
    return list({repr(options): options for options in found}.values())


def _tables(task: Task, options: Mapping[str, Any]) -> list[str]:
    """Return the tables of sparse gradients of a network, in words."""
    try:
        with seeded(0), foreign():
            modules = made_of(task.network(**options), task.targets)
    except ForeignError:  # which a rehearsal says
        return []
    return [
        f"{table.rpartition('.')[0] or 'all'!r} of the {part}"
        for part, module in modules.items()
        for table in sparse_tables(module)
    ]
