"""Statistics of few paired values: intervals, paired tests, and many of them at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats


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


def mean_interval(values: Sequence[float], level: float = 0.95) -> Interval:
    """Return the mean and Student's t interval; the bounds of a single value are NaN."""
    array = np.asarray(values, dtype=float)
    if len(array) == 0:
        return Interval(math.nan, math.nan, math.nan)
    mean = float(array.mean())
    if len(array) == 1:
        return Interval(mean, math.nan, math.nan)
    error = float(array.std(ddof=1)) / math.sqrt(len(array))
    half = float(stats.t.ppf((1 + level) / 2, len(array) - 1)) * error
    return Interval(mean, mean - half, mean + half)


def paired_t(first: Sequence[float], second: Sequence[float]) -> PairedTest:
    """Return Student's paired test of ``first - second``, two-sided; NaN for fewer than 2 pairs.

    Differences that are all the same have no spread to measure by: p is 1 if they are 0, else 0.

    Raises:
        ValueError: If the values are not paired.
    """
    if len(first) != len(second):
        raise ValueError(f"Values must be paired, but got {len(first)} and {len(second)}.")
    differences = np.asarray(first, dtype=float) - np.asarray(second, dtype=float)
    mean, low, high = mean_interval(differences.tolist())
    if len(differences) < 2 or math.isnan(mean):
        return PairedTest(mean, low, high, math.nan)
    spread = float(differences.std(ddof=1))
    if spread <= 1e-12 * max(1.0, abs(mean)):
        return PairedTest(mean, low, high, 1.0 if abs(mean) <= 1e-12 else 0.0)
    t = mean / (spread / math.sqrt(len(differences)))
    return PairedTest(mean, low, high, float(2 * stats.t.sf(abs(t), len(differences) - 1)))


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
