"""The published summary: the best 5% of each gate's trials."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from gatelab.results.comparison.best_trials import best_trials
from gatelab.results.comparison.trial_report import trial_grid, trial_sentences
from gatelab.tracking.runs import RunRecord, SweepRecord
from gatelab.tracking.schema import ENDS


def sweep(losses: dict[str, list[float]], pruned: int = 0) -> SweepRecord:
    sweep = _run("sweep", "", "finished", {})
    runs = [replace(sweep, tags={**sweep.tags, "metrics.higher": "f1"})]
    for gate, values in losses.items():
        runs += [_run("gate", gate, "finished", {})]
        runs += [_run("search", gate, "finished", {"val/loss": v, "val/f1": 1 - v}) for v in values]
        runs += [_run("search", gate, "pruned", {"val/loss": 0.0})] * pruned
        runs += [_run("search", gate, "failed", {"val/loss": 0.0})]
    return SweepRecord("s", tuple(runs))


def _run(stage: str, gate: str, end: str, metrics: dict[str, float]) -> RunRecord:
    tags = {"stage": stage, "gate": gate, "end": end, "task": "t"}
    return RunRecord("id", "name", "FINISHED", {}, metrics, tags)


RANDOM = np.random.default_rng(0)
LOSSES = {
    "a": RANDOM.uniform(0.30, 0.50, 59).tolist(),
    "b": RANDOM.uniform(0.33, 0.60, 59).tolist(),
}


def test_mean_and_standard_error_of_the_best() -> None:
    """Of 60 trials, the failed one counted: 3."""
    found = best_trials([sweep(LOSSES)])
    for gate, summary in zip(LOSSES, found.summaries, strict=True):
        best = sorted(LOSSES[gate])[:3]
        assert (summary.trials, summary.n, summary.values) == (60, 3, tuple(best))
        assert summary.mean == pytest.approx(np.mean(best))
        assert summary.error == pytest.approx(stats.sem(best))
    (test,) = found.tests
    first, second = (sorted(LOSSES[gate])[:3] for gate in "ab")
    theirs = stats.ttest_ind(first, second, equal_var=False, alternative="less")
    assert (test.first, test.second, test.p) == ("a", "b", pytest.approx(theirs.pvalue))
    assert test.significant


def test_the_share_is_of_all_trials_and_at_least_one() -> None:
    few = {"a": [0.3, 0.2], "b": [0.4]}
    assert [s.n for s in best_trials([sweep(few)]).summaries] == [1, 1]
    assert [s.n for s in best_trials([sweep(few, pruned=100)]).summaries] == [2, 1]
    assert [s.n for s in best_trials([sweep(LOSSES)], share=1.0).summaries] == [59, 59]
    single = best_trials([sweep(few)])
    assert single.summaries[0].mean == 0.2
    assert math.isnan(single.summaries[0].error)
    assert "A single trial has no standard error, and no test." in trial_sentences(single)


def test_trials_that_are_level_have_no_error_and_no_test() -> None:
    """In floating point the deviation of three times 0.1 is 2e-17, and p was 1e-46."""
    found = best_trials([sweep({"a": [0.1] * 3, "b": [0.2] * 3})], share=1.0)
    assert [summary.error for summary in found.summaries] == [0, 0]
    (test,) = found.tests
    assert math.isnan(test.p) and not test.significant
    assert not any("significant" in line for line in trial_sentences(found))


def test_another_metric_of_the_same_trials() -> None:
    found = best_trials([sweep(LOSSES)], metric="val/f1")
    assert found.best()[0].gate == "a"
    assert found.summaries[0].mean == pytest.approx(1 - np.mean(sorted(LOSSES["a"])[:3]))
    (test,) = found.tests
    assert (test.first, test.second) == ("a", "b"), "of which more is better"
    assert test.p == pytest.approx(best_trials([sweep(LOSSES)]).tests[0].p)
    with pytest.raises(LookupError, match=r"no metric 'val/f2' .* did you mean 'val/f1'"):
        best_trials([sweep(LOSSES)], metric="val/f2")
    trained = _run("search", "a", "finished", {"val/loss": 0.5, "train/loss": 0.1})
    with pytest.raises(LookupError, match="no metric 'train/loss' of finished trials"):
        best_trials([SweepRecord("s", (trained,))], metric="train/loss")


def test_the_objective_is_the_loss_where_a_trial_has_one() -> None:
    run = _run("search", "a", "finished", {"val/loss": 0.9, "objective": 0.1})
    assert best_trials([SweepRecord("s", (run,))]).summaries[0].mean == 0.1


def test_where_more_of_the_objective_is_better_the_highest_are_the_best() -> None:
    params, tags = {"search.objective": "val/mean/f1"}, {"stage": "sweep", "metrics.higher": "f1"}
    runs = [RunRecord("s", "s", "RUNNING", params, {}, tags)]
    for f1 in (0.2, 0.9, 0.5):
        scores = {"val/loss": f1, "val/mean/f1": f1, "objective": f1}
        runs.append(_run("search", "a", "finished", scores))
    record = SweepRecord("s", tuple(runs))
    for metric in ("val/mean/f1", "val/loss"):
        assert best_trials([record], metric=metric).summaries[0].mean == 0.9, "of the same trial"
        assert best_trials([record], 1, metric).summaries[0].values == (0.9, 0.5, 0.2)


def test_two_trials_have_a_standard_error() -> None:
    """Of 1 and 3: the deviation is the root of 2, over the root of 2."""
    (summary,) = best_trials([sweep({"a": [1.0, 3.0]})], share=1.0).summaries
    assert (summary.n, summary.mean, summary.error) == (2, 2, pytest.approx(1))


def test_means_that_single_precision_cannot_tell_apart_are_not_tested() -> None:
    """Less than a millionth apart, though with deviations so small that a test would be sure."""
    level = [0.5, 0.5 + 2e-6, 0.5 + 4e-6]
    for apart, tests in ((4e-7, 0), (6e-7, 1)):
        more = [loss + apart for loss in level]
        found = best_trials([sweep({"a": level, "b": more})], share=1.0)
        assert len(found.tests) == tests


def test_a_trial_without_an_objective_is_not_among_the_best() -> None:
    for nothing in (math.nan, math.inf, -math.inf):
        (summary,) = best_trials([sweep({"a": [nothing, 0.3, 0.2]})], share=0.5).summaries
        assert (summary.trials, summary.values) == (4, (0.2, 0.3))


def test_a_row_at_one_k_has_no_search_of_its_own() -> None:
    """Though its run counts how the trials with that k ended."""
    record = sweep({"a": [0.3, 0.2]})
    row = _run("gate", "a.k1", "finished", {f"search/{end}": 1.0 for end in ENDS})
    runs = (*record.runs, replace(row, tags={**row.tags, "row_of": "a"}))
    assert [one.gate for one in best_trials([SweepRecord("s", runs)]).summaries] == ["a"]


def test_what_was_evaluated_without_a_search_has_no_best_trials() -> None:
    """As a constant; nor is there a test of a gate of which no trial has finished."""
    record = sweep({**LOSSES, "c": []})
    runs = (*record.runs, *(_run(stage, "d", "finished", {}) for stage in ("gate", "evaluate")))
    found = best_trials([SweepRecord("s", runs)])
    assert [(one.gate, one.n) for one in found.summaries] == [("a", 3), ("b", 3), ("c", 0)]
    assert [(test.first, test.second) for test in found.tests] == [("a", "b")]


def test_a_metric_of_which_nobody_knows_which_way_is_shown_and_not_tested() -> None:
    runs = [
        replace(run, metrics={**run.metrics, "val/unknown": run.metrics["val/loss"]})
        if run.stage == "search"
        else run
        for run in sweep(LOSSES).runs
    ]
    found = best_trials([SweepRecord("s", tuple(runs))], metric="val/unknown")
    assert found.direction == 0 and found.tests == ()
    assert found.summaries[0].mean == pytest.approx(np.mean(sorted(LOSSES["a"])[:3]))


def test_words_and_table() -> None:
    found = best_trials([sweep({**LOSSES, "c": []})])
    grid = trial_grid(found, "s: t")
    assert grid.title == "s: t: the best 5% of trials"
    assert [row[0] for row in grid.rows] == ["a", "b", "c"]
    assert grid.rows[2][1:] == ["1", "0", "-", "-"]
    said = trial_sentences(found)
    assert said[0].startswith("a has the lowest val loss over its best 3 trials of 60, 0.30")
    assert said[1].startswith("That it is better than b is significant (p < 0.001, ")
    assert "flatters every gate" in said[-1]
    assert trial_sentences(best_trials([sweep({"c": []})])) == [
        "There is no finished trial to summarise."
    ]


def test_level_gates_are_not_tested() -> None:
    found = best_trials([sweep({"a": [0.1], "b": [0.1]})])
    assert found.tests == ()
    assert trial_grid(found, "").rows[0][-1] == "-"


def test_no_trial_is_the_best_where_nobody_knows_which_way() -> None:
    """As of a sweep that others have recorded."""
    params, tags = {"search.objective": "val/mean/f1"}, {"stage": "sweep"}
    run = _run("search", "a", "finished", {"val/loss": 0.5, "val/mean/f1": 0.5, "objective": 0.5})
    record = SweepRecord("s", (RunRecord("s", "s", "RUNNING", params, {}, tags), run))
    with pytest.raises(LookupError, match="of 'val/mean/f1', by which sweep 's' chose its trials"):
        best_trials([record])


def test_what_chose_the_trials_is_named() -> None:
    """The loss by default; else what the search compared, also where another metric is shown."""
    record = sweep({"a": [0.3, 0.2], "b": [0.4]})
    *_, said = trial_sentences(best_trials([record]))
    assert said.startswith("This is the loss that chose these trials, so")
    *_, said = trial_sentences(best_trials([record], metric="val/f1"))
    assert said.startswith("This is from the validation split, as the loss that chose these trials")
    params = {"search.objective": "val/f1"}
    runs = [replace(run, params=params) if run.stage == "sweep" else run for run in record.runs]
    by_f1 = SweepRecord("s", tuple(runs))
    *_, said = trial_sentences(best_trials([by_f1]))
    assert said.startswith("This is from the validation split, as the val f1 that chose these")
    *_, said = trial_sentences(best_trials([by_f1], metric="val/f1"))
    assert said.startswith("This is the val f1 that chose these trials, so")
