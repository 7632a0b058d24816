"""Statistics of few paired values: intervals, tests, and many of them at once."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import special

from gatelab.results.comparison.differences import (
    Array,
    deviation,
    differences,
    levelled,
    resolution,
)

ALPHA = 0.05
"""Under it a p-value is significant."""
RESAMPLES = 9_999
MOST_EXACT = 16
"""Up to so many pairs every flip of signs is counted, above that as many are drawn."""


class Interval(NamedTuple):
    """A mean and the bounds that hold it."""

    mean: float
    low: float
    high: float


class PairedTest(NamedTuple):
    """A mean difference, its 95% interval, and the p-value of there being none."""

    difference: float
    low: float
    high: float
    p: float


def standard_error(deviation: float, n: int, test_to_train: float = 0.0) -> float:
    """Return the standard error of a mean of n values, ``deviation x sqrt(1/n + test/train)``.

    With ``test_to_train = 0`` it is the plain one, of independent values. Scores on random splits
    of the same rows are not: their training rows overlap, and so the plain error is too small.

    Args:
        deviation: Of the values, with n - 1 in the denominator.
        n: How many there are.
        test_to_train: Rows of the test split over those of the train split, 0 or more.

    Source: Nadeau and Bengio, Inference for the Generalization Error, Machine Learning 2003,
    the corrected resampled t-test.
    """
    return deviation * math.sqrt(1 / n + test_to_train)


def mean_interval(
    values: Sequence[float] | Array, level: float = 0.95, test_to_train: float = 0.0
) -> Interval:
    """Return the mean and Student's t interval; the bounds of a single value are NaN.

    Args:
        values: The sample.
        level: How much of the distribution lies between the bounds.
        test_to_train: As :func:`standard_error` takes it.
    """
    array = np.asarray(values, dtype=float)
    if len(array) == 0:
        return Interval(math.nan, math.nan, math.nan)
    with np.errstate(all="ignore"):  # what is not finite stays so
        mean, error = float(array.mean()), math.nan
        if len(array) > 1:
            error = standard_error(float(array.std(ddof=1)), len(array), test_to_train)
    if len(array) > 1 and (array == array[0]).all():
        mean, error = float(array[0]), 0.0
    half = float(special.stdtrit(len(array) - 1, (1 + level) / 2)) * error
    return Interval(mean, mean - half, mean + half)


def paired_t(
    first: Sequence[float], second: Sequence[float], test_to_train: float = 0.0
) -> PairedTest:
    """Return Student's paired test of ``first - second``, two-sided; NaN for fewer than 2 pairs.

    With ``test_to_train``, as :func:`standard_error` takes it, it is the corrected resampled test.

    Differences that are all the same have no spread to measure by: p is 1 if they are 0, else that
    of the sign flips, 2 / 2^n. (Few coarse values, such as accuracies, are often so by chance.)

    Raises:
        ValueError: If the values are not paired.
    """
    found = differences(first, second)
    mean, low, high = mean_interval(found, test_to_train=test_to_train)
    n = len(found)
    if n < 2 or not math.isfinite(mean):
        return PairedTest(mean, low, high, math.nan)
    if np.ptp(found) == 0:
        return PairedTest(mean, low, high, 1.0 if mean == 0 else smallest_p(n))
    t = mean / standard_error(float(found.std(ddof=1)), n, test_to_train)
    return PairedTest(mean, low, high, float(2 * special.stdtr(n - 1, -abs(t))))


def bca_interval(values: Sequence[float] | Array, level: float = 0.95, seed: int = 0) -> Interval:
    """Return the mean and its bias-corrected and accelerated bootstrap interval.

    The bounds are NaN for fewer than 2 values, and the value itself where all are the same.

    Source: Efron, Better Bootstrap Confidence Intervals, 1987; SciPy's.
    """
    array = np.asarray(values, dtype=float)
    mean = mean_interval(array).mean
    if len(array) < 2 or not np.isfinite(array).all():
        return Interval(mean, math.nan, math.nan)
    if np.ptp(array) == 0:
        return Interval(mean, mean, mean)
    from scipy import stats  # here: it takes half a second to import

    low, high = stats.bootstrap(
        (array,),
        np.mean,
        confidence_level=level,
        n_resamples=RESAMPLES,
        method="BCa",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return Interval(mean, float(low), float(high))


def wilcoxon(first: Sequence[float] | Array, second: Sequence[float] | Array) -> float:
    """Return the two-sided p of the signed-rank test, exact for few pairs; 1 without a difference.

    Differences whose sizes single precision cannot tell apart share the mean of their ranks.

    Raises:
        ValueError: If the values are not paired.

    Source: Wilcoxon, Individual Comparisons by Ranking Methods, 1945; SciPy's.
    """
    found, units = differences(first, second), resolution(first, second)
    if len(found) == 0 or not np.isfinite(found).all():
        return math.nan
    from scipy import stats  # here: it takes half a second to import

    apart, units = found[found != 0], units[found != 0]
    ranked = np.sign(apart) * levelled(abs(apart), units)
    return float(stats.wilcoxon(ranked).pvalue) if len(ranked) else 1.0


def sign_flips(first: Sequence[float] | Array, second: Sequence[float] | Array) -> float:
    """Return the two-sided p of the paired permutation test on the mean difference.

    It is the share of all 2^n choices of signs whose mean is at least as far from 0, or nearer by
    no more than single precision cannot tell in what they flip. SciPy's gives the same of exact
    values at a hundred times the cost.

    Raises:
        ValueError: If the values are not paired.

    Source: Fisher, The Design of Experiments, 1935.
    """
    found, units = differences(first, second), resolution(first, second)
    if len(found) == 0 or not np.isfinite(found).all():
        return math.nan
    ahead = found * np.sign(found.sum()) - np.where(found == 0, 0.0, units)
    least = ahead.sum() - 1e-9 * abs(found).sum()  # sums in another order differ in rounding
    as_far = abs(_signs(len(found)) @ ahead) >= least
    if len(found) <= MOST_EXACT:
        return float(as_far.mean())
    return float((as_far.sum() + 1) / (len(as_far) + 1))


@functools.lru_cache(maxsize=4)
def _signs(n: int) -> Array:
    """Return choices of n signs, a row each: all of them, or as many drawn."""
    if n > MOST_EXACT:
        bits = np.random.default_rng(0).integers(0, 2, (2**MOST_EXACT, n))
    else:
        bits = np.arange(2**n)[:, None] >> np.arange(n) & 1
    return (1 - 2 * bits).astype(np.float64)


def smallest_p(n: int) -> float:
    """Return the smallest two-sided p that ranks or signs of so many pairs can give."""
    return min(1.0, 2.0 ** (1 - n))


def welch(lower: Sequence[float] | Array, higher: Sequence[float] | Array) -> float:
    """Return Welch's one-sided p that the first mean is the lower; NaN where there is no spread.

    Source: Welch, The Generalization of Student's Problem, 1947; SciPy's.
    """
    samples = [np.asarray(values, dtype=float) for values in (lower, higher)]
    if min(map(len, samples)) < 2 or not all(np.isfinite(s).all() for s in samples):
        return math.nan
    (m1, s1, n1), (m2, s2, n2) = ((s.mean(), deviation(s), len(s)) for s in samples)
    if s1 == s2 == 0:
        return math.nan
    from scipy import stats  # here: it takes half a second to import

    test = stats.ttest_ind_from_stats(m1, s1, n1, m2, s2, n2, equal_var=False, alternative="less")
    return float(test.pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return the p-values corrected for being several; NaN stays so, and does not count.

    Source: Holm, A Simple Sequentially Rejective Multiple Test Procedure, 1979.
    """
    corrected = [math.nan] * len(p_values)
    order = sorted((p, i) for i, p in enumerate(p_values) if not math.isnan(p))
    largest = 0.0
    for rank, (p, index) in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - rank) * p))
        corrected[index] = largest
    return corrected


@functools.lru_cache(maxsize=256)
def smallest_effect(
    n: int, tests: int = 1, power: float = 0.8, test_to_train: float = 0.0
) -> float:
    """Return the true difference that a paired t-test of n pairs would show with this power.

    In standard deviations of the differences; NaN for fewer than 2 pairs. A test shows it if its
    two-sided p is under 0.05 after Bonferroni's correction for so many tests (Holm's is never
    less powerful) and the difference has its true sign.

    Source: P(T > t) = power, where T is noncentral t with n - 1 degrees of freedom, shifted by
    effect x sqrt(n), or effect / sqrt(1/n + test/train) of the corrected resampled test.
    """
    if n < 2:
        return math.nan
    critical = float(-special.stdtrit(n - 1, ALPHA / tests / 2))

    def lack(effect: float) -> float:
        shift = effect / standard_error(1.0, n, test_to_train)
        return 1 - float(special.nctdtr(n - 1, shift, critical)) - power

    high = 1.0
    while lack(high) < 0:
        high *= 2
    low = 0.0
    # By halves: SciPy's roots take a third of a second to import.
    while low < (middle := (low + high) / 2) < high:
        low, high = (middle, high) if lack(middle) < 0 else (low, middle)
    return high
