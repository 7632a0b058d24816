"""Known configurations: what a spec wants to be tried first of a gate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from optuna.distributions import BaseDistribution, FloatDistribution

from gatelab.registry import near_misses
from gatelab.rules import written
from gatelab.sweeps.spec.conditional import Parents, is_active
from gatelab.sweeps.spec.spec import Spec, SpecError
from gatelab.sweeps.spec.values import holds


def known_of(
    spec: Spec,
    label: str,
    fixed: Mapping[str, Any],
    drawn: Mapping[str, BaseDistribution],
    parents: Parents,
) -> tuple[dict[str, Any], ...]:
    """Return what the spec wants to be tried first of a gate.

    Raises:
        SpecError: If a value is not searched.
    """
    found, faults = [], []
    for place, given in enumerate(spec.search.first.get(label, ())):
        for name, value in given.items():
            why = _why_not(name, value, fixed, drawn) or _unless(name, given, parents)
            if why:
                faults.append((f"search.first.{label}.{place}.{name}", why))
        found.append({n: _as_drawn(drawn[n], v) for n, v in given.items() if n in drawn})
    if faults:
        raise SpecError.of(faults)
    return tuple(found)


def _why_not(
    name: str, value: Any, fixed: Mapping[str, Any], drawn: Mapping[str, BaseDistribution]
) -> str:
    """Return why a value cannot be tried; nothing where it can, or stands in every trial."""
    if name in drawn:
        if holds(drawn[name], value):
            return ""
        return f"must be one of those that are searched, {drawn[name]}, but got {written(value)}."
    if name not in fixed:
        return f"is not searched; {near_misses(name, drawn)}"
    same = fixed[name] == value
    return "" if same else f"is fixed to {written(fixed[name])}, but got {written(value)}."


def _unless(name: str, given: Mapping[str, Any], parents: Parents) -> str:
    """Return beside what a value would be tried, where what is given says something else."""
    if is_active(name, given, parents):
        return ""
    named = parents[name].items()
    beside = " and ".join(f"{it} is one of {written(list(listed))}" for it, listed in named)
    return f"is searched only where {beside}: give that too."


def _as_drawn(distribution: BaseDistribution, value: Any) -> Any:
    return (
        float(value) if isinstance(distribution, FloatDistribution) and value is not None else value
    )
