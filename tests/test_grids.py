"""Grids: their values are those that a person would write, and Optuna takes each."""

from __future__ import annotations

import random
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.trial import create_trial

from gatelab.sweeps.search.draws import Draws
from gatelab.sweeps.spec.hyperparameters import typed
from gatelab.sweeps.spec.made_task import make_task
from gatelab.sweeps.spec.ranges import Range
from gatelab.sweeps.spec.reading import parse_spec
from gatelab.sweeps.spec.space import space
from gatelab.sweeps.spec.values import holds, nearest, value_at

REPORTED = [("0.1", "0.1", 6), ("0", "0.1", 3), ("0.1", "0.1", 2), ("0.05", "0.05", 6)]


def _some(count: int) -> list[tuple[str, str, int]]:
    """Return the lowest, the step and the number of steps of many grids, as decimals."""
    rng, found = random.Random(0), []
    for _ in range(count):
        unit = Decimal(10) ** -rng.randint(0, 6)
        low, step = rng.randint(-2000, 2000) * unit, rng.randint(1, 400) * unit
        found.append((str(low), str(step), rng.randint(1, 60)))
    return found


def _grid(low: str, step: str, steps: int) -> tuple[BaseDistribution, list[float]]:
    """Return a grid as a spec's range gives it, and its values as a person writes them."""
    listed = [float(Decimal(low) + place * Decimal(step)) for place in range(steps + 1)]
    said = Range(low=float(low), high=listed[-1], step=float(step))
    return typed(said, 0.5), listed


@pytest.mark.parametrize(("low", "step", "steps"), REPORTED + _some(200))
def test_a_grid_has_the_values_that_a_person_writes(low: str, step: str, steps: int) -> None:
    grid, listed = _grid(low, step, steps)
    shares = [(place + 0.5) / len(listed) for place in range(len(listed))]
    assert [value_at(grid, share) for share in shares] == listed
    assert [nearest(grid, value) for value in listed] == listed
    assert [nearest(grid, listed[0] + place * float(step)) for place in range(steps + 1)] == listed
    assert nearest(grid, listed[-1] + 1) == listed[-1] and nearest(grid, -1e9) == listed[0]
    assert all(holds(grid, value) for value in listed)
    assert not any(holds(grid, a + (b - a) / 3) for a, b in pairwise(listed))
    for value in listed:  # which Optuna refuses where it lies beside
        create_trial(params={"it": value}, distributions={"it": grid}, value=0.0)


def test_whole_numbers_keep_every_digit() -> None:
    """Steps are counted in whole numbers, where a division in doubles loses the last ones."""
    wide = IntDistribution(0, 2**53 + 3)
    assert nearest(wide, 2**53 + 3) == 2**53 + 3
    assert nearest(wide, 2**53 + 1) == 2**53 + 1


WEIGHT = "training.target_weights.a"


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_every_draw_is_on_the_grid(sampler: str) -> None:
    grid, listed = _grid("0.1", "0.1", 6)
    drawn = {WEIGHT: grid, "gate.gamma": grid, "gate.tau": FloatDistribution(0, 1)}
    draws = Draws(drawn, {WEIGHT: 0.3, "gate.gamma": 0.3, "gate.tau": 0.5}, sampler, 3)
    past = draws.draw(0, 16, ())
    found = [*past, *draws.draw(16, 48, past)]
    for name in (WEIGHT, "gate.gamma"):
        assert {values[name] for values in found} == set(listed)


def test_weights_on_a_grid_are_the_same_for_all_gates_in_later_rounds() -> None:
    """Optuna leaves to TPE what lies beside the grid."""
    grid, _ = _grid("0.1", "0.1", 6)

    def weights(best: slice) -> list[Any]:
        draws = Draws({WEIGHT: grid, "gate.gamma": grid}, {}, "tpe", 3)
        return [it[WEIGHT] for it in draws.draw(16, 16, draws.draw(0, 16, ())[best])]

    assert weights(slice(None)) == weights(slice(None, None, -1))


def test_the_default_is_tried_as_it_is_written() -> None:
    wide, high = {"low": 0, "high": 0.5, "step": 0.1}, {"low": 0.6, "high": 1, "step": 0.1}
    spec = parse_spec(
        {
            "name": "grids",
            "task": {"name": "synthetic_groups", "num_targets": 2, "train_rows": 64},
            "gates": {"dselect_k": {"noise": wide, "entropy_warmup": wide, "snap": high}},
        }
    )
    found = space(spec, "dselect_k", make_task(spec)).defaults
    assert found == {"gate.noise": 0.3, "gate.entropy_warmup": 0.3, "gate.snap": 0.7}


@pytest.mark.parametrize(
    ("low", "high", "step"), [(0, 1, 1e-8), (1e6, 1e6 + 1, 1e-4), (-1e6, 1 - 1e6, 1e-4)]
)
def test_a_grid_that_is_too_fine_for_doubles_is_refused(low: Any, high: Any, step: float) -> None:
    """Optuna would refuse each of its values."""
    with pytest.raises(ValueError, match="a range without `step` has every value"):
        Range(low=low, high=high, step=step)


@pytest.mark.parametrize(("low", "step"), [(0.0, 1e-7), (999.0, 1e-4), (-1000.0, 1e-4)])
def test_the_finest_grids_are_taken(low: float, step: float) -> None:
    grid, rng = typed(Range(low=low, high=low + 1, step=step), 0.5), random.Random(0)
    for _ in range(200):
        value = value_at(grid, rng.random())
        create_trial(params={"it": value}, distributions={"it": grid}, value=0.0)
