"""Units: a test counts repeats of the search, else splits, else seeds, and pairs what is equal."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import pytest
from scipy import stats

from gatelab.results.comparison import Comparison, compare_runs
from gatelab.results.comparison.equivalence import equivalences
from gatelab.results.comparison.inference import pairwise
from gatelab.results.comparison.statistics import mean_interval, paired_t
from gatelab.results.comparison.verdict import sentences
from gatelab.tracking.runs import RunRecord, SweepRecord
from tests.recorded_scores import recorded

LOSS = "test/loss"
Place = tuple[int, int, int]
"""Repeat, split and seed."""


def evaluated(losses: Mapping[str, Mapping[Place, float]], seed: str = "0") -> SweepRecord:
    """Return a sweep with these losses by gate and place."""
    params = {"search.seed": seed}
    runs = [RunRecord("s", "s", "FINISHED", params, {}, {"stage": "sweep", "end": "finished"})]
    for gate, values in losses.items():
        for (repeat, split, number), loss in values.items():
            tags = {"stage": "evaluate", "gate": gate, "seed": str(number), "end": "finished"}
            tags |= {"repeat": str(repeat), "split_seed": str(split), "test_to_train": "0.25"}
            runs.append(RunRecord("e", "e", "FINISHED", {}, {LOSS: loss}, tags))
    return SweepRecord(f"s{seed}", tuple(runs))


def values(comparison: Comparison, gate: str) -> Mapping[str, float]:
    score = comparison.score(gate, LOSS)
    assert score is not None
    return score.values


A = {
    (r, p, 10 * r + s): (1.0, 2, 6)[r] + 10 * p + s
    for r in range(3)
    for p in (0, 1)
    for s in (0, 1)
}
B = {place: 10.0 * place[1] + place[2] % 10 for place in A}
"""By repeat a - b is 1, 2 and 6, on either split and with either seed."""


def test_with_several_repeats_the_repeat_is_the_unit() -> None:
    """A repeat's value is the mean over its two seeds and two splits: 1 + 5 + 0.5 of a's first."""
    comparison = compare_runs(evaluated({"a": A, "b": B}))
    assert (comparison.unit, comparison.repeats, comparison.splits) == ("repeat", 3, 2)
    assert values(comparison, "a") == {"0/0": 6.5, "0/1": 7.5, "0/2": 11.5}
    (test,) = comparison.tests
    assert test.n == 3 and test.difference == pytest.approx(3)
    assert comparison.test_to_train == 0, "the splits are the same for each"
    assert test.p == pytest.approx(paired_t([1, 2, 6], [0, 0, 0]).p)


def test_two_repeats_are_several() -> None:
    two = [{place: loss for place, loss in of.items() if place[0] < 2} for of in (A, B)]
    comparison = compare_runs(evaluated({"a": two[0], "b": two[1]}))
    assert (comparison.unit, comparison.repeats) == ("repeat", 2)
    assert [(test.n, test.difference) for test in comparison.tests] == [(2, pytest.approx(1.5))]


def test_splits_of_which_no_share_is_recorded_are_independent_draws() -> None:
    """The variance is then not corrected: of the differences 1 and 3 over two splits."""
    a, b = {(0, 0, 0): 1.0, (0, 1, 0): 5.0}, {(0, 0, 0): 0.0, (0, 1, 0): 2.0}
    runs = [
        replace(run, tags={key: it for key, it in run.tags.items() if key != "test_to_train"})
        for run in evaluated({"a": a, "b": b}).runs
    ]
    comparison = compare_runs(SweepRecord("s", tuple(runs)))
    assert (comparison.unit, comparison.test_to_train) == ("split", 0)
    (test,) = comparison.tests
    assert test.p == pytest.approx(stats.ttest_rel([1.0, 5.0], [0.0, 2.0]).pvalue)


def test_a_seed_that_failed_makes_no_split_weigh_less() -> None:
    """Of split 0 one seed is left: (1 + (11 + 12) / 2) / 2, not (1 + 11 + 12) / 3."""
    less = {place: loss for place, loss in A.items() if place != (0, 0, 1)}
    assert values(compare_runs(evaluated({"a": less})), "a")["0/0"] == 6.25


def test_the_verdict_says_of_what_it_speaks() -> None:
    said = sentences(compare_runs(evaluated({"a": A, "b": B})))
    assert (
        "The verdict speaks of these gates, over 3 searches of each, on 2 splits, with 6 seeds."
        in said
    )
    assert "The repeat is the unit of the t-test, and the splits are the same for each." in said
    assert any("over 3 repeats." in line for line in said)
    one = {place: loss for place, loss in A.items() if place[1] == 0}
    assert (
        "The verdict speaks of these gates, over 3 searches of each, on one split, with 6 seeds: "
        "how scores vary over splits is not seen."
    ) in sentences(compare_runs(evaluated({"a": one})))


def test_gates_of_sweeps_are_paired_by_search_seed_and_repeat() -> None:
    """Of sweeps that are not one: their settings differ."""
    other = evaluated({"c": B})
    runs = (
        RunRecord("s", "s", "", {"search.seed": "0", "search.trials": "9"}, {}, other.runs[0].tags),
    )
    comparison = compare_runs(evaluated({"a": A}), SweepRecord("c", runs + other.runs[1:]))
    assert [test.n for test in comparison.tests] == [3]
    apart = compare_runs(evaluated({"a": A}), evaluated({"c": B}, "1"))
    assert [test.n for test in apart.tests] == [0], "other draws"


def test_what_failed_is_on_no_split_and_after_no_search() -> None:
    """Of split 1 and of the second search all seeds have failed, for both gates."""
    kept = {place: loss for place, loss in A.items() if place[:2] == (0, 0)}
    record = evaluated({"a": A, "b": B})
    runs = [
        run if run.stage != "evaluate" or _place(run) == ("0", "0") else _failed(run)
        for run in record.runs
    ]
    comparison = compare_runs(SweepRecord("s", tuple(runs)))
    assert (comparison.unit, comparison.repeats, comparison.splits) == ("seed", 1, 1)
    assert values(comparison, "a") == {str(seed): loss for (_, _, seed), loss in kept.items()}
    none = compare_runs(SweepRecord("s", tuple(map(_failed, record.runs))))
    assert (none.unit, none.repeats, none.splits) == ("seed", 1, 1)


def _place(run: RunRecord) -> tuple[str, str]:
    return run.repeat, run.split


def _failed(run: RunRecord) -> RunRecord:
    return replace(run, tags={**run.tags, "end": "failed"})


def test_the_gate_that_was_searched_most_often_says_what_the_unit_is() -> None:
    """A baseline that has nothing to search has one repeat."""
    once = {place: loss for place, loss in B.items() if place[0] == 0}
    comparison = compare_runs(evaluated({"a": A, "b": once}))
    assert (comparison.unit, comparison.repeats) == ("repeat", 3)


def test_on_one_split_it_does_not_matter_who_recorded_which() -> None:
    """Of two sweeps one has recorded no split: both are on the task's own."""
    a, b = ({k: v for k, v in of.items() if k[:2] == (0, 0)} for of in (A, B))
    record = evaluated({"a": a, "b": b})
    runs = [
        replace(run, tags={key: it for key, it in run.tags.items() if key != "split_seed"})
        if run.gate == "b"
        else run
        for run in record.runs
    ]
    comparison = compare_runs(SweepRecord("s", tuple(runs)))
    assert (comparison.unit, comparison.splits) == ("seed", 1)
    assert [test.n for test in comparison.tests] == [2]


