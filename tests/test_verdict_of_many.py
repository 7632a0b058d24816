"""The verdict on many gates, on several baselines, and on gates that have few seeds in common."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from compared import HIGH, LOSS, LOW, MIDDLE, ROUGH, compared
from scipy import stats

from gatelab.results.comparison import compare_runs
from gatelab.results.comparison.inference import smallest_difference
from gatelab.results.comparison.verdict import leading, sentences
from gatelab.tracking.runs import SweepRecord
from tests.recorded_losses import run
from tests.recorded_scores import recorded

HOLM = "After Holm's correction its difference from"


def apart(by: float, gate: int) -> list[float]:
    """Return losses higher than ``LOW`` by so much, but for a spread of the gate's own."""
    return [x + by + 0.001 * i * gate for i, x in enumerate(LOW)]


@pytest.mark.parametrize(
    ("others", "whom"), [(5, "g1, g2, g3, g4 and g5"), (6, "6 others")], ids=["five", "six"]
)
def test_of_the_undecided_five_are_named_and_more_are_counted(others: int, whom: str) -> None:
    draws = np.random.default_rng(0).normal(0.5, 0.1, (others + 1, 4))
    draws += np.arange(others + 1)[:, None] / 100 - draws.mean(1, keepdims=True)
    said = sentences(compared({f"g{gate}": row.tolist() for gate, row in enumerate(draws)}))
    assert said[0] == f"Undecided: g0's test loss is not significantly lower than that of {whom}."


def test_of_many_those_that_cannot_be_tested_are_named_once() -> None:
    losses = {"a": LOW, **{gate: apart(0.1, i) for i, gate in enumerate("bcdef", 1)}}
    few = sentences(compared(losses))
    assert not any(line.startswith(HOLM) for line in few), "five have a sentence of their own"
    assert sum("after Holm's correction." in line for line in few) == 5
    said = sentences(compared({**losses, "g": [0.3, math.nan, 0.3, 0.2]}))
    assert [line for line in said if line.startswith(HOLM)] == [
        f"{HOLM} b, c, d, e and f is significant.",
        f"{HOLM} g cannot be tested.",
    ]


def test_of_many_the_least_and_the_greatest_difference_are_told_that_are_found() -> None:
    comparison = compared({"a": LOW, **{gate: apart(0.1, i) for i, gate in enumerate("bcdefg", 1)}})
    least = {gate: smallest_difference(comparison, LOSS, "a", gate) for gate in "bcdefg"}
    assert sorted(least, key=lambda gate: least[gate]) == [*"bcdefg"], "as their spreads are"
    assert any(
        f" must be {least['b']:.2g} (from b) to {least['g']:.2g} (from g) to be found " in line
        for line in sentences(comparison)
    )


def test_of_two_baselines_that_beat_every_gate_the_better_one_is_named() -> None:
    said = sentences(compared({"top_k": HIGH, "single": MIDDLE, "random_k": LOW}))
    assert said[0] == "No gate wins: the baseline random_k has a significantly lower test loss."
    assert not any("better than the baseline" in line for line in said), "it is said already"


def test_a_baseline_may_have_the_highest_score() -> None:
    metric = "test/mean/r2"
    said = sentences(compared({"top_k": LOW, "random_k": ROUGH}, metric=metric), metric)
    assert said[0] == "No gate wins: the baseline random_k has the highest test mean/r2."


def test_of_several_that_are_as_good_each_is_named() -> None:
    near = {"b": apart(0.001, 1), "c": apart(0.001, 2)}
    said = sentences(compared({"a": LOW, **near}), margin=0.5)
    assert any(line.startswith("b and c are as good as a within 50%: ") for line in said)
    losses = {"a": LOW, "b": ROUGH, "single": ROUGH[::-1], "random_k": [*ROUGH[2:], *ROUGH[:2]]}
    assert "a is not significantly better than the baselines single and random_k." in sentences(
        compared(losses)
    )


def test_a_baseline_that_is_better_is_said_where_gates_are_alike() -> None:
    """Of a gate without a number no baseline is known to be better, so that none has won."""
    near = {"a": MIDDLE, "b": [x + 0.001 * i for i, x in enumerate(MIDDLE)]}
    said = sentences(compared({**near, "c": [math.nan] * 4, "single": LOW}), margin=0.5)
    assert said[0].startswith("b is as good as a within 50%: ")
    assert said[1] == "a is not significantly better than the baseline single."


