"""Inference on one metric: what can be said of every pair of gates, and what never could be."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from gatelab.results.comparison import Comparison
from gatelab.results.comparison.statistics import (
    Array,
    bca_interval,
    differences,
    holm,
    mean_interval,
    paired_t,
    sign_flips,
    smallest_effect,
    welch,
    wilcoxon,
)
from gatelab.tracking.schema import has_direction, lower_is_better

from gatelab.registry import near_misses

SeedValues = Mapping[str, float]
"""By seed."""


@dataclass(frozen=True)
class Pair:
    """Two gates on one metric; p-values are two-sided but Welch's, NaN where there is no test."""

    metric: str
    first: str
    second: str
    n: int
    """Seeds that both have."""
    difference: float
    """The mean of first - second over those seeds."""
    low: float
    """Of its 95% interval (BCa bootstrap), as ``high``."""
    high: float
    smallest: float
    """The true difference that the t-test would show in 4 of 5 repetitions."""
    better: str
    """The gate with the better mean over all its seeds; empty if neither."""
    p_welch: float
    """One-sided, that the better gate is better; not paired, not corrected."""
    p_t: float
    """Of the paired t-test, which decides."""
    p_wilcoxon: float
    p_permutation: float
    p_t_holm: float = math.nan
    """Corrected for all pairs, as the other two."""
    p_wilcoxon_holm: float = math.nan
    p_permutation_holm: float = math.nan


def pairwise(comparison: Comparison, metric: str) -> list[Pair]:
    """Return all that can be said of every pair of gates on a metric.

    Raises:
        LookupError: If no gate has the metric.
    """
    check_metric(comparison, metric)
    values = _by_gate(comparison, metric)
    tests = testable(comparison, metric)
    return _corrected(
        [_pair(metric, (a, values[a]), (b, values[b]), tests) for a, b in combinations(values, 2)]
    )


def check_metric(comparison: Comparison, metric: str) -> None:
    """Refuse a metric that no gate has.

    Raises:
        LookupError: Naming those that the reader may have meant.
    """
    known = comparison.metrics()
    if metric not in known:
        near = near_misses(metric, known) if known else "no gate has been evaluated yet."
        raise LookupError(f"no metric {metric!r} in sweep {comparison.sweep}; {near}")


def testable(comparison: Comparison, metric: str) -> int:
    """Return how many pairs of gates have two seeds or more in common."""
    pairs = combinations(_by_gate(comparison, metric).values(), 2)
    return sum(len(_apart(first, second)) > 1 for first, second in pairs)


def smallest_difference(comparison: Comparison, metric: str, first: str, second: str) -> float:
    """Return the true difference of two gates that these seeds would show in 4 of 5 repetitions.

    It follows from the spread of the differences; NaN where there is none.
    """
    values = _by_gate(comparison, metric)
    return _smallest(_apart(values[first], values[second]), testable(comparison, metric))


def _by_gate(comparison: Comparison, metric: str) -> dict[str, SeedValues]:
    return {score.gate: score.values for score in comparison.scores if score.metric == metric}


def _pair(
    metric: str, first: tuple[str, SeedValues], second: tuple[str, SeedValues], tests: int
) -> Pair:
    ours, theirs = _common(first[1], second[1])
    apart = differences(ours, theirs)
    better, p_welch = _welch(metric, first, second)
    return Pair(
        metric,
        first[0],
        second[0],
        len(apart),
        *bca_interval(apart),
        smallest=_smallest(apart, tests),
        better=better,
        p_welch=p_welch,
        p_t=paired_t(ours, theirs).p,
        p_wilcoxon=wilcoxon(apart),
        p_permutation=sign_flips(apart),
    )


def _corrected(pairs: Sequence[Pair]) -> list[Pair]:
    columns = [
        holm(p)
        for p in (
            [pair.p_t for pair in pairs],
            [pair.p_wilcoxon for pair in pairs],
            [pair.p_permutation for pair in pairs],
        )
    ]
    return [
        replace(pair, p_t_holm=t, p_wilcoxon_holm=ranks, p_permutation_holm=flips)
        for pair, t, ranks, flips in zip(pairs, *columns, strict=True)
    ]


def _common(first: SeedValues, second: SeedValues) -> tuple[list[float], list[float]]:
    seeds = [seed for seed in first if seed in second]
    return [first[seed] for seed in seeds], [second[seed] for seed in seeds]


def _apart(first: SeedValues, second: SeedValues) -> Array:
    return differences(*_common(first, second))


def _smallest(apart: Array, tests: int) -> float:
    if len(apart) < 2 or not (spread := float(apart.std(ddof=1))) > 0:
        return math.nan
    return spread * smallest_effect(len(apart), max(1, tests))


def _welch(
    metric: str, first: tuple[str, SeedValues], second: tuple[str, SeedValues]
) -> tuple[str, float]:
    """Return the better gate, and Welch's p that it is."""
    samples = {gate: list(values.values()) for gate, values in (first, second)}
    means = {gate: mean_interval(values).mean for gate, values in samples.items()}
    low, high = sorted(means, key=means.__getitem__)
    if not has_direction(metric) or not means[low] < means[high]:  # level, or not a number
        return "", math.nan
    return low if lower_is_better(metric) else high, welch(samples[low], samples[high])
