"""Statistics against SciPy and closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from tracking.statistics import holm, mean_interval, paired_t

RANDOM = np.random.default_rng(0)
PAIRS = [(RANDOM.normal(size=n), RANDOM.normal(0.5, 2, size=n)) for n in (2, 5, 30)]


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_paired_t_is_scipys(first: np.ndarray, second: np.ndarray) -> None:
    ours = paired_t(first.tolist(), second.tolist())
    theirs = stats.ttest_rel(first, second)
    interval = theirs.confidence_interval(0.95)
    assert ours.p == pytest.approx(theirs.pvalue, rel=1e-9)
    assert (ours.low, ours.high) == pytest.approx((interval.low, interval.high), rel=1e-9)
    assert ours.difference == pytest.approx((first - second).mean())


def test_mean_interval_in_closed_form() -> None:
    # Of (1, 2, 3): mean 2, deviation 1, t(0.975, 2) = 4.30265.
    half = 4.30265 / 3**0.5
    assert mean_interval([1, 2, 3]) == pytest.approx((2, 2 - half, 2 + half), rel=1e-5)


def test_too_few_values() -> None:
    assert math.isnan(mean_interval([]).mean)
    one = mean_interval([3.0])
    assert one.mean == 3.0
    assert math.isnan(one.low)
    assert math.isnan(paired_t([1.0], [2.0]).p)
    with pytest.raises(ValueError, match="paired"):
        paired_t([1.0], [1.0, 2.0])


def test_equal_differences() -> None:
    assert paired_t([1, 2, 3], [1, 2, 3]).p == 1.0
    assert paired_t([2, 3, 4], [1, 2, 3]).p == 0.0


def test_holm_by_hand() -> None:
    # Sorted 0.01, 0.03, 0.04: 3 x 0.01, then 2 x 0.03, then at least as much as before.
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def test_holm_leaves_out_what_was_not_tested() -> None:
    corrected = holm([0.02, math.nan, 0.01])
    assert corrected[0] == pytest.approx(0.02)
    assert math.isnan(corrected[1])
    assert corrected[2] == pytest.approx(0.02)
