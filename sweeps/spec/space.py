"""The search space of one gate: what is fixed, and what Optuna draws."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import combinations, product
from typing import Any

import numpy as np
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from gatelab.gates.auxiliary import AUXILIARY_WEIGHTS
from gatelab.gates.gate import Gate, gates
from gatelab.sweeps.spec.conditional import Parents, active, in_order, parents_of, with_parents
from gatelab.sweeps.spec.faults import raise_faults
from gatelab.sweeps.spec.hyperparameters import typed
from gatelab.sweeps.spec.known import known_of
from gatelab.sweeps.spec.learner_spec import learner_space
from gatelab.sweeps.spec.places import wherever
from gatelab.sweeps.spec.spec import Spec, SpecError
from gatelab.sweeps.spec.steps import OF_TRAINING, steps_of
from gatelab.sweeps.spec.values import nearest
from gatelab.tasks.task import Task
from gatelab.training.configuration import LEARNER, TARGET_WEIGHTS, Configuration
from gatelab.training.optimizers.catalogue import optimizer_defaults

NUM_EXPERTS = 8
OF_STEPS = ("optimizer.", "training.")
"""How names begin of what a learner without steps never reads."""
WEIGHTS = f"training.{TARGET_WEIGHTS}."
"""How names begin of the weights of targets, which may be many, each with a rule of its own."""
MOST_COMBINATIONS = 64
"""Up to so many, every combination of extremes is tried before a sweep starts."""


@dataclass(frozen=True)
class SearchSpace:
    """One gate's hyperparameters by dotted name."""

    fixed: dict[str, Any]
    distributions: dict[str, BaseDistribution]
    defaults: dict[str, Any] = field(default_factory=dict)
    """The value of each that is drawn in the search's first trial."""
    known: tuple[dict[str, Any], ...] = ()
    """Values of some that are drawn, in the trials after it."""
    parents: Parents = field(default_factory=dict)
    """Of what is drawn only beside certain values of others."""
    otherwise: dict[str, Any] = field(default_factory=dict)
    """The values of these where they are not drawn."""
    places: dict[str, BaseDistribution] = field(default_factory=dict)
    """What is drawn, in its place among what other gates draw and this one fixes."""

    def extremes(self) -> list[dict[str, Any]]:
        """Return values for all that is drawn, which together meet every end and choice."""
        ends = {name: _ends(d) for name, d in self.distributions.items()}
        found = [active(values, self.parents) for values in self._combined(ends)]
        return list({repr(values): values for values in found}.values())

    def at_extremes(self) -> list[Configuration]:
        """Return the configurations of :meth:`extremes`."""
        return [configuration(self, sampled) for sampled in self.extremes()]

    def _combined(self, ends: Mapping[str, list[Any]]) -> list[dict[str, Any]]:
        """Return every combination of ends, or of too many as few as meet each."""
        if math.prod(map(len, ends.values())) <= MOST_COMBINATIONS:
            return [dict(zip(ends, values, strict=True)) for values in product(*ends.values())]
        longest = max(map(len, ends.values()))
        found = [{n: v[min(i, len(v) - 1)] for n, v in ends.items()} for i in range(longest)]
        return found + [
            {**found[0], **self._met(name), name: end}
            for name in self.parents
            for end in ends[name]
        ]

    def meetings(self) -> list[dict[str, Any]]:
        """Return :meth:`extremes`, and values in which any two ends meet, but weights of targets.

        A rule between two hyperparameters is met there, however many are searched.
        """
        drawn = self.distributions.items()
        ends = {name: _outermost(d) for name, d in drawn if not name.startswith(WEIGHTS)}
        pairs = combinations([(name, end) for name, found in ends.items() for end in found], 2)
        met = [
            {**self.defaults, **self._met(one), **self._met(other), one: end, other: its}
            for (one, end), (other, its) in pairs
            if one != other
        ]
        found = [*self.extremes(), *(active(values, self.parents) for values in met)]
        return list({repr(values): values for values in found}.values())

    def _met(self, name: str) -> dict[str, Any]:
        """Return values of others beside which a hyperparameter is searched."""
        found: dict[str, Any] = {}
        for parent, listed in self.parents.get(name, {}).items():
            found |= {**self._met(parent), parent: listed[0]}
        return found


