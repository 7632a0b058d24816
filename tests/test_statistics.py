"""Statistics against SciPy, statsmodels and closed forms."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.power import TTestPower

from gatelab.results.comparison.differences import deviation, differences, levelled
from gatelab.results.comparison.statistics import (
    bca_interval,
    holm,
    mean_interval,
    paired_t,
    sign_flips,
    smallest_effect,
    smallest_p,
    welch,
    wilcoxon,
)

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
    assert np.mean([0.1] * 3) != 0.1, "in floating point it is not"
    assert mean_interval([0.1] * 3) == (0.1, 0.1, 0.1)


def test_too_few_values() -> None:
    assert math.isnan(mean_interval([]).mean)
    one = mean_interval([3.0])
    assert one.mean == 3.0
    assert math.isnan(one.low)
    assert math.isnan(paired_t([1.0], [2.0]).p)
    assert math.isnan(paired_t([], []).difference)
    with pytest.raises(ValueError, match="paired"):
        paired_t([1.0], [1.0, 2.0])


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_what_is_not_finite_is_not_tested(bad: float) -> None:
    """Without a warning either, which would fail here."""
    assert math.isnan(paired_t([1.0, bad, 2.0], [1.0, 2.0, 4.0]).p)
    assert math.isnan(paired_t([bad, bad], [bad, bad]).p)
    for test in (wilcoxon, sign_flips):
        assert math.isnan(test([1.0, bad, 2.0], [0.0] * 3))
    assert math.isnan(bca_interval([1.0, bad]).low)
    assert math.isnan(welch([1.0, bad], [1.0, 2.0]))


def test_differences_without_spread() -> None:
    assert paired_t([1, 2, 3], [1, 2, 3]).p == 1.0
    same = [(0.2, 0.1), (0.3, 0.2), (0.4, 0.3), (0.5, 0.4), (0.6, 0.5)]
    first, second = zip(*same, strict=True)
    assert np.ptp(np.subtract(first, second)) > 0, "in floating point they are not the same"
    assert paired_t(first, second).p == 2 / 2**5 == sign_flips(first, second)


def test_single_precision_is_no_difference() -> None:
    counts = np.array([951, 940, 962, 955, 948])
    first, second = (c.astype(np.float32) / np.float32(1000) for c in (counts, counts - 7))
    ours, theirs = first.astype(float).tolist(), second.astype(float).tolist()
    assert stats.ttest_rel(ours, theirs).pvalue < 1e-20, "which is rounding, not evidence"
    assert paired_t(ours, theirs).p == 2 / 2**5
    assert differences([1.0, 2.0], [1.0 + 1e-8, 2.0 - 1e-8]).tolist() == [0.0, 0.0]
    assert differences([1.0, 2.0], [1.0 + 1e-8, 2.0 + 3e-8]).tolist() == [0.0, 0.0]


def test_values_are_level_by_the_larger_ones_unit() -> None:
    """And with the least of those that they are level with, so that no chain of them is one."""
    units = np.array([0.1, 0.6, 0.1, 0.1])
    assert levelled([1.0, 1.5, 1.65, 1.7], units).tolist() == [1.0, 1.0, 1.65, 1.65]
    assert levelled([1.5, 1.0], units[[1, 0]]).tolist() == [1.0, 1.0]


def test_bca_is_scipys_and_leans_with_the_data() -> None:
    values = [0.1, 0.2, 0.15, 0.12, 0.9]
    ours = bca_interval(values, seed=3)
    theirs = stats.bootstrap(
        (values,), np.mean, n_resamples=9999, method="BCa", rng=np.random.default_rng(3)
    ).confidence_interval
    assert (ours.low, ours.high) == (theirs.low, theirs.high)
    assert ours.high - ours.mean > ours.mean - ours.low
    assert bca_interval(values) == bca_interval(values), "seeded"


def test_bca_of_many_values_is_the_normal_interval() -> None:
    values = np.random.default_rng(1).normal(size=400)
    half = 1.96 * values.std(ddof=1) / 20
    ours = bca_interval(values)
    assert (ours.low, ours.high) == pytest.approx((ours.mean - half, ours.mean + half), abs=0.01)


def test_bca_without_spread_or_values() -> None:
    assert bca_interval([0.5, 0.5, 0.5]) == (0.5, 0.5, 0.5)
    assert math.isnan(bca_interval([0.5]).low)
    assert math.isnan(bca_interval([]).mean)


@pytest.mark.parametrize("n", [1, 2, 5, 8])
def test_sign_flips_count_every_choice(n: int) -> None:
    values = np.random.default_rng(n).normal(0.3, 1, size=n)
    sums = [abs(np.dot(signs, values)) for signs in product([-1, 1], repeat=n)]
    assert sign_flips(values, 0 * values) == np.mean(np.array(sums) >= abs(values.sum()) - 1e-12)


def test_sign_flips_of_no_difference_on_average() -> None:
    """Every choice of signs is as far from 0 where all differences are 0, or add up to it."""
    assert sign_flips([1.0, 2.0, 3.0], [1.0, 2.0, 3.0]) == 1
    assert sign_flips([1.0, 2.0, 0.0], [0.0, 0.0, 3.0]) == 1


@pytest.mark.parametrize("n", [5, 9])
def test_sign_flips_are_scipys(n: int) -> None:
    values = np.random.default_rng(n).normal(0.4, 1, size=n).round(1)  # with ties
    theirs = stats.permutation_test((values,), np.mean, permutation_type="samples")
    assert sign_flips(values, 0 * values) == pytest.approx(theirs.pvalue)


def test_up_to_16_pairs_every_flip_is_counted() -> None:
    """All signs alike are 2 of 2^16, which draws may be more often or not at all."""
    assert sign_flips(np.arange(1.0, 17), np.zeros(16)) == 2 / 2**16


def test_many_sign_flips_are_drawn() -> None:
    values = np.random.default_rng(0).normal(0.4, 1, size=30)
    assert sign_flips(values, 0 * values) == pytest.approx(
        stats.ttest_1samp(values, 0).pvalue, abs=0.01
    )
    # Never 0: of 2^16 that are drawn none is all alike, and what was observed counts as one more.
    assert sign_flips(np.ones(40), np.zeros(40)) == 1 / (2**16 + 1)


def test_smallest_p_is_reached() -> None:
    for n in (2, 5, 7):
        values = np.arange(1.0, n + 1)
        none = np.zeros(n)
        assert sign_flips(values, none) == wilcoxon(values, none) == smallest_p(n) == 2 / 2**n
    assert smallest_p(0) == 1


def test_wilcoxon_is_exact_with_ties_and_zeros() -> None:
    assert wilcoxon([0.0, 0.0, 0.0], [0.0, 0.0, 0.0]) == 1.0
    # Ranks of the tied four are 2.5 each: every sign equal is 2 of 16.
    assert wilcoxon([1.0, 1.0, 1.0, 1.0, 0.0], [0.0] * 5) == pytest.approx(2 / 16)
    assert math.isnan(wilcoxon([], []))


@pytest.mark.parametrize("kind", [np.float64, np.float32])
@pytest.mark.parametrize("rows", [199, 200, 353])
def test_ranks_and_flips_of_accuracies_are_those_of_counts(kind: type, rows: int) -> None:
    """Differences of 2 rows are level, though as accuracies they are so but for rounding.

    Of 0, 2, -4, -4, -2, -2, -4, -2, 1, 0 the sizes rank 1 (one), 3.5 (four) and 7 (three). The
    positive ones have 3.5 + 1 = 4.5 of 36. No more have 10 of the 256 choices of signs: none, the
    one, and each of the four with it or without; as many have 31.5 and more.
    """
    counts = np.array([194, 189, 190, 186, 190, 190, 187, 191, 192, 192])
    others = np.array([194, 187, 194, 190, 192, 192, 191, 193, 191, 192])
    first, second = ((c.astype(kind) / kind(rows)).astype(float) for c in (counts, others))
    assert len(set(abs(first - second)[counts != others])) > 3, "in floating point they differ"
    by_counts = stats.wilcoxon(counts - others).pvalue
    assert wilcoxon(first, second) == by_counts == 20 / 256
    flips = stats.permutation_test(
        ((counts - others).astype(float),), np.mean, permutation_type="samples"
    )
    assert sign_flips(first, second) == pytest.approx(flips.pvalue)


def test_one_large_value_hides_no_other_difference() -> None:
    """One seed diverged, at 100,000: the others' differences are of 0.1 and stay what they are."""
    first = [0.1 + 0.001 * i for i in range(9)] + [1e5]
    second = [x + 0.05 + 0.001 * i for i, x in enumerate(first[:9])] + [0.168]
    apart = [-0.05 - 0.001 * i for i in range(9)] + [1e5 - 0.168]
    assert differences(first, second).tolist() == pytest.approx(apart)
    assert wilcoxon(first, second) == stats.wilcoxon(apart).pvalue == pytest.approx(0.083984375)
    both = [*first[:9], 1e5 + 0.03]
    assert differences(first, [*second[:9], both[9]]).tolist() == pytest.approx([*apart[:9], 0])
    # The flip of the large one's sign is all that the others' could be as far with: 2 of 2^9.
    assert sign_flips([*second[:9], 1e5], both) == pytest.approx(2 / 2**9)


