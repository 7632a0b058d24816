"""Scores of gates, and the tests of pairs of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

from gatelab.results.comparison.cells import UnitValues, common
from gatelab.results.comparison.statistics import ALPHA, holm, paired_t
from gatelab.results.comparison.subjects import Family


@dataclass(frozen=True)
class Score:
    """A metric of one gate over the units of a comparison: seeds, splits or repeats."""

    gate: str
    metric: str
    n: int
    mean: float
    low: float
    """Of the 95% interval, as ``high``; NaN with one unit."""
    high: float
    values: UnitValues
    """By unit: by seed, by split, or by search seed and repeat."""


@dataclass(frozen=True)
class Test:
    """A paired t-test between two gates on one metric."""

    __test__ = False  # no test class of pytest's

    metric: str
    first: str
    second: str
    n: int
    """Units that both have; with none there is no test, and everything else is NaN."""
    difference: float
    """The mean of first - second, over the searches and splits that both have."""
    low: float
    high: float
    p: float
    p_holm: float
    """Corrected for all pairs of the family on this metric; NaN for a pair that is not of it."""

    @property
    def significant(self) -> bool:
        """Whether the corrected p-value is under 0.05."""
        return self.p_holm < ALPHA

    def other(self, gate: str) -> str:
        """Return which gate this one is tested against."""
        return self.second if gate == self.first else self.first

    def lead(self, gate: str) -> float:
        """Return the mean difference as one of the gates sees it: its own minus the other's."""
        return self.difference if gate == self.first else -self.difference


def paired_tests(
    metric: str,
    values: Mapping[str, UnitValues],
    family: Family,
    test_to_train: float = 0.0,
) -> list[Test]:
    """Return the test of every pair of gates on a metric, given by gate and unit."""
    found = []
    for first, second in combinations(values, 2):
        ours, theirs = common(values[first], values[second])
        found.append((first, second, len(ours), paired_t(ours, theirs, test_to_train)))
    corrected = holm(
        [result.p if {first, second} in family else math.nan for first, second, _, result in found]
    )
    return [
        Test(metric, first, second, n, *result, p_holm)
        for (first, second, n, result), p_holm in zip(found, corrected, strict=True)
    ]
