"""Equivalence within a margin, and tests over splits of the same rows, against others' code."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.power import TTestPower
from statsmodels.stats.weightstats import ttost_paired

from gatelab.results.comparison import compare_runs
from gatelab.results.comparison.equivalence import equivalences, tost
from gatelab.results.comparison.inference import pairwise
from gatelab.results.comparison.statistics import (
    holm,
    mean_interval,
    paired_t,
    smallest_effect,
    standard_error,
)
from gatelab.tracking.runs import RunRecord, SweepRecord

RANDOM = np.random.default_rng(0)
FIRST, SECOND = RANDOM.normal(1, 0.1, size=8), RANDOM.normal(1.02, 0.1, size=8)
LOSS = "test/loss"


@pytest.mark.parametrize("margin", [0.01, 0.05, 0.1, 0.3])
def test_tost_is_statsmodels(margin: float) -> None:
    theirs = ttost_paired(FIRST, SECOND, -margin, margin)[0]
    assert tost(FIRST.tolist(), SECOND.tolist(), margin) == pytest.approx(theirs, rel=1e-9)
    assert tost(SECOND.tolist(), FIRST.tolist(), margin) == pytest.approx(theirs, rel=1e-9)


def test_tost_by_hand_and_without_spread() -> None:
    """Differences 0 and 2: mean 1, error 1, and of one degree of freedom P(T < -2) = 0.1476."""
    assert tost([0, 2], [0, 0], 3.0) == pytest.approx(0.5 - math.atan(2) / math.pi)
    assert tost([0, 2], [0, 0], 1.0) == 0.5, "at the margin"
    assert tost([1, 2, 3], [1, 2, 3], 0.1) == 1 / 2**3
    assert tost([2, 3, 4], [1, 2, 3], 0.1) == 1.0
    assert math.isnan(tost([1], [1], 1.0))
    assert math.isnan(tost([1, math.inf], [1, 1], 1.0))


def test_the_corrected_test_by_hand() -> None:
    """Differences 1, 2 and 6: mean 3, variance 7. With test/train = 1/4, t = 3 / sqrt(7 x 7/12)."""
    t = 3 / (7 * (1 / 3 + 1 / 4)) ** 0.5
    found = paired_t([1, 2, 6], [0, 0, 0], 0.25)
    assert found.p == pytest.approx(1 - t / (2 + t * t) ** 0.5), "two degrees of freedom"
    half = stats.t.ppf(0.975, 2) * (49 / 12) ** 0.5
    assert (found.low, found.high) == pytest.approx((3 - half, 3 + half))
    assert mean_interval([1, 2, 6], test_to_train=0.25) == pytest.approx((3, 3 - half, 3 + half))
    plain = paired_t([1, 2, 6], [0, 0, 0])
    assert plain == paired_t([1, 2, 6], [0, 0, 0], 0.0) and plain.p < found.p
    assert standard_error(2.0, 4, 0.75) == 2.0
    assert tost([1, 2, 6], [0, 0, 0], 9, 0.25) == pytest.approx(
        stats.t.sf((9 - 3) / (49 / 12) ** 0.5, 2)
    )


@pytest.mark.parametrize("n", [4, 10])
def test_what_the_corrected_test_would_find(n: int) -> None:
    """As the plain one of 1 / (1/n + test/train) pairs, but with n - 1 degrees of freedom."""
    ratio = 0.25
    effect = smallest_effect(n, test_to_train=ratio)
    assert effect / (1 / n + ratio) ** 0.5 == pytest.approx(smallest_effect(n) * n**0.5)
    plain = TTestPower().solve_power(nobs=n, alpha=0.05, power=0.8)
    assert smallest_effect(n) == pytest.approx(plain, rel=1e-4)


def evaluated(losses: dict[str, dict[tuple[int, int], float]], **tags: str) -> SweepRecord:
    """Return a sweep with these losses by gate, seed and split."""
    runs = [RunRecord("s", "s", "FINISHED", {}, {}, {"stage": "sweep", "end": "finished"})]
    for gate, values in losses.items():
        for (seed, split), loss in values.items():
            found = {"stage": "evaluate", "gate": gate, "seed": str(seed), "end": "finished"}
            found |= {"split_seed": str(split), **tags}
            runs.append(RunRecord("e", "e", "FINISHED", {}, {LOSS: loss}, found))
    return SweepRecord("s", tuple(runs))


def test_over_splits_of_the_same_rows_the_corrected_test_decides() -> None:
    """Two seeds on each of three splits: by split a - b is 1, 2 and 6."""
    a = {
        (seed, split): split + (1, 2, 6)[split] + 10 * seed
        for seed in (0, 1)
        for split in (0, 1, 2)
    }
    b = {(seed, split): split + 10.0 * seed for seed in (0, 1) for split in (0, 1, 2)}
    comparison = compare_runs(evaluated({"a": a, "b": b}, test_to_train="0.25"))
    assert (comparison.splits, comparison.test_to_train) == (3, 0.25)
    score = comparison.score("a", LOSS)
    assert score is not None and score.values == {"0": 6, "1": 8, "2": 13}
    (test,) = comparison.tests
    expected = paired_t([1, 2, 6], [0, 0, 0], 0.25)
    assert (test.n, test.difference, test.p) == (3, 3, pytest.approx(expected.p))
    assert (score.low, score.high) == mean_interval([6, 8, 13], test_to_train=0.25)[1:]
    (pair,) = pairwise(comparison, LOSS)
    assert pair.p == test.p
    assert pair.smallest == pytest.approx(7**0.5 * smallest_effect(3, test_to_train=0.25))
    fresh = compare_runs(evaluated({"a": a, "b": b}))
    assert fresh.tests[0].p == pytest.approx(paired_t([1, 2, 6], [0, 0, 0]).p), "of new data"


def test_on_one_split_the_plain_test_decides_whatever_is_recorded() -> None:
    a, b = {(s, 7): s + (1.0, 2, 6)[s] for s in range(3)}, {(s, 7): float(s) for s in range(3)}
    comparison = compare_runs(evaluated({"a": a, "b": b}, test_to_train="0.25"))
    assert (comparison.splits, comparison.test_to_train) == (1, 0)
    assert comparison.tests[0].p == pytest.approx(paired_t([1, 2, 6], [0, 0, 0]).p)
    score = comparison.score("b", LOSS)
    assert score is not None and list(score.values) == ["0", "1", "2"]


def by_seed(losses: dict[str, list[float]]) -> SweepRecord:
    return evaluated({g: {(s, 0): v for s, v in enumerate(x)} for g, x in losses.items()})


def test_pairs_are_tested_against_the_better_one_and_corrected() -> None:
    losses = {"a": [1.0, 1.1, 0.9, 1.05], "b": [1.005, 1.1, 0.905, 1.05], "c": [2.0, 2.2, 1.8, 2.1]}
    found = equivalences(compare_runs(by_seed(losses)), LOSS, 0.02)
    assert [(e.gate, e.reference) for e in found] == [("b", "a"), ("c", "a"), ("c", "b")]
    assert found[0].margin == pytest.approx(0.02 * np.mean(losses["a"]))
    plain = [
        ttost_paired(np.array(losses[e.gate]), np.array(losses[e.reference]), -e.margin, e.margin)[
            0
        ]
        for e in found
    ]
    assert [e.p for e in found] == pytest.approx(plain)
    assert [e.p_holm for e in found] == pytest.approx(holm(plain))
    assert [e.equivalent for e in found] == [True, False, False]
    assert equivalences(compare_runs(by_seed(losses)), "gate/entropy", 0.02) == []


def test_other_metrics_are_no_pairs() -> None:
    record = by_seed({"a": [1.0, 1.1, 0.9], "b": [1.0, 1.2, 0.8]})
    more = [replace(run, metrics=run.metrics | {"test/mean/r2": 0.5}) for run in record.runs]
    found = equivalences(compare_runs(replace(record, runs=tuple(more))), LOSS, 0.02)
    assert found == equivalences(compare_runs(record), LOSS, 0.02)
    assert [(e.metric, e.p_holm == e.p) for e in found] == [(LOSS, True)], "one pair"


@pytest.mark.parametrize(
    ("margin", "rule"),
    [(0.0, "above 0"), (-0.1, "above 0"), (math.nan, "above 0"), (math.inf, "finite")],
)
def test_a_margin_is_above_0(margin: float, rule: str) -> None:
    with pytest.raises(ValueError, match=f"--margin must be {rule}, but got"):
        equivalences(compare_runs(by_seed({"a": [1.0]})), LOSS, margin)


def test_two_names_of_one_gate_are_hardly_ever_called_equivalent_at_the_margin() -> None:
    """At a true difference of just the margin, at most 5% may be called equivalent."""
    draws = np.random.default_rng(1).normal(size=(4_000, 5))
    called = [tost((1 + d).tolist(), [0.0] * 5, 1.0) < 0.05 for d in draws]
    assert np.mean(called) <= 0.05 + 3 * (0.05 * 0.95 / 4_000) ** 0.5