def test_what_a_large_value_cannot_contradict_is_the_same() -> None:
    """Within a thousandth of 1,000 a difference of 0.0004 may lie, as all the others are."""
    first, second = [1e-3, 2e-3, 3e-3, 1e3], [1.4e-3, 2.4e-3, 3.4e-3, 1e3]
    assert differences(first, second).tolist() == pytest.approx([-4e-4] * 4, abs=1e-9)
    assert paired_t(first, second).p == 2 / 2**4


def test_deviation_of_what_is_level_is_none() -> None:
    assert np.std([0.1] * 3, ddof=1) > 0, "in floating point there is some"
    assert deviation([0.1] * 3) == 0 == deviation([0.1, 0.1 * (1 + 9e-7)])
    assert deviation([0.1, 0.1 * (1 + 2e-6)]) == pytest.approx(2e-7 / 2**0.5, rel=1e-4)
    assert deviation([1, 2, 3]) == 1
    assert all(math.isnan(deviation(few)) for few in ([], [1.0], [1.0, math.inf]))


def test_welch_is_scipys() -> None:
    first, second = PAIRS[1]
    theirs = stats.ttest_ind(first, second, equal_var=False, alternative="less")
    assert welch(first, second) == pytest.approx(theirs.pvalue, rel=1e-9)
    assert welch(first, second) + welch(second, first) == pytest.approx(1)
    assert welch([1.0, 1.0], [2.0, 3.0]) < 0.5
    for same in (1.0, 0.1):  # of three times 0.1 the deviation is 2e-17 in floating point
        assert math.isnan(welch([same] * 3, [2 * same] * 3))
    assert math.isnan(welch([1.0], [2.0, 2.5]))