def test_what_is_not_finite_has_no_best() -> None:
    found = compared({"a": [math.nan] * 4, "b": [math.nan] * 4})
    line = "No gate has a test loss, so there is nothing to compare by it."
    assert sentences(found) == leading(found) == [line]


def test_a_margin_is_refused_before_anything_is_said() -> None:
    with pytest.raises(ValueError, match="--margin must be above 0"):
        sentences(compared({"a": [], "b": []}), margin=-1.0)


def test_a_gate_that_failed_is_said_where_others_still_wait() -> None:
    failed = run("gate", "a", "failed", end_reason="no trial finished: boom")
    runs = (run("sweep", end=""), failed, run("gate", "b", end=""))
    said = sentences(compare_runs(SweepRecord("s", runs)))
    assert said == [
        "No gate has a test loss, so there is nothing to compare by it.",
        "a has no score: no trial finished: boom.",
        "b has no score: not evaluated yet.",
    ]


def test_evaluations_that_failed_without_a_word_are_counted() -> None:
    *others, last = recorded([("a", 0, split, 0, {LOSS: 1.0}) for split in range(3)]).runs
    failed = replace(last, tags={**last.tags, "end": "failed"})
    said = sentences(compare_runs(SweepRecord("s", (*others, failed))))
    assert "a is scored on the 2 of 3 evaluations that did not fail." in said


@pytest.mark.parametrize("gaps", [(0.4, 0.41, 0.43), (0.4, 0.45, 0.35)], ids=["tiny", "small"])
def test_the_best_mean_may_have_little_chance_over_what_two_share(gaps: Sequence[float]) -> None:
    """A seed that the other has not makes it the best one: the chance is of the three others."""
    said = sentences(compared({"a": [0.1 + gap for gap in gaps] + [-5.0], "b": [0.1] * 3}))
    chance = float(stats.ttest_1samp(gaps, 0, alternative="greater").pvalue)
    words = "< 0.001" if chance < 0.001 else f"= {chance:.3f}"
    (line,) = (line for line in said if line.startswith("P("))
    assert line.startswith(f"P(a better than b) {words} (")
    assert said[0].startswith("b wins: "), "over the seeds that both have"


def test_two_may_be_level_over_the_seeds_that_they_share() -> None:
    said = sentences(compared({"a": [0.1, 0.2, 0.3, 0.0], "b": [0.2, 0.1, 0.3]}))
    half = stats.t.ppf(0.975, 2) * stats.sem([-0.1, 0.1, 0.0])
    assert said[-1].startswith(
        f"b's is level on average (95% interval {-half:.3g} to {half:.3g}, over the 3 seeds that "
        "both have): not significant, p = 1 "
    )


def test_ranks_decide_by_the_pair_that_has_most_seeds() -> None:
    """Of 7 seeds the smallest p is 2 / 2^7, of three pairs 0.047."""
    seven = np.random.default_rng(0).normal(0.5, 0.1, (2, 7)).tolist()
    never = "can never be significant"
    losses = {"a": seven[0], "b": seven[1], "c": [0.4, 0.6, 0.5]}
    assert not any(never in line for line in sentences(compared(losses)))
    fewer = {gate: values[:6] for gate, values in losses.items()}
    assert any(never in line for line in sentences(compared(fewer)))


def test_the_variance_is_of_the_splits_that_have_the_metric() -> None:
    """Gates a and b have a loss on three splits and an accuracy on two, c has one split."""
    places = [("a", 3), ("b", 3), ("c", 1)]
    rows = [
        (gate, 0, split, 0, {LOSS: split + place, **({"test/mean/f1": 0.5} if split < 2 else {})})
        for place, (gate, splits) in enumerate(places)
        for split in range(splits)
    ]
    said = sentences(compare_runs(recorded(rows, test_to_train="0.25")))
    (line,) = (line for line in said if "corrected resampled" in line)
    assert line.endswith("(variance x (1/3 + 0.25)).")


def test_on_one_split_repeats_are_not_said_to_be_on_the_same_ones() -> None:
    rows = [(gate, repeat, 0, 0, {LOSS: float(repeat)}) for gate in "ab" for repeat in range(3)]
    assert "The repeat is the unit of the t-test." in sentences(compare_runs(recorded(rows)))