def test_of_several_shares_of_test_rows_the_largest_counts() -> None:
    """As where splits differ by a row: the variance is told no smaller than it is."""
    one = {place: loss for place, loss in A.items() if place[0] == 0}
    record = evaluated({"a": one})
    shares = {"0": "0.25", "1": "0.26"}
    for order in (record.runs, record.runs[::-1]):
        runs = [
            replace(run, tags={**run.tags, "test_to_train": shares[run.split]})
            if run.split
            else run
            for run in order
        ]
        assert compare_runs(SweepRecord("s", tuple(runs))).test_to_train == 0.26


def test_a_run_without_a_repeat_is_of_the_first() -> None:
    tags = {"stage": "evaluate", "gate": "a", "seed": "3", "end": "finished"}
    comparison = compare_runs(SweepRecord("s", (RunRecord("e", "e", "", {}, {LOSS: 1.0}, tags),)))
    assert (comparison.unit, comparison.repeats, comparison.splits) == ("seed", 1, 1)
    assert values(comparison, "a") == {"3": 1.0}


def test_repeats_on_splits_of_their_own_are_as_many_as_there_are_splits() -> None:
    """Sweeps on splits 0, 1 and 2, the last with two repeats: 1, 2 and the mean of 4 and 8."""
    places = [(0, 0), (1, 1), (2, 2), (3, 2)]
    a = {(r, p, 0): (1.0, 2, 4, 8)[r] for r, p in places}
    b = {(r, p, 0): 0.0 for r, p in places}
    comparison = compare_runs(evaluated({"a": a, "b": b}))
    assert (comparison.unit, comparison.repeats, comparison.splits) == ("split", 4, 3)
    assert values(comparison, "a") == {"0": 1.0, "1": 2.0, "2": 6.0}
    (test,) = comparison.tests
    assert test.p == pytest.approx(paired_t([1, 2, 6], [0, 0, 0], 0.25).p)
    score = comparison.score("a", LOSS)
    assert score is not None
    assert (score.low, score.high) == mean_interval([1, 2, 6], test_to_train=0.25)[1:]
    said = sentences(comparison)
    assert (
        "The verdict speaks of these gates, over 4 searches of each, on 3 splits, with 1 seed."
        in said
    )
    assert (
        "Splits of the same rows overlap, so the corrected resampled t-test decides "
        "(variance x (1/3 + 0.25))."
    ) in said


