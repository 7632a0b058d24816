"""Conditions: which hyperparameters are searched only beside certain values of others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from optuna.distributions import BaseDistribution, CategoricalDistribution

from gatelab.registry import near_misses
from gatelab.rules import written
from gatelab.sweeps.spec.faults import raise_faults
from gatelab.sweeps.spec.hyperparameters import Conditional
from gatelab.sweeps.spec.spec import Fault, Spec
from gatelab.sweeps.spec.values import is_one_of
from gatelab.training.configuration import LEARNER, TARGET_WEIGHTS

Parents = Mapping[str, Mapping[str, tuple[Any, ...]]]
"""By dotted name, of each other hyperparameter the values beside which one is searched."""
Said = Mapping[str, Any]
"""The value or distribution of every hyperparameter of a gate, by dotted name."""
ALWAYS = ("gate.k", "model.num_experts")
"""What has a value in every trial: gates are compared by it."""
SHARED = ("model", "optimizer", "training")
"""Parts of the spec that all gates have in common."""


class When(NamedTuple):
    """What a spec says of one conditional hyperparameter."""

    path: str
    part: str
    """Of the spec, in which names without a dot are looked for."""
    said: Conditional


def is_active(name: str, values: Mapping[str, Any], parents: Parents) -> bool:
    """Return whether a hyperparameter is searched beside values of others, by dotted name."""
    return all(
        parent in values
        and is_one_of(values[parent], listed)
        and is_active(parent, values, parents)
        for parent, listed in parents.get(name, {}).items()
    )


def active(values: Mapping[str, Any], parents: Parents) -> dict[str, Any]:
    """Return values without those of hyperparameters that are not searched beside the others."""
    return {n: value for n, value in values.items() if is_active(n, values, parents)}


def parents_of(spec: Spec, label: str, said: Said) -> dict[str, dict[str, Any]]:
    """Return the parents of what is searched conditionally of one of a spec's gates.

    Args:
        spec: The spec.
        label: The gate's name in it.
        said: What is fixed and searched of the gate.

    Raises:
        SpecError: If a condition names what has no list of choices, or a value that is none of
            them, or if conditions go round in a circle.
    """
    found: dict[str, dict[str, Any]] = {}
    faults: list[Fault] = []
    whens = _whens(spec, label)
    for name, when in whens.items():
        if name in ALWAYS:
            faults.append((when.path, "must have a value in every trial: it can have no `when`."))
            continue
        for given, values in when.said.when.items():
            parent = given if "." in given and given in said else f"{when.part}.{given}"
            if why := _why_not(given, values, parent, when.part, said):
                faults.append((f"{when.path}.when", why))
            else:
                found.setdefault(name, {})[parent] = _as_choices(said[parent], values)
    raise_faults(faults)
    raise_faults(_circle(found, whens))
    return found


def _whens(spec: Spec, label: str) -> dict[str, When]:
    """Return what a spec says of each conditional hyperparameter of a gate, by dotted name."""
    training, learner = spec.training, spec.gates[label].learner
    own = {name: getattr(training, name) for name in ("schedule", "warmup", "gradient_clip")}
    weights = {f"{TARGET_WEIGHTS}.{n}": value for n, value in training.target_weights.items()}
    sections = (
        ("model", "model", spec.model),
        ("optimizer", "optimizer", spec.optimizer.hyperparameters),
        ("training", "training", own | weights),
        ("gate", f"gates.{label}", spec.gates[label].hyperparameters),
        (LEARNER, f"gates.{label}.learner", learner.hyperparameters),
    )
    return {
        f"{part}.{name}": When(f"{path}.{name}", part, value)
        for part, path, values in sections
        for name, value in values.items()
        if isinstance(value, Conditional)
    }


def _why_not(given: str, values: tuple[Any, ...], parent: str, part: str, said: Said) -> str:
    """Return why nothing can hang on values of what a `when` names; empty where it can."""
    if parent not in said:
        return f"{written(given)} is not searched; {near_misses(given, _nameable(said, part))}"
    found = said[parent]
    if not isinstance(found, BaseDistribution):
        return f"{written(given)} is fixed to {written(found)}: nothing can hang on it."
    if not isinstance(found, CategoricalDistribution):
        return f"{written(given)} must be a list of choices, but is a range."
    if part in SHARED and parent.partition(".")[0] not in SHARED:
        return f"{written(given)} is one gate's, but what hangs on it is every gate's."
    never = [value for value in values if not is_one_of(value, found.choices)]
    if never:
        choices = written(list(found.choices))
        return f"{written(given)} is never {written(never[0])}, but one of {choices}."
    return ""


def _nameable(said: Said, part: str) -> list[str]:
    """Return what a `when` in a part of the spec may name."""
    return [
        name.removeprefix(f"{part}.")
        for name, found in said.items()
        if isinstance(found, CategoricalDistribution)
        and (part not in SHARED or name.partition(".")[0] in SHARED)
    ]


def _as_choices(distribution: BaseDistribution, values: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return values as those of a distribution: 0 is 0.0 of numbers."""
    assert isinstance(distribution, CategoricalDistribution)
    return tuple(choice for choice in distribution.choices if is_one_of(choice, values))


def _circle(parents: Parents, whens: Mapping[str, When]) -> list[Fault]:
    """Return the fault of the first circle, if there is one."""
    for name, when in whens.items():
        if way := _way_back(name, parents, (name,)):
            why = f"{' hangs on '.join(way)}: a circle, in which nothing is drawn first."
            return [(f"{when.path}.when", why)]
    return []


def _way_back(name: str, parents: Parents, way: tuple[str, ...]) -> tuple[str, ...]:
    """Return a way from the first name of another way back to it; empty where none leads there."""
    for parent in parents.get(name, {}):
        if parent == way[0]:
            return (*way, parent)
        if parent not in way and (found := _way_back(parent, parents, (*way, parent))):
            return found
    return ()


def with_parents(names: Iterable[str], parents: Parents) -> set[str]:
    """Return hyperparameters and all on which they hang."""
    found = set(names)
    for name in names:
        found |= with_parents(parents.get(name, ()), parents)
    return found


def in_order(
    drawn: Mapping[str, BaseDistribution], parents: Parents
) -> dict[str, BaseDistribution]:
    """Return distributions in their order, save that those on which others hang are before them.

    What gates share keeps its place, so that they draw the same of it.
    """
    found: dict[str, BaseDistribution] = {}

    def put(name: str) -> None:
        for parent in parents.get(name, {}):
            put(parent)
        found.setdefault(name, drawn[name])

    for name in drawn:
        put(name)
    return found
