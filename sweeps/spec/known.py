"""Known configurations: what a spec wants to be tried first of a gate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from gatelab.registry import near_misses
from gatelab.rules import written
from gatelab.sweeps.spec.conditional import Parents, is_active
from gatelab.sweeps.spec.faults import raise_faults
from gatelab.sweeps.spec.notation import write_inline
from gatelab.sweeps.spec.spec import Spec
from gatelab.sweeps.spec.values import holds, is_one_of, nearest


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
    first, faults = spec.search.first.get(label, ()), []
    for place, given in enumerate(first):
        for name, value in given.items():
            why = _why_not(name, value, fixed, drawn) or _unless(name, given, parents)
            if why:
                faults.append((f"search.first.{label}.{place}.{name}", why))
    raise_faults(faults)
    return tuple({n: nearest(drawn[n], v) for n, v in it.items() if n in drawn} for it in first)


def _why_not(
    name: str, value: Any, fixed: Mapping[str, Any], drawn: Mapping[str, BaseDistribution]
) -> str:
    """Return why a value cannot be tried; nothing where it can, or stands in every trial."""
    if name in drawn:
        if holds(drawn[name], value):
            return ""
        searched = _as_said(drawn[name])
        return f"must be one of those that are searched, {searched}, but got {written(value)}."
    if name not in fixed:
        return f"is not searched; {near_misses(name, drawn)}"
    same = is_one_of(value, (fixed[name],))
    return "" if same else f"is fixed to {written(fixed[name])}, but got {written(value)}."


def _as_said(distribution: BaseDistribution) -> str:
    """Return a distribution as a spec says it."""
    if isinstance(distribution, CategoricalDistribution):
        return written(list(distribution.choices))
    assert isinstance(distribution, (FloatDistribution, IntDistribution))
    found = {"low": distribution.low, "high": distribution.high, "step": distribution.step}
    if distribution.log:
        found["log"] = True
    if (
        distribution.step is None
        or isinstance(distribution, IntDistribution)
        and found["step"] == 1
    ):
        del found["step"]
    return write_inline(found)


def _unless(name: str, given: Mapping[str, Any], parents: Parents) -> str:
    """Return beside what a value would be tried, where what is given says something else."""
    if is_active(name, given, parents):
        return ""
    named = parents[name].items()
    beside = " and ".join(f"{it} is one of {written(list(listed))}" for it, listed in named)
    return f"is searched only where {beside}: give that too."
