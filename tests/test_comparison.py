"""The comparison: from records' runs to scores, tests, budgets and files."""

from __future__ import annotations

import json
import math
from itertools import permutations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from gatelab.results.comparison import Comparison, compare_runs
from gatelab.results.comparison.inference import pairwise
from gatelab.results.comparison.merging import directions_of
from gatelab.results.comparison.score_grids import pair_grid, score_grid
from gatelab.results.comparison.statistics import holm
from gatelab.results.comparison.verdict import sentences
from gatelab.tracking.runs import RunRecord, SweepRecord
from gatelab.tracking.schema import Directions, Tags
from tests.recorded_losses import COUNTED, LOSSES, merged, record, render, run, said


@pytest.fixture
def comparison() -> Comparison:
    return compare_runs(record(LOSSES))


def test_scores_are_means_over_finished_seeds(comparison: Comparison) -> None:
    failed = run("evaluate", "a", "failed", seed=77, metrics={"test/loss": 1e9})
    with_failure = SweepRecord("s", (*record(LOSSES).runs, failed))
    for found in (comparison, compare_runs(with_failure)):
        score = found.score("a", "test/loss")
        assert score is not None
        assert (score.n, score.mean) == (4, pytest.approx(0.105))
        assert score.values == {"0": 0.10, "1": 0.12, "2": 0.11, "3": 0.09}
        assert found.score("a", "val/loss") is None


def test_tests_are_paired_and_corrected(comparison: Comparison) -> None:
    found = {(t.first, t.second): t for t in comparison.tests if t.metric == "test/loss"}
    pairs = [("a", "b"), ("a", "c"), ("b", "c")]
    assert list(found) == pairs
    plain = [stats.ttest_rel(LOSSES[x], LOSSES[y]).pvalue for x, y in pairs]
    assert [found[pair].p for pair in pairs] == pytest.approx(plain)
    assert [found[pair].p_holm for pair in pairs] == pytest.approx(holm(plain))
    assert found["a", "b"].significant
    assert not found["b", "c"].significant


def test_pairs_are_by_seed_not_by_order() -> None:
    runs = list(record(LOSSES).runs)
    shuffled = compare_runs(SweepRecord("s", tuple(reversed(runs))))
    straight = compare_runs(SweepRecord("s", tuple(runs)))
    p = [next(t.p for t in c.tests if t.metric == "test/loss") for c in (straight, shuffled)]
    assert p[0] == pytest.approx(p[1])
    seeds = [list(s.values) for s in shuffled.scores]
    assert all(found == ["0", "1", "2", "3"] for found in seeds), "in the seeds' order"


def test_directions_are_those_that_are_recorded() -> None:
    """Not those that a name suggests: less of a Brier score is better, more of an error here."""
    found = Directions.from_tags({Tags.HIGHER: "error,r2", Tags.LOWER: "brier"})
    assert [found.of(f"test/t/{name}") for name in ("error", "r2", "brier")] == [1, 1, -1]
    assert [found.of(key) for key in ("test/loss", "val/mean/loss", "test/t/loss")] == [-1] * 3
    assert [found.of(key) for key in ("test/t/accuracy", "gate/r2", "time/brier")] == [0] * 3
    assert Directions.from_tags(found.to_tags()) == found
    assert Directions.from_tags({}).of("test/loss") == -1


def test_metrics_come_losses_first_then_means_targets_and_gates() -> None:
    order = ["test/loss", "test/unweighted_loss", "test/mean/f1", "test/a/f1", "gate/entropy"]
    order += ["learner/epsilon", "time/train_seconds", "model/parameters"]
    metrics = dict.fromkeys(sorted(order), 1.0)
    tags = {"stage": "evaluate", "gate": "a", "seed": "0", "end": "finished"}
    runs = (RunRecord("e", "e", "FINISHED", {}, metrics, tags),)
    assert compare_runs(SweepRecord("s", runs)).metrics() == order


def test_sweeps_that_contradict_each_other_about_a_direction() -> None:
    one, other = Directions(("r2", "x", "y"), ("z",)), Directions(("f1", "y"), ("mae", "x"))
    assert one | other == Directions(("f1", "r2", "y"), ("mae", "z"))
    third = Directions(("x",), ("y",))
    for order in permutations((one, other, third)):
        assert Directions.of_all(order) == Directions(("f1", "r2"), ("mae", "z")), "a dispute stays"