def test_holm_by_hand() -> None:
    # Sorted 0.01, 0.03, 0.04: 3 x 0.01, then 2 x 0.03, then at least as much as before.
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert holm([0.6, 0.9]) == [1.0, 1.0], "no more than certain"
    assert holm([]) == []


def test_holm_leaves_out_what_was_not_tested() -> None:
    corrected = holm([0.02, math.nan, 0.01])
    assert corrected[0] == pytest.approx(0.02)
    assert math.isnan(corrected[1])
    assert corrected[2] == pytest.approx(0.02)


@pytest.mark.parametrize(("n", "tests"), [(3, 1), (5, 1), (5, 3), (10, 3), (30, 120)])
def test_smallest_effect_is_statsmodels(n: int, tests: int) -> None:
    """Theirs counts a finding in the wrong direction too, which hardly ever happens."""
    ours = smallest_effect(n, tests)
    assert TTestPower().power(ours, n, 0.05 / tests) == pytest.approx(0.8, abs=1e-5)


def test_smallest_effect_by_simulation() -> None:
    effect = smallest_effect(5, 3)
    values = np.random.default_rng(0).normal(effect, 1, size=(20_000, 5))
    found = stats.ttest_1samp(values, 0, axis=1).pvalue < 0.05 / 3
    assert found.mean() == pytest.approx(0.8, abs=0.012)  # four standard errors


def test_smallest_effect_of_too_few_and_of_two() -> None:
    assert math.isnan(smallest_effect(1))
    # With 2 pairs Student's t is Cauchy's: hardly anything can be shown.
    assert 11 < smallest_effect(2) < 12
    assert smallest_effect(2, 120) > 1000


def test_differences_within_a_resolution_of_each_other_are_the_same_by_hand() -> None:
    """The larger number of a pair says what its resolution is: of 1000 and 1 it is 0.001."""
    first = [1000.0, 1000.0]
    for second in ([1.0, 1.0009], [-1.0, -1.0009]):
        apart = differences(first, second)
        assert apart[0] == apart[1] == pytest.approx(1000 - (second[0] + second[1]) / 2, abs=1e-9)
        assert differences(second, first).tolist() == (-apart).tolist()
        further = [second[0], second[1] + math.copysign(2e-4, second[1])]
        assert differences(first, further).tolist() == pytest.approx(
            [1000 - further[0], 1000 - further[1]], abs=1e-9
        )
