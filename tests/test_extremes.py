"""Extremes: of what is searched every end is tried, and any two of them together."""

from __future__ import annotations

from itertools import combinations
from typing import Any

from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from gatelab.sweeps.spec.space import SearchSpace

NUMBERS = CategoricalDistribution([2, 1, 4, 3])
WORDS = CategoricalDistribution(["adam", "sgd", "adamw"])


def searched(count: int) -> SearchSpace:
    """Return a space of so many hyperparameters of each kind."""
    found: dict[str, Any] = {}
    for place in range(count):
        found |= {f"gate.list{place}": NUMBERS, f"gate.word{place}": WORDS}
        found |= {f"gate.float{place}": FloatDistribution(0.1, 10.0, log=True)}
        found |= {f"gate.int{place}": IntDistribution(1, 8)}
    return SearchSpace({}, found, {name: _first(it) for name, it in found.items()})


def _first(distribution: Any) -> Any:
    return distribution.choices[0] if hasattr(distribution, "choices") else distribution.low


def ends(name: str) -> list[Any]:
    """Return what must be tried of a hyperparameter, by its kind."""
    kinds = {"list": [1, 4], "word": [*WORDS.choices], "float": [0.1, 10.0], "int": [1, 8]}
    return kinds[name.removeprefix("gate.").rstrip("0123456789")]


def test_any_two_ends_meet_however_many_are_searched() -> None:
    space = searched(3)
    every = [(name, end) for name in space.distributions for end in ends(name)]
    met = {pair for values in space.meetings() for pair in combinations(values.items(), 2)}
    assert not {(a, b) for a, b in combinations(every, 2) if a[0] != b[0]} - met


def test_of_many_hyperparameters_each_end_and_choice_is_tried_without_all_combinations() -> None:
    space = searched(3)
    tried = {item for values in space.extremes() for item in values.items()}
    assert {item[1] for item in tried if item[0] == "gate.list0"} == {1, 2, 3, 4}
    assert {(name, end) for name in space.distributions for end in ends(name)} <= tried
    assert len(space.extremes()) == 4, "as many as the longest list has"
    assert len(searched(1).extremes()) == 4 * 3 * 2 * 2, "of few all combinations"