def test_a_dispute_of_two_sweeps_is_not_forgotten_for_a_third() -> None:
    sweeps = [
        SweepRecord(name, (run("sweep", gates="a", **{f"metrics_{tag}": "score"}),))
        for name, tag in (("one", "higher"), ("two", "lower"), ("three", "higher"))
    ]
    assert directions_of(sweeps[::2]).of("test/mean/score") == 1
    assert directions_of(sweeps).of("test/mean/score") == 0


def test_less_is_better_of_a_metric_of_ones_own() -> None:
    runs = [run("sweep", gates="a,b", metrics_lower="brier")]
    for gate, values in {"a": [0.10, 0.11, 0.12], "b": [0.40, 0.42, 0.41]}.items():
        runs += [run("gate", gate)]
        runs += [
            run("evaluate", gate, seed=seed, metrics={"test/mean/brier": value})
            for seed, value in enumerate(values)
        ]
    found = compare_runs(SweepRecord("s", tuple(runs)))
    assert found.leaders("test/mean/brier") == ["a"]
    assert found.beats_all("test/mean/brier", "a")
    assert not found.beats_all("test/mean/brier", "b")
    assert "a has the lowest test mean/brier" in said(found, "test/mean/brier")
    assert pairwise(found, "test/mean/brier")[0].better == "a"


def test_directions(comparison: Comparison) -> None:
    assert comparison.leader("test/loss") == comparison.leader("test/mean/accuracy") == "a"
    assert comparison.leader("gate/entropy") is None
    assert comparison.beats_all("test/loss", "a")
    assert comparison.beats_all("test/mean/accuracy", "a")
    worst = compare_runs(record({"a": LOSSES["a"], "b": LOSSES["b"]}))
    assert not worst.beats_all("test/loss", "b"), "significantly different, but worse"


def test_a_gate_without_a_finished_trial_is_named(comparison: Comparison) -> None:
    budget = {b.gate: b for b in comparison.budgets}["dead"]
    assert (budget.trials, budget.failed, budget.evaluated) == (2, 2, 0)
    assert budget.reasons == {"boom": 2}
    assert "dead has no score: no trial finished: boom." in sentences(comparison)
    assert "0/0/2" in render(score_grid(comparison))


@pytest.mark.parametrize(
    ("tag", "reasons"),
    [
        ('{"NaN": 2}', {"NaN": 2}),
        ('{"a reason so long that MLflow cut it o', {}),
        ("[]", {}),
    ],
)
def test_budgets_as_the_gates_count_them(tag: str, reasons: dict[str, int]) -> None:
    """No trial need be read."""
    runs = (run("sweep", gates="a"), run("gate", "a", metrics=COUNTED, search_reasons=tag))
    (budget,) = compare_runs(SweepRecord("s", runs)).budgets
    assert (budget.finished, budget.pruned, budget.failed) == (3, 5, 2)
    assert budget.reasons == reasons


def test_failed_seeds_are_said() -> None:
    lost = run("evaluate", "a", "failed", seed=9, end_reason="val/loss is nan")
    comparison = compare_runs(SweepRecord("s", (*record(LOSSES).runs, lost)))
    budget = next(b for b in comparison.budgets if b.gate == "a")
    assert (budget.evaluated, budget.lost) == (4, 1)
    assert "a is scored on the 4 of 5 seeds that did not fail (val/loss is nan)." in said(
        comparison
    )


def test_nothing_to_compare() -> None:
    comparison = compare_runs(SweepRecord("s", (run("sweep", end=""), run("gate", "a", ""))))
    assert sentences(comparison) == [
        "No gate has been evaluated yet, so there is nothing to compare but the budgets."
    ]
    assert comparison.to_frame().empty
    assert comparison.running
    render(score_grid(comparison))


