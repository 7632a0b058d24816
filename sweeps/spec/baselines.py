"""Baselines: what belongs to every comparison, unless a spec says that it does not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gatelab.gates.gate import gates
from gatelab.sweeps.spec.extremes import check_values
from gatelab.sweeps.spec.space import space
from gatelab.sweeps.spec.spec import GateSpec, Spec, SpecError
from gatelab.tasks.task import Task

BASELINES = ("single", "random_k", "constant", "oracle")
"""Keys in the registry; what a task has no truth for, or too few experts, is left out."""


def with_baselines(spec: Spec, task: Task) -> Spec:
    """Return a spec whose gates have the baselines beside them, those that it does not name itself.

    Args:
        spec: A spec that is valid.
        task: The spec's, on which not every baseline can be made.
    """
    if not spec.baselines:
        return spec
    named = {gate.gate for gate in spec.gates.values() if gate.learner.is_default}
    found = dict(spec.gates)
    for key in BASELINES:
        label = key if key not in spec.gates else f"{key}.baseline"
        if key in named or label in found:
            continue
        found[label] = GateSpec(gate=key, hyperparameters=_as_sparse(spec, task, key))
        if not _fits(_with(spec, found), task, label):
            del found[label]
    return _with(spec, found)


def _with(spec: Spec, found: Mapping[str, GateSpec]) -> Spec:
    return spec.model_copy(update={"gates": dict(found)})


def _fits(spec: Spec, task: Task, label: str) -> bool:
    """Return whether a baseline can be made for a task and as many experts as a spec names."""
    try:
        check_values(spec, task, label, gates.get(spec.gates[label].gate))
    except SpecError:
        return False
    return True


def _as_sparse(spec: Spec, task: Task, key: str) -> dict[str, Any]:
    """Return the k of a baseline that chooses so many at random: that of the gates, if one k is."""
    if key != "random_k":
        return {}
    ks = {space(spec, label, task).fixed.get("gate.k") for label in spec.gates} - {None}
    return {"k": ks.pop()} if len(ks) == 1 else {}
