"""Null sweeps: one gate under several names must hardly ever win against itself.

The bound is 5%, and what is measured may exceed it by three binomial standard errors: 1.46% with
2,000 repetitions, 1.03% with 4,000.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from numpy.random import Generator

from gatelab.results.comparison import compare_runs, statistics
from gatelab.results.comparison.statistics import bca_interval, mean_interval, welch
from gatelab.tracking.runs import RunRecord, SweepRecord

Draw = Callable[[Generator, tuple[int, ...]], np.ndarray]
DRAWS: dict[str, Draw] = {
    "normal": lambda random, size: random.normal(size=size),
    "lognormal": lambda random, size: random.lognormal(size=size),
    "t3": lambda random, size: random.standard_t(3, size=size),
    "accuracy": lambda random, size: random.binomial(200, 0.95, size=size) / 200,
}


AT_ONCE = 50
"""Repetitions that are metrics of one sweep, for which runs are read once."""


def sweep(values: np.ndarray, metrics: Sequence[str]) -> SweepRecord:
    """Return a finished sweep with values ``(metrics, gates, seeds)``."""
    names = [f"gate{i}" for i in range(values.shape[1])]
    tags = {"stage": "sweep", "gates": ",".join(names), "end": "finished", "task": "null"}
    runs = [RunRecord("s", "s", "FINISHED", {}, {}, tags | {"metrics.higher": "accuracy"})]
    for gate, name in enumerate(names):
        for seed in range(values.shape[2]):
            tags = {"stage": "evaluate", "gate": name, "seed": str(seed), "end": "finished"}
            scores = dict(zip(metrics, values[:, gate, seed].tolist(), strict=True))
            runs.append(RunRecord("e", "e", "FINISHED", {}, scores, tags))
    return SweepRecord("null", tuple(runs))


def rates(draw: Draw, gates: int, seeds: int, repetitions: int) -> tuple[float, float]:
    """Return how often a winner is called, and how often any pair differs.

    A repetition is a target's metric; tests of one metric know of no other.
    """
    name = "accuracy" if draw is DRAWS["accuracy"] else "loss"
    metrics = [f"test/target_{i}/{name}" for i in range(AT_ONCE)]
    values = draw(np.random.default_rng(1), (repetitions, gates, seeds))
    winners = pairs = 0
    for part in np.split(values, repetitions // AT_ONCE):
        comparison = compare_runs(sweep(part, metrics))
        assert len(comparison.tests) == AT_ONCE * math.comb(gates, 2)
        for metric in metrics:
            winners += any(comparison.beats_all(metric, gate) for gate in comparison.gates)
        pairs += len({test.metric for test in comparison.tests if test.significant})
    return winners / repetitions, pairs / repetitions


def bound(repetitions: int) -> float:
    return 0.05 + 3 * float(np.sqrt(0.05 * 0.95 / repetitions))


@pytest.mark.parametrize(("name", "gates"), [*((name, 2) for name in DRAWS), ("normal", 3)])
def test_a_gate_does_not_beat_itself(name: str, gates: int) -> None:
    winner, pair = rates(DRAWS[name], gates, 5, 2_000)
    assert winner <= pair <= bound(2_000)


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [2, 3, 10])
@pytest.mark.parametrize("gates", [2, 3])
@pytest.mark.parametrize("name", DRAWS)
def test_nor_with_other_seeds(name: str, gates: int, seeds: int) -> None:
    winner, pair = rates(DRAWS[name], gates, seeds, 4_000)
    assert winner <= pair <= bound(4_000)


def test_a_real_difference_wins() -> None:
    """Else a rule that never calls a winner would do."""
    random = np.random.default_rng(0)
    values = random.normal(size=(200, 3, 5)) + np.array([0, 5, 5])[:, None]
    metrics = [f"test/target_{i}/loss" for i in range(200)]
    comparison = compare_runs(sweep(values, metrics))
    assert np.mean([comparison.beats_all(metric, "gate0") for metric in metrics]) > 0.8


def coverage(name: str, seeds: int, repetitions: int) -> tuple[float, float]:
    """Return how often BCa's and Student's interval of the differences hold the true 0."""
    draws = DRAWS[name](np.random.default_rng(2), (repetitions, 2, seeds))
    bca, student = 0, 0
    for apart in draws[:, 0] - draws[:, 1]:
        low, high = bca_interval(apart)[1:]
        bca += low <= 0 <= high
        low, high = mean_interval(apart)[1:]
        student += low <= 0 <= high
    return bca / repetitions, student / repetitions


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "seeds", "held"),
    [
        ("normal", 5, 0.84),
        ("lognormal", 5, 0.80),
        ("t3", 5, 0.82),
        ("normal", 10, 0.90),
        ("lognormal", 10, 0.84),
        ("t3", 10, 0.86),
    ],
)
def test_intervals_hold_what_the_documentation_says(
    name: str, seeds: int, held: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four standard errors of 2,000 repetitions: 0.035, which a fifth of the resamples keeps."""
    monkeypatch.setattr(statistics, "RESAMPLES", 1_999)
    bca, student = coverage(name, seeds, 2_000)
    assert bca == pytest.approx(held, abs=0.035)
    assert student > 0.95 - 0.02


@pytest.mark.slow
def test_welchs_direction_after_the_fact_doubles_its_error() -> None:
    draws = np.random.default_rng(3).normal(size=(4_000, 2, 10))
    p = [welch(*sorted(pair, key=np.mean)) for pair in draws]
    assert np.mean(np.array(p) < 0.05) == pytest.approx(0.10, abs=0.015)
