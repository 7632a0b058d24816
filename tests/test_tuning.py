"""What tuning bought: the first trial of a search beside the one that was evaluated."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from gatelab.results.comparison.tuning import tuning, tuning_grid
from gatelab.tracking.runs import RunRecord, SweepRecord


def trial(number: int, loss: float, end: str = "finished", **tags: str) -> RunRecord:
    tags = {"stage": "search", "gate": "a", "end": end, "trial": str(number), **tags}
    return RunRecord("t", "t", "", {"gate.k": str(number)}, {"objective": loss}, tags)


def sweep(*runs: RunRecord, chosen: str = "2", **params: str) -> SweepRecord:
    tags = {"stage": "sweep", "metrics.higher": "f1", "end": "finished"}
    gate = RunRecord("g", "g", "", {"gate.k": chosen}, {}, {"stage": "gate", "gate": "a"})
    return SweepRecord("s", (RunRecord("s", "s", "", params, {}, tags), gate, *runs))


def test_the_selected_trial_is_the_one_that_was_evaluated() -> None:
    """Not the best, which did not keep its k: 0.5 to 0.4 is 20%."""
    (found,) = tuning([sweep(trial(1, 0.3), trial(0, 0.5), trial(2, 0.4))])
    assert (found.default, found.selected, found.gain) == (0.5, 0.4, pytest.approx(0.2))
    assert tuning_grid([found]).rows == [["a", "0.5", "finished", "0.4", "20.0%"]]


def test_more_may_be_better() -> None:
    record = sweep(trial(0, 0.5), trial(2, 0.6), **{"search.objective": "val/mean/f1"})
    (found,) = tuning([record])
    assert found.gain == pytest.approx(0.2)
    assert tuning_grid([found]).columns[1] == "val mean/f1 of the default"


def test_how_the_default_ended_is_said() -> None:
    pruned = tuning([sweep(trial(0, 0.5, "pruned", **{"end.epoch": "3"}), trial(2, 0.4))])
    assert tuning_grid(pruned).rows == [["a", "0.5", "pruned at epoch 3", "0.4", "20.0%"]]
    failed = tuning([sweep(trial(0, 0.1, "failed"), trial(2, 0.4))])
    assert tuning_grid(failed).rows == [["a", "-", "failed", "0.4", "-"]]
    kept = tuning([sweep(trial(0, 0.5), trial(2, 0.4), chosen="0")])
    assert tuning_grid(kept).rows == [["a", "0.5", "finished", "0.5", "0.0%"]]
    nothing = tuning([sweep(trial(0, 0.5), chosen="9")])
    assert math.isnan(nothing[0].selected)
    assert tuning_grid(nothing).rows == [["a", "0.5", "finished", "-", "-"]]
    running = tuning([sweep(trial(0, 0.5, ""), trial(2, 0.4))])
    assert tuning_grid(running).rows == [["a", "0.5", "running", "0.4", "20.0%"]]


def test_an_epoch_is_said_of_what_was_pruned_alone() -> None:
    ends = {"end.epoch": "8"}
    finished = tuning([sweep(trial(0, 0.5, **ends), trial(2, 0.4))])
    assert tuning_grid(finished).rows == [["a", "0.5", "finished", "0.4", "20.0%"]]
    unknown = tuning([sweep(trial(0, 0.5, "pruned"), trial(2, 0.4))])
    assert tuning_grid(unknown).rows == [["a", "0.5", "pruned", "0.4", "20.0%"]]


def test_an_objective_may_be_0_or_below() -> None:
    """As a log-likelihood per row: from -0.5 to -0.6 is 20% better; of 0 there is no share."""
    (below,) = tuning([sweep(trial(0, -0.5), trial(2, -0.6))])
    assert below.gain == pytest.approx(0.2)
    (zero,) = tuning([sweep(trial(0, 0.0), trial(2, -0.6))])
    assert math.isnan(zero.gain) and (zero.default, zero.selected) == (0, -0.6)


def test_of_several_searches_it_is_the_mean() -> None:
    """0.5 to 0.4 and 0.5 to 0.45: 20% and 10%."""
    runs = [trial(0, 0.5, repeat="0"), trial(2, 0.4, repeat="0"), trial(2, 0.45, repeat="1")]
    runs.append(trial(0, 0.5, "pruned", repeat="1", **{"end.epoch": "4"}))
    found = tuning([sweep(*runs)])
    assert [one.repeat for one in found] == ["0", "1"]
    grid = tuning_grid(found)
    assert grid.rows == [["a", "0.5", "1 × finished, 1 × pruned at epoch 4", "0.425", "15.0%"]]
    assert grid.caption.endswith("Means over the repeats of a search.")
    assert "Means" not in tuning_grid(found[:1]).caption


def test_means_are_over_the_searches_of_which_both_are_known() -> None:
    """Or they would not be those of the gain: of one the default failed, one selected nothing."""
    runs = [trial(0, 0.5, repeat="0"), trial(2, 0.4, repeat="0"), trial(0, 0.9, repeat="2")]
    runs += [trial(0, 0.9, "failed", repeat="1"), trial(2, 0.2, repeat="1")]
    (row,) = tuning_grid(tuning([sweep(*runs)])).rows
    assert row == ["a", "0.5", "2 × finished, 1 × failed", "0.4", "20.0%"]


def test_of_trials_of_one_configuration_the_best_was_selected() -> None:
    """Under other seeds they differ, and the record has the newest first."""
    runs = [trial(7, 0.48), trial(3, 0.4), trial(0, 0.5)]
    alike = [replace(run, params={"gate.k": "2"}) for run in runs]
    (found,) = tuning([sweep(*alike)])
    assert (found.default, found.selected) == (0.5, 0.4)
    (more,) = tuning([sweep(*alike, **{"search.objective": "val/mean/f1"})])
    assert more.selected == 0.5


def test_of_trials_of_one_configuration_one_that_kept_its_k_was_selected() -> None:
    """Though another had a better objective; where all broke it, the best."""
    ends = [(0, 0.5, {}), (1, 0.3, {"broken": "yes"}), (2, 0.4, {}), (3, 0.45, {})]
    runs = [trial(number, loss, **tags) for number, loss, tags in ends]
    alike = [replace(run, params={"gate.k": "2"}) for run in runs]
    (found,) = tuning([sweep(*alike)])
    assert found.selected == 0.4
    broken = [replace(run, tags={**run.tags, "broken": "yes"}) for run in alike]
    (found,) = tuning([sweep(*broken)])
    assert found.selected == 0.3


def test_a_search_of_which_nothing_was_evaluated_selected_nothing() -> None:
    """The gate's run has what another search selected."""
    runs = [trial(0, 0.5, repeat=repeat) for repeat in "01"]
    runs += [trial(2, 0.4, repeat=repeat) for repeat in "01"]
    tags = {"stage": "evaluate", "gate": "a", "end": "finished", "repeat": "1"}
    scored = RunRecord("e", "e", "", {"gate.k": "2"}, {}, tags)
    first, second = tuning([sweep(*runs, scored)])
    assert math.isnan(first.selected) and second.selected == 0.4


def test_what_has_no_trials_has_no_row() -> None:
    assert tuning([sweep()]) == []


def test_there_is_no_gain_where_nobody_knows_which_way() -> None:
    record = sweep(trial(0, 0.5), trial(2, 0.6), **{"search.objective": "val/mean/unknown"})
    assert tuning_grid(tuning([record])).rows == [["a", "0.5", "finished", "0.6", "-"]]