def test_repeats_on_several_splits_of_their_own_are_sets_of_splits() -> None:
    a = {(r, 10 * r + p, 0): float(r) for r in range(2) for p in range(2)}
    comparison = compare_runs(evaluated({"a": a}))
    assert (comparison.unit, dict(values(comparison, "a"))) == (
        "set of splits",
        {"0,1": 0.0, "10,11": 1.0},
    )
    assert any("over 2 sets of splits" in line for line in sentences(comparison))


def test_a_repeat_of_which_a_split_is_missing_is_on_the_same_splits() -> None:
    half = {place: loss for place, loss in A.items() if place[:2] != (2, 1)}
    assert compare_runs(evaluated({"a": half})).unit == "repeat"


SAME = "The repeat is the unit of the t-test, and the splits are the same for each."
SHARED = "Two gates are compared over the searches and splits that both have."


def test_repeats_are_paired_over_the_splits_that_both_gates_have() -> None:
    """Of split 1, where losses are 10 more, b has nothing: its means are lower for that alone."""
    half = {place: loss for place, loss in B.items() if place[1] == 0}
    comparison = compare_runs(evaluated({"a": A, "b": half}))
    assert values(comparison, "a")["0/0"] == 6.5 and values(comparison, "b")["0/0"] == 0.5
    (test,) = comparison.tests
    assert test.n == 3 and test.difference == pytest.approx(3), "of 1, 2 and 6, not of 6, 7 and 11"
    (pair,) = pairwise(comparison, LOSS)
    assert (pair.difference, pair.p) == (test.difference, test.p)
    (alike,) = equivalences(comparison, LOSS, 0.5)
    assert alike.difference == pytest.approx(3)
    said = sentences(comparison)
    assert "The repeat is the unit of the t-test." in said and SHARED in said and SAME not in said
    (line,) = (line for line in said if line.startswith("a's is higher by 3 "))
    assert ", over the searches and splits that both have): not significant" in line


def test_a_repeat_of_which_a_gate_has_another_split_is_not_paired() -> None:
    """Of repeat 2 each gate has a split that the other does not."""
    a = {place: loss for place, loss in A.items() if place[:2] != (2, 1)}
    b = {place: loss for place, loss in B.items() if place[:2] != (2, 0)}
    (test,) = compare_runs(evaluated({"a": a, "b": b})).tests
    assert test.n == 2 and test.difference == pytest.approx(1.5)
    apart = [{k: v for k, v in of.items() if k[1] == p} for p, of in ((0, a), (1, B))]
    comparison = compare_runs(evaluated({"a": apart[0], "b": apart[1]}))
    assert comparison.unit == "repeat" and [test.n for test in comparison.tests] == [0]
    assert any("b has no split in common with a, so" in line for line in sentences(comparison))


def test_a_repeat_with_a_split_less_is_not_said_to_be_on_the_same_splits() -> None:
    """Of both gates: they are compared over all that they have."""
    a, b = ({k: v for k, v in of.items() if k[:2] != (2, 1)} for of in (A, B))
    said = sentences(compare_runs(evaluated({"a": a, "b": b})))
    assert "The repeat is the unit of the t-test." in said
    assert SAME not in said and SHARED not in said
    third = {k: v + 1 for k, v in A.items() if k[1] == 0}
    assert SHARED in sentences(compare_runs(evaluated({"a": a, "b": b, "c": third}))), "some pairs"


def test_splits_are_paired_over_the_searches_that_both_gates_have() -> None:
    """Of the two repeats on split 2 b has the first, whose difference is 4; with others, all."""
    places = [(0, 0), (1, 1), (2, 2), (3, 2)]
    a = {(r, p, 0): (1.0, 2, 4, 8)[r] for r, p in places}
    b = {(r, p, 0): 0.0 for r, p in places[:3]}
    comparison = compare_runs(evaluated({"a": a, "b": b}))
    assert comparison.unit == "split" and SHARED in sentences(comparison)
    assert comparison.tests[0].difference == pytest.approx(7 / 3)
    other = evaluated({"c": b}, "1")
    told = {"search.seed": "1", "search.trials": "9"}
    runs = (RunRecord("s", "s", "", told, {}, other.runs[0].tags), *other.runs[1:])
    apart = compare_runs(evaluated({"a": a}), SweepRecord("c", runs))
    assert apart.tests[0].n == 3 and apart.tests[0].difference == pytest.approx(3)
    assert SHARED not in sentences(apart)


