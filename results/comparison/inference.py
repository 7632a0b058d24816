"""Inference on one metric: what can be said of every pair of gates, and what never could be."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import combinations

from gatelab.registry import near_misses
from gatelab.results.comparison.cells import UnitValues, common
from gatelab.results.comparison.comparison import Comparison
from gatelab.results.comparison.differences import RESOLUTION, Array, deviation, differences
from gatelab.results.comparison.scores import Test, paired_tests
from gatelab.results.comparison.statistics import (
    bca_interval,
    holm,
    mean_interval,
    sign_flips,
    smallest_effect,
    welch,
    wilcoxon,
)
from gatelab.results.comparison.subjects import Family


@dataclass(frozen=True)
class Pair(Test):
    """Two gates on one metric, in all that can be said of them; NaN where there is no test."""

    bca_low: float
    """Of the difference's 95% interval by the BCa bootstrap, as ``bca_high``."""
    bca_high: float
    smallest: float
    """The true difference that the t-test would show in 4 of 5 repetitions."""
    better: str
    """The gate with the better mean over all its units; empty if neither."""
    p_welch: float
    """One-sided, that the better gate is better; not paired, not corrected."""
    p_wilcoxon: float
    p_permutation: float
    p_wilcoxon_holm: float = math.nan
    """Corrected as the other."""
    p_permutation_holm: float = math.nan


def pairwise(comparison: Comparison, metric: str) -> list[Pair]:
    """Return all that can be said of every pair of gates on a metric.

    Raises:
        LookupError: If no gate has the metric.
    """
    check_metric(comparison, metric)
    values = comparison.values(metric)
    count = testable(comparison, metric)
    direction = comparison.directions.of(metric)
    share = comparison.test_to_train
    family = comparison.family
    tests = paired_tests(metric, values, family, share)
    return _corrected([_pair(t, values, direction, count, share) for t in tests], family)


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
    """Return how many pairs of the family have two units or more in common, and all finite."""
    values, family = comparison.values(metric), comparison.family
    pairs = [pair for pair in combinations(values, 2) if frozenset(pair) in family]
    spreads = [deviation(_apart(values[first], values[second])) for first, second in pairs]
    return sum(not math.isnan(spread) for spread in spreads)


def smallest_difference(comparison: Comparison, metric: str, first: str, second: str) -> float:
    """Return the true difference of two gates that these units would show in 4 of 5 repetitions.

    It follows from the spread of the differences; NaN where there is none.
    """
    values, tests = comparison.values(metric), testable(comparison, metric)
    return _smallest(_apart(values[first], values[second]), tests, comparison.test_to_train)


def _pair(
    test: Test, values: Mapping[str, UnitValues], direction: int, tests: int, share: float
) -> Pair:
    first, second = values[test.first], values[test.second]
    ours, theirs = common(first, second)
    apart = differences(ours, theirs)
    better, p_welch = _welch(direction, (test.first, first), (test.second, second))
    interval = bca_interval(apart)
    return Pair(
        **asdict(test),
        bca_low=interval.low,
        bca_high=interval.high,
        smallest=_smallest(apart, tests, share),
        better=better,
        p_welch=p_welch,
        p_wilcoxon=wilcoxon(ours, theirs),
        p_permutation=sign_flips(ours, theirs),
    )


def _corrected(pairs: Sequence[Pair], family: Family) -> list[Pair]:
    asked = [{pair.first, pair.second} in family for pair in pairs]
    ranks, flips = (
        holm([p if of_it else math.nan for p, of_it in zip(ps, asked, strict=True)])
        for ps in ([p.p_wilcoxon for p in pairs], [p.p_permutation for p in pairs])
    )
    return [
        replace(pair, p_wilcoxon_holm=by_ranks, p_permutation_holm=by_flips)
        for pair, by_ranks, by_flips in zip(pairs, ranks, flips, strict=True)
    ]


def _apart(first: UnitValues, second: UnitValues) -> Array:
    return differences(*common(first, second))


def _smallest(apart: Array, tests: int, share: float) -> float:
    if not (spread := deviation(apart)) > 0:
        return math.nan
    return spread * smallest_effect(len(apart), max(1, tests), test_to_train=share)


def _welch(
    direction: int, first: tuple[str, UnitValues], second: tuple[str, UnitValues]
) -> tuple[str, float]:
    """Return the better gate, and Welch's p that it is."""
    samples = {gate: list(values.values()) for gate, values in (first, second)}
    means = {gate: mean_interval(values).mean for gate, values in samples.items()}
    low, high = sorted(means, key=means.__getitem__)
    level = math.isclose(means[low], means[high], rel_tol=RESOLUTION)
    if not direction or level or not means[low] < means[high]:  # the last: not a number
        return "", math.nan
    return low if direction < 0 else high, welch(samples[low], samples[high])