def test_values_that_are_not_finite() -> None:
    comparison = compare_runs(record({"a": [0.1, math.nan, 0.3], "b": [0.2, 0.3, 0.5]}))
    assert comparison.leader("test/loss") == "b"
    assert "a's cannot be tested: it is not finite on every seed." in said(comparison)
    render(score_grid(comparison))


def test_foreign_runs_without_our_tags() -> None:
    foreign = RunRecord("id", "n", "FINISHED", {}, {"test/loss": 1.0}, {"sweep": "s"})
    assert compare_runs(SweepRecord("s", (foreign,))).gates == ()


def test_files(comparison: Comparison, tmp_path: Path) -> None:
    comparison.to_csv(tmp_path / "c.csv")
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "c.csv"), comparison.to_frame())
    comparison.to_json(tmp_path / "c.json")

    def refuse(text: str) -> float:
        raise ValueError(text)

    read = json.loads((tmp_path / "c.json").read_text(), parse_constant=refuse)
    assert len(read["scores"]) == len(comparison.scores)
    assert read["scores"][0]["values"] == {"0": 0.10, "1": 0.12, "2": 0.11, "3": 0.09}
    assert (read["running"], read["ignored"]) == (False, 0)
    assert read["conditions"][0]["seeds"] == ["0", "1", "2", "3"]
    one = compare_runs(record({"a": [math.nan]}))
    one.to_json(tmp_path / "nan.json")
    json.loads((tmp_path / "nan.json").read_text(), parse_constant=refuse)


def test_inference_is_scipys(comparison: Comparison) -> None:
    pairs = {(p.first, p.second): p for p in pairwise(comparison, "test/loss")}
    assert list(pairs) == [("a", "b"), ("a", "c"), ("b", "c")]
    for (first, second), pair in pairs.items():
        ours, theirs = LOSSES[first], LOSSES[second]
        assert pair.difference == pytest.approx(np.mean(ours) - np.mean(theirs))
        assert pair.bca_low < pair.difference < pair.bca_high
        assert pair.p == pytest.approx(stats.ttest_rel(ours, theirs).pvalue)
        hundredths = np.subtract(ours, theirs).round(2)  # of which some are level
        assert pair.p_wilcoxon == pytest.approx(stats.wilcoxon(hundredths).pvalue)
        flips = stats.permutation_test(
            (np.subtract(ours, theirs),), np.mean, permutation_type="samples"
        )
        assert pair.p_permutation == pytest.approx(flips.pvalue)
    better = pairs["a", "b"]
    test = stats.ttest_ind(LOSSES["a"], LOSSES["b"], equal_var=False, alternative="less")
    assert (better.better, better.p_welch) == ("a", pytest.approx(test.pvalue))
    for name in ("p", "p_wilcoxon", "p_permutation"):
        plain = [getattr(pair, name) for pair in pairs.values()]
        assert [getattr(pair, f"{name}_holm") for pair in pairs.values()] == holm(plain)


def test_inference_in_both_directions_and_in_none(comparison: Comparison) -> None:
    higher = pairwise(comparison, "test/mean/accuracy")[0]
    assert (higher.better, higher.difference > 0) == ("a", True)
    assert higher.p_welch == pytest.approx(pairwise(comparison, "test/loss")[0].p_welch)
    entropy = pairwise(comparison, "gate/entropy")[0]
    assert (entropy.better, math.isnan(entropy.p_welch)) == ("", True)
    assert not math.isnan(entropy.p)


def test_inference_without_common_seeds_and_without_differences() -> None:
    pairs = {(p.first, p.second): p for p in pairwise(merged(), "test/loss")}
    assert pairs["a (one)", "c"].n == 0
    assert math.isnan(pairs["a (one)", "c"].p_holm)
    assert "-" in pair_grid(merged(), "test/loss", [pairs["a (one)", "c"]]).rows[0][1:]
    same = pairwise(compare_runs(record({"a": [0.1, 0.2], "b": [0.1, 0.2]})), "test/loss")[0]
    assert (same.bca_low, same.bca_high, same.p, same.better) == (0, 0, 1, "")


def test_a_metric_that_is_not_there(comparison: Comparison) -> None:
    with pytest.raises(LookupError, match=r"no metric 'test/los' in sweep s; did you mean"):
        pairwise(comparison, "test/los")