def space(spec: Spec, label: str, task: Task) -> SearchSpace:
    """Return what a spec fixes and searches for one of its gates.

    A gate for which the spec names no hyperparameter, or ``k`` alone, is searched in its own
    ``search_space``.

    Raises:
        SpecError: If a value has the wrong type.
    """
    gate = spec.gates[label]
    cls = gates.get(gate.gate)
    network = {"num_experts": NUM_EXPERTS, **keyword_defaults(type(task).network)}
    model = {"num_experts": NUM_EXPERTS, **spec.model}
    found = {
        "optimizer.name": spec.optimizer.name,
        **_steps(spec),
        **_typed("model", "model", model, network),
    }
    shared = dict(found)
    found["model.num_experts"] = _own_number(cls, found["model.num_experts"], len(task.targets))
    given, defaults = gate.hyperparameters, gate_defaults(cls)
    most = _lowest(found["model.num_experts"])
    if not set(given) - {"k"}:
        found.update({f"gate.{n}": _cropped(n, d, most) for n, d in cls.search_space.items()})
    if defaults.get("k") is not None:  # so that it is recorded
        found.setdefault("gate.k", min(defaults["k"], most))
    found.update(_typed("gate", f"gates.{label}", given, defaults))
    learner, faults = learner_space(gate.learner)
    raise_faults((f"gates.{label}.learner.{name}", why) for name, why in faults.items())
    found.update(learner)
    parents = parents_of(spec, label, found)
    own = _own_values(spec, label, task, network, {**defaults, **cls.first_trial})
    if not gate.learner.cls.descends:
        found |= _unsearched(found, parents, own)
    places = {n: d for n, d in (found | shared).items() if isinstance(d, BaseDistribution)}
    places = in_order(places, parents)
    drawn = {name: d for name, d in places.items() if found[name] is d}
    parents = {name: beside for name, beside in parents.items() if name in drawn}
    fixed = {name: value for name, value in found.items() if name not in drawn}
    defaults_drawn = {n: nearest(d, own.get(n)) for n, d in drawn.items()}
    known = known_of(spec, label, fixed, drawn, parents)
    own |= {f"gate.{name}": value for name, value in defaults.items()}
    otherwise = {name: own.get(name) for name in parents}
    _check_otherwise(label, otherwise)
    return SearchSpace(fixed, drawn, defaults_drawn, known, parents, otherwise, places)


