"""Equivalence: whether a gate is as good as another, within a margin."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy import special

from gatelab.results.comparison.cells import common
from gatelab.results.comparison.comparison import Comparison
from gatelab.results.comparison.differences import differences
from gatelab.results.comparison.statistics import ALPHA, holm, smallest_p, standard_error


@dataclass(frozen=True)
class Equivalence:
    """Two one-sided tests that a gate's difference from a reference lies within a margin."""

    metric: str
    gate: str
    reference: str
    """The one of the two with the better mean."""
    n: int
    margin: float
    """The share of the reference's mean, as a number of the metric."""
    difference: float
    """The mean of gate - reference."""
    p: float
    p_holm: float
    """Corrected for all pairs of the family on this metric."""

    @property
    def equivalent(self) -> bool:
        """Whether the gate is as good as the reference within the margin."""
        return self.p_holm < ALPHA


def check_margin(margin: float) -> None:
    """Refuse a margin within which nothing is.

    Raises:
        ValueError: If it is not above 0 and finite.
    """
    if not 0 < margin < math.inf:
        rule = "finite" if margin == math.inf else "above 0"
        raise ValueError(f"--margin must be {rule}, but got {margin:.6g}.")


def equivalences(comparison: Comparison, metric: str, margin: float) -> list[Equivalence]:
    """Return the tests of all pairs of the family on a metric that has better and worse.

    Args:
        comparison: Of the gates.
        metric: Its key.
        margin: A share of the reference's mean: 0.01 is 1%.

    Raises:
        ValueError: If the margin is not above 0.
    """
    check_margin(margin)
    if not (direction := comparison.directions.of(metric)):
        return []
    able = comparison.values(metric)
    scores = [s for s in comparison.scores if s.metric == metric and s.gate in able]
    scores = [score for score in scores if math.isfinite(score.mean)]
    best_first = sorted(scores, key=lambda score: -direction * score.mean)
    found, family = [], comparison.family
    for reference, other in combinations(best_first, 2):
        if {reference.gate, other.gate} not in family:
            continue
        theirs, ours = common(reference.values, other.values)
        width = margin * abs(reference.mean)
        p = tost(ours, theirs, width, comparison.test_to_train)
        apart = float(differences(ours, theirs).mean()) if ours else math.nan
        found.append((other.gate, reference.gate, len(ours), width, apart, p))
    corrected = holm([p for *_, p in found])
    return [Equivalence(metric, *row, p) for row, p in zip(found, corrected, strict=True)]


def tost(
    first: Sequence[float], second: Sequence[float], margin: float, test_to_train: float = 0.0
) -> float:
    """Return the p of the two one-sided paired t-tests that means differ by less than a margin.

    It is the larger one's: that of ``difference <= -margin`` and that of ``difference >= margin``.
    NaN for fewer than 2 pairs. Differences that are all the same have no spread to measure by:
    within the margin p is that of as many equal signs, 1 / 2^n.

    Args:
        first: Of one gate.
        second: Of the other, paired.
        margin: In the values' own unit.
        test_to_train: As :func:`gatelab.results.comparison.statistics.standard_error` takes it.

    Source: Schuirmann, A Comparison of the Two One-Sided Tests Procedure and the Power Approach,
    1987.
    """
    found = differences(first, second)
    n = len(found)
    if n < 2 or not np.isfinite(found).all():
        return math.nan
    mean = float(found.mean())
    if np.ptp(found) == 0:
        return smallest_p(n) / 2 if abs(mean) < margin else 1.0
    error = standard_error(float(found.std(ddof=1)), n, test_to_train)
    return float(special.stdtr(n - 1, (abs(mean) - margin) / error))