def test_a_gate_without_a_score_after_some_of_its_searches() -> None:
    """Over all three b's mean is higher than a's; in the one that both have it is lower by 2."""
    a = {place: loss for place, loss in A.items() if place[0] == 1}
    b = {place: loss + 100 * (place[0] != 1) for place, loss in B.items()}
    sweep, *runs = evaluated({"a": a, "b": b}).runs
    ended = [{"stage": "gate", "gate": gate, "end": "finished"} for gate in "ab"]
    runs += [RunRecord("g", "g", "FINISHED", {}, {}, tags) for tags in ended]
    for repeats in ("3", "1"):
        first = replace(sweep, params={"search.repeats": repeats})
        said = sentences(compare_runs(SweepRecord("s", (first, *runs))))
        line = "a has no score after 2 of its 3 searches: no trial of them finished."
        assert (line in said) == (repeats == "3"), "what is not recorded is not said"
        assert not any("b has no score" in line for line in said)
        assert said[-1] == (
            "b's is lower by 2, over the repeat that both have; one repeat cannot tell that from "
            "chance."
        )
    still = [replace(run, tags={**run.tags, "end": ""}) for run in runs if run.stage == "gate"]
    others = [run for run in runs if run.stage != "gate"]
    first = replace(sweep, params={"search.repeats": "3"})
    said = sentences(compare_runs(SweepRecord("s", (first, *others, *still))))
    assert not any("has no score" in line for line in said), "its searches may be under way"


def test_the_scope_says_how_many_searches_and_splits_the_gates_have() -> None:
    """Gate a has 3 searches on 2 splits, b one on one."""
    b = {place: loss for place, loss in B.items() if place[:2] == (0, 0)}
    said = sentences(compare_runs(evaluated({"a": A, "b": b})))
    assert (
        "The verdict speaks of these gates, over 1 to 3 searches of each, on 1 to 2 splits, "
        "with 2 to 6 seeds."
    ) in said
    one = {place: loss for place, loss in A.items() if place[0] == 0}
    assert (
        "The verdict speaks of these configurations, found by one search each, on 1 to 2 splits, "
        "with 2 seeds: how scores vary over searches is not seen."
    ) in sentences(compare_runs(evaluated({"a": one, "b": b})))


def test_a_gate_with_fewer_seeds_is_not_said_to_have_those_of_the_others() -> None:
    """Gate a has three seeds, b four, of which they share two, and c all six."""
    a, b, c = (
        {(0, 0, n): n ** (0.5 + 0.3 * gate) for n in seeds} for gate, seeds in enumerate(SEEDS)
    )
    said = sentences(compare_runs(evaluated({"a": a, "b": b, "c": c})))
    assert any("on one split, with 3 to 6 seeds: how scores vary" in line for line in said)
    limits = [line for line in said if "to be found significant in 4 of 5" in line]
    assert [line.partition(" a true")[0] for line in limits] == ["With 2 to 3 seeds"]


SEEDS = (1, 2, 4), (2, 3, 4, 5), (0, 1, 2, 3, 4, 5)


def test_the_variance_is_of_the_splits_that_a_pair_shares() -> None:
    """Gates a and b share three splits, c two with either."""
    a, b, c = (
        {(0, p, 0): p ** (0.5 + 0.3 * gate) for p in range(splits)}
        for gate, splits in enumerate((3, 3, 2))
    )
    said = sentences(compare_runs(evaluated({"a": a, "b": b, "c": c})))
    (line,) = (line for line in said if "corrected resampled" in line)
    assert line.endswith("(variance x (1/n + 0.25), of the n splits that a pair shares).")


def test_a_change_since_the_epoch_before_is_of_the_seeds_that_have_one() -> None:
    """A seed that kept its first epoch has none, NaN in the record; a score that is NaN stays."""
    seeds = [(1.0, math.nan, math.nan), (3.0, 2.0, 1.0), (5.0, 4.0, math.nan)]
    keys = ("test/loss", "gate/weight_change", "test/auroc")
    found = compare_runs(
        recorded(("a", 0, 0, n, dict(zip(keys, row, strict=True))) for n, row in enumerate(seeds))
    )
    means = [found.score("a", key) for key in keys]
    assert [score and score.mean for score in means[:2]] == [3, 3]
    assert means[2] is not None and math.isnan(means[2].mean)