def _own_values(
    spec: Spec,
    label: str,
    task: Task,
    network: Mapping[str, Any],
    gate: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the values that hyperparameters have by themselves, by dotted name."""
    rules = optimizer_defaults(spec.optimizer.name)
    options = spec.gates[label].learner.cls.hyperparameters
    return {
        **{f"optimizer.{name}": value for name, value in rules.items()},
        **{f"training.{name}": value for name, value in OF_TRAINING.items()},
        **{f"training.{TARGET_WEIGHTS}.{each.name}": each.weight for each in task.targets},
        **{f"model.{name}": value for name, value in network.items()},
        **{f"gate.{name}": value for name, value in gate.items()},
        **{f"{LEARNER}.{name}": option.default for name, option in options.items()},
    }


def _unsearched(
    found: Mapping[str, Any], parents: Parents, own: Mapping[str, Any]
) -> dict[str, Any]:
    """Return defaults in place of what is searched and a learner without steps never reads.

    That on which something else hangs is searched all the same.
    """
    searched = {name: d for name, d in found.items() if isinstance(d, BaseDistribution)}
    read = with_parents([n for n in searched if not n.startswith(OF_STEPS)], parents)
    return {name: nearest(d, own.get(name)) for name, d in searched.items() if name not in read}


def _check_otherwise(label: str, otherwise: Mapping[str, Any]) -> None:
    """Check that what is not always searched has a value elsewhere, as only clipping needs none."""
    names = (
        n for n, v in otherwise.items() if v is None and n.partition(".")[2] not in OF_TRAINING
    )
    why = "must have a value in every trial, as it has no default: it can have no `when`."
    raise_faults((re.sub("^gate", f"gates.{label}", name), why) for name in names)


def _steps(spec: Spec) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for section, said in steps_of(spec).items():
        values = {name: value for name, (value, _) in said.items()}
        found |= _typed(section, section, values, {name: like for name, (_, like) in said.items()})
    return found


def draws_seed(spec: Spec) -> int:
    """Return the seed of all draws: other tasks have others, as independent repetitions need.

    A task is the same wherever its file lies.
    """
    task = f"{spec.task.name} {sorted(wherever(spec.task.options).items())}"
    return int(np.random.SeedSequence([spec.search.seed, *task.encode()]).generate_state(1)[0])


def gate_defaults(cls: type[Gate]) -> dict[str, Any]:
    """Return the default of every hyperparameter that a spec may give a gate."""
    return {**AUXILIARY_WEIGHTS, **keyword_defaults(cls)}


def keyword_defaults(function: Callable[..., Any]) -> dict[str, Any]:
    """Return the default of every keyword-only argument; ``None`` where there is none."""
    return {
        parameter.name: None if parameter.default is parameter.empty else parameter.default
        for parameter in inspect.signature(function).parameters.values()
        if parameter.kind == parameter.KEYWORD_ONLY
    }


def _typed(
    part: str, path: str, values: Mapping[str, Any], defaults: Mapping[str, Any]
) -> dict[str, Any]:
    found, faults = {}, []
    for name, value in values.items():
        try:
            found[f"{part}.{name}"] = typed(value, defaults.get(name))
        except ValueError as error:
            faults.append((f"{path}.{name}", str(error)))
    if faults:
        raise SpecError.of(faults)
    return found


def _own_number(cls: type[Gate], num_experts: Any, num_targets: int) -> Any:
    """Return how many experts a spec's models have with a gate that may bring its own number."""
    listed = _ends(num_experts) if isinstance(num_experts, BaseDistribution) else [num_experts]
    own = {cls.num_experts_for(number, num_targets) for number in listed}
    return num_experts if own == set(listed) else own.pop()


def _lowest(value: Any) -> Any:
    return min(_ends(value)) if isinstance(value, BaseDistribution) else value


def _cropped(name: str, distribution: BaseDistribution, num_experts: int) -> BaseDistribution:
    """Return a gate's own distribution of ``k`` without more experts than there are."""
    if name != "k" or not isinstance(distribution, IntDistribution):
        return distribution
    return IntDistribution(
        distribution.low, max(distribution.low, min(distribution.high, num_experts))
    )


def configuration(space: SearchSpace, sampled: Mapping[str, Any]) -> Configuration:
    """Return the configuration with what was drawn, by dotted name, beside what is fixed."""
    return Configuration({**space.fixed, **space.otherwise, **sampled})


def _outermost(distribution: BaseDistribution) -> list[Any]:
    """Return the ends, of a list of numbers the least and the greatest."""
    ends = _ends(distribution)
    numbers = all(isinstance(it, (int, float)) for it in ends)
    return list(dict.fromkeys((min(ends), max(ends)))) if numbers else ends


def _ends(distribution: BaseDistribution) -> list[Any]:
    if isinstance(distribution, CategoricalDistribution):
        return list(distribution.choices)
    assert isinstance(distribution, (FloatDistribution, IntDistribution))
    return list(dict.fromkeys((distribution.low, distribution.high)))
