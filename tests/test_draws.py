"""Draws: the default first, then spread evenly, then where Optuna's TPE looks."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import TPESampler
from optuna.trial import create_trial
from scipy.stats import qmc

from gatelab.sweeps.search.draws import Draws
from gatelab.sweeps.spec.searches import mixed
from gatelab.sweeps.spec.values import nearest, value_at

SPACE: dict[str, BaseDistribution] = {
    "optimizer.learning_rate": FloatDistribution(1e-4, 1e-1, log=True),
    "gate.gamma": FloatDistribution(0.1, 10.0, log=True),
    "gate.k": IntDistribution(1, 4),
    "gate.static": CategoricalDistribution([False, True]),
}
DEFAULTS = {"optimizer.learning_rate": 1e-3, "gate.gamma": 1.0, "gate.k": 2, "gate.static": False}


def draws(space: dict[str, BaseDistribution] = SPACE, sampler: str = "tpe", seed: int = 3) -> Draws:
    return Draws(space, {name: DEFAULTS[name] for name in space}, sampler, seed)


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_the_first_is_the_default(sampler: str) -> None:
    first, second = draws(sampler=sampler).draw(0, 2, ())
    assert first == DEFAULTS
    assert second != DEFAULTS


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_known_configurations_come_right_after_the_default(sampler: str) -> None:
    """What they leave out is drawn as without them, and so are all others."""
    known = ({"gate.k": 4, "gate.gamma": 0.2}, {"gate.static": True})
    space = (SPACE, DEFAULTS, sampler, 3)
    without, found = Draws(*space).draw(0, 6, ()), Draws(*space, known).draw(0, 6, ())
    assert found == [
        without[0],
        without[1] | {"gate.k": 4, "gate.gamma": 0.2},
        without[2] | {"gate.static": True},
        *without[3:],
    ]
    assert Draws(*space, known).draw(6, 2, found) == Draws(*space).draw(6, 2, found)


def test_the_first_round_is_spread_evenly() -> None:
    """Of 16 points of the sequence each sixteenth of every axis has one: the first is replaced."""
    found = draws().draw(0, 16, ())[1:]
    for name, low, high in (("optimizer.learning_rate", 1e-4, 1e-1), ("gate.gamma", 0.1, 10.0)):
        shares = [math.log(values[name] / low) / math.log(high / low) for values in found]
        assert len({int(16 * share) for share in shares}) == 15, name
    assert sorted(np.bincount([values["gate.k"] for values in found], minlength=5)[1:]) == [
        3,
        4,
        4,
        4,
    ]
    assert sum(values["gate.static"] for values in found) in (7, 8)


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_gates_share_the_draws_of_what_they_share(sampler: str) -> None:
    few = {"optimizer.learning_rate": SPACE["optimizer.learning_rate"]}
    rates = [
        [values["optimizer.learning_rate"] for values in draws(space, sampler).draw(0, 6, ())]
        for space in (SPACE, few)
    ]
    assert rates[0] == rates[1]
    assert len(set(rates[0])) == 6


WEIGHTS: dict[str, BaseDistribution] = {
    f"training.target_weights.t{place:03}": FloatDistribution(0.1, 10.0, log=True)
    for place in range(140)
}


@pytest.mark.parametrize("sampler", ["tpe", "random"])
@pytest.mark.parametrize("count", [60, 70, 130])
def test_gates_share_the_draws_of_however_much_they_share(count: int, sampler: str) -> None:
    shared = dict(list(WEIGHTS.items())[:count])
    more = {**shared, "gate.gamma": FloatDistribution(0.1, 10.0, log=True)}
    found = [Draws(space, {}, sampler, 3).draw(1, 5, ()) for space in (shared, more)]
    assert found[0] == [{name: it[name] for name in shared} for it in found[1]]


def test_each_64_values_are_those_of_one_sequence() -> None:
    """The next are the last of a longer one. Published tables rest on these draws."""
    points = [
        qmc.Sobol(width, rng=np.random.default_rng(3)).random_base2(2)[2, -64:]
        for width in (64, 128, 192)
    ]
    found = Draws(WEIGHTS, {}, "tpe", 3).draw(0, 3, ())
    shares = np.concatenate(points)[: len(WEIGHTS)]
    for (name, distribution), share in zip(WEIGHTS.items(), shares, strict=True):
        assert found[2][name] == value_at(distribution, share)


def test_what_is_beyond_64_is_spread_as_evenly() -> None:
    found = Draws(WEIGHTS, {}, "tpe", 3).draw(0, 16, ())
    for name in WEIGHTS:
        shares = [math.log(values[name] / 0.1) / math.log(100) for values in found]
        assert len({int(16 * share) for share in shares}) == 16, name
    assert len({tuple(values[name] for values in found) for name in WEIGHTS}) == len(WEIGHTS)


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_what_a_gate_fixes_keeps_its_place_among_the_draws(sampler: str) -> None:
    without = {name: it for name, it in SPACE.items() if name != "gate.gamma"}
    whole, fixed = (
        Draws(space, {}, sampler, 3, places=SPACE).draw(1, 5, ()) for space in (SPACE, without)
    )
    assert fixed == [{name: it[name] for name in without} for it in whole]
    assert whole == Draws(SPACE, {}, sampler, 3).draw(1, 5, ())


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_another_seed_draws_others(sampler: str) -> None:
    assert draws(sampler=sampler).draw(0, 4, ()) == draws(sampler=sampler).draw(0, 4, ())
    other = draws(sampler=sampler, seed=4).draw(0, 4, ())
    assert other[1:] != draws(sampler=sampler).draw(0, 4, ())[1:]


def test_later_rounds_draw_what_optunas_tpe_draws() -> None:
    """It is told places, not losses: TPE looks at the order alone."""
    past = draws().draw(0, 8, ())
    losses = [0.1 * place**2 for place in range(8)]
    theirs = optuna.create_study()
    for params, loss in zip(past, losses, strict=True):
        theirs.add_trial(create_trial(params=params, distributions=SPACE, value=loss))
    expected: list[dict[str, Any]] = []
    for number in range(8, 14):
        theirs.sampler = TPESampler(n_startup_trials=1, constant_liar=True, seed=mixed(3, number))
        expected.append(theirs.ask(SPACE).params)
    assert draws().draw(8, 6, past) == expected
    assert draws().draw(8, 6, past[::-1]) != expected


def test_nothing_to_draw_is_nothing_drawn() -> None:
    assert Draws({}, {}, "tpe", 0).draw(0, 3, ()) == [{}, {}, {}]
    assert Draws({}, {}, "tpe", 0).draw(3, 3, [{}, {}, {}]) == [{}, {}, {}]


@pytest.mark.parametrize(
    ("distribution", "share", "value"),
    [
        (FloatDistribution(2.0, 4.0), 0.25, 2.5),
        (FloatDistribution(1.0, 100.0, log=True), 0.5, 10.0),
        (FloatDistribution(0.0, 1.0, step=0.25), 0.99, 1.0),
        (FloatDistribution(0.0, 1.0, step=0.25), 0.39, 0.25),
        (IntDistribution(1, 4), 0.0, 1),
        (IntDistribution(1, 4), 0.74, 3),
        (IntDistribution(1, 4), 0.999, 4),
        (IntDistribution(2, 10, step=4), 0.5, 6),
        (IntDistribution(1, 8, log=True), 0.0, 1),
        (IntDistribution(1, 8, log=True), 0.999, 8),
        (IntDistribution(1, 8, log=True), 0.5, 2),  # exp of the middle of log 0.5 and log 8.5
        (CategoricalDistribution(["a", "b", "c"]), 0.34, "b"),
    ],
)
def test_values_at_shares(distribution: BaseDistribution, share: float, value: Any) -> None:
    assert value_at(distribution, share) == pytest.approx(value)


@pytest.mark.parametrize(
    ("distribution", "wished", "value"),
    [
        (FloatDistribution(0.03, 0.3, log=True), 0.0, 0.03),
        (FloatDistribution(0.1, 1.0), 0.5, 0.5),
        (FloatDistribution(0.0, 1.0, step=0.25), 0.3, 0.25),
        (FloatDistribution(1.0, 100.0, log=True), None, 10.0),
        (IntDistribution(2, 4), 1, 2),
        (CategoricalDistribution([1, 2, 4]), 2, 2),
        (CategoricalDistribution([1, 2, 4]), 3, 1),
    ],
)
def test_nearest_values(distribution: BaseDistribution, wished: Any, value: Any) -> None:
    assert nearest(distribution, wished) == pytest.approx(value)
