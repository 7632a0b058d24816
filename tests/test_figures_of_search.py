"""Figures of courses and trials: what ended early, settled or diverged drags no axis along."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from made_reviews import made, small

from gatelab.results.comparison import compare_runs
from gatelab.results.comparison.score_grids import by_mean
from gatelab.results.figures import courses, scores, search
from gatelab.results.figures.catalogue import all_figures
from gatelab.results.figures.panels import MOST_TOGETHER
from gatelab.results.figures.slices import slices
from gatelab.results.figures.style import save_figure
from tests.drawn import curve, figure, trials


def test_of_several_searches_every_one_is_a_line() -> None:
    table = pd.concat([trials([("finished", 3), ("finished", 2)]), trials([("finished", 1)])])
    drawn = search.best_so_far(table.assign(repeat=["0", "0", "1"]), ["a"])
    assert drawn is not None
    courses_of = [
        list(line.get_ydata()) for line in drawn.axes[0].lines if line.get_marker() == "None"
    ]
    assert courses_of == [[3, 2], [1]]


def test_a_course_is_dotted_once_a_seed_has_stopped() -> None:
    table = pd.concat([curve("a", "0", [4, 3, 2, 2]), curve("a", "1", [2, 1])])
    drawn = courses.learning_curves(table, ["a"])
    assert drawn is not None
    whole, rest = drawn.axes[1].lines  # no legend's own
    assert (whole.get_linestyle(), rest.get_linestyle()) == ("-", ":")
    np.testing.assert_array_equal(np.asarray(whole.get_xydata()), [[1, 3], [2, 2]])
    np.testing.assert_array_equal(np.asarray(rest.get_xydata()), [[2, 2], [3, 2], [4, 2]])


def test_a_gate_that_settles_falls_out_of_a_logarithmic_frame() -> None:
    table = curve("a", "0", [1, 0.1, 1e-3, 1e-12, 0], "gate/weight_change")
    drawn = courses.weight_change_curves(table, ["a"])
    assert drawn is not None
    axes = drawn.axes[0]
    assert axes.get_yscale() == "log"
    assert 5e-4 < axes.get_ylim()[0] < 1e-3
    drawn_values = np.asarray(axes.lines[0].get_ydata(), dtype=float)
    np.testing.assert_array_equal(drawn_values, [1, 0.1, 1e-3, np.nan, np.nan])
    assert axes.lines[0].get_marker() not in ("", "None")


def test_one_seed_that_settles_drags_no_axis_and_no_band_down() -> None:
    """The band once hid all other gates below its line, down to a weight change of 1e-12."""
    metric = "gate/weight_change"
    table = pd.concat([curve("a", "0", [1, 0.1, 0.1], metric), curve("a", "1", [1, 0, 0], metric)])
    drawn = courses.weight_change_curves(table, ["a"])
    assert drawn is not None
    axes = drawn.axes[0]
    assert axes.get_yscale() == "log" and axes.get_ylim()[0] > 0.03
    (band,) = axes.collections
    assert np.asarray(band.get_paths()[0].vertices)[:, 1].min() > 0.03


def test_pruned_and_failed_trials_are_spent_but_never_best() -> None:
    ends = [("pruned", 0.1), ("finished", 3), ("failed", np.nan), ("finished", 2), ("running", 0)]
    drawn = search.best_so_far(trials(ends), ["a"])
    assert drawn is not None
    steps, marks, pruned, shown = drawn.axes[0].lines
    np.testing.assert_array_equal(np.asarray(steps.get_ydata()), [np.nan, 3, 3, 2])
    np.testing.assert_array_equal(np.asarray(marks.get_ydata()), [np.nan, 3, np.nan, 2])
    np.testing.assert_array_equal(np.asarray(pruned.get_ydata())[:1], [0.1])
    assert pruned.get_markerfacecolor() == "none" and shown.get_marker() == marks.get_marker()
    np.testing.assert_array_equal(np.asarray(steps.get_xdata()), [1, 2, 3, 4])
    assert search.best_so_far(trials([("pruned", 0.1)]), ["a"]) is None
    drawn = search.best_so_far(trials([*ends, ("finished", 4)]), ["a"], "val/f1", higher=True)
    assert drawn is not None
    steps, *_ = drawn.axes[0].lines
    np.testing.assert_array_equal(np.asarray(steps.get_ydata()), [np.nan, 3, 3, 3, 4])


def test_slices_are_logarithmic_categorical_and_hollow_where_pruned() -> None:
    drawn = figure("small", "slices")
    panels = {(a.get_title(loc="left"), a.get_xlabel()): a for a in drawn.axes}
    assert panels["dselect_k", "gamma"].get_xscale() == "log"
    assert panels["dselect_k", "k"].get_xscale() == "linear"
    ticks = [label.get_text() for label in panels["top_k", "noise"].get_xticklabels()]
    assert ticks == ["fixed", "learned", "none"]
    hollow, filled = panels["softmax", "learning_rate"].lines
    assert hollow.get_markerfacecolor() == "none" != filled.get_markerfacecolor()
    table = small().trials
    ended = table[table["gate"] == "softmax"]["end"]
    assert len(np.asarray(hollow.get_xdata())) == (ended == "pruned").sum()
    assert len(np.asarray(filled.get_xdata())) == (ended == "finished").sum()
    assert ("softmax", "num_experts") not in panels, "which was not searched"


def test_many_slices_go_on_in_another_figure() -> None:
    review = made([f"gate{i}" for i in range(8)], trials=8)
    assert [len(part.axes) for part in slices(review.trials, review.comparison.gates)] == [24, 8]


def test_of_many_gates_without_importances_the_first_hyperparameters_are_drawn() -> None:
    """Fewer than 8 trials of a gate have none: it was said that no hyperparameter was searched."""
    review = made([f"gate{i}" for i in range(MOST_TOGETHER + 1)], trials=4)
    best = by_mean(review.comparison, "test/loss")[0]
    importance = review.importance[review.importance["gate"] == best]
    for known in (importance.head(0), importance):
        (plate,) = (p for p in all_figures(replace(review, importance=known)) if p.name == "slices")
        assert plate.figure is not None and len(plate.figure.axes) == 2 * MOST_TOGETHER


def test_without_slices_it_is_said_what_they_take() -> None:
    for gates, whose in ((1, "a gate"), (MOST_TOGETHER + 1, "one of the best five gates")):
        review = made([f"g{i}" for i in range(gates)], trials=1)
        (plate,) = (p for p in all_figures(review) if p.name == "slices")
        assert plate.caption == f"No two trials of {whose} differ in a hyperparameter yet."


def test_differences_are_by_seed() -> None:
    review = small()
    drawn = scores.difference_panels(review.comparison)
    assert drawn is not None
    best, other = (review.comparison.score(gate, "test/loss") for gate in ("dselect_k", "top_k"))
    assert best is not None and other is not None
    axes = drawn.axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["top_k", "softmax"]
    expected = [other.values[seed] - best.values[seed] for seed in other.values]
    np.testing.assert_allclose(np.asarray(axes.lines[0].get_xdata()), expected)


def test_what_diverged_is_left_out_of_the_frame(tmp_path: Path) -> None:
    review = small()
    lost = {"test/loss": math.inf, "test/mean/accuracy": math.nan}
    runs = [
        replace(run, metrics={**run.metrics, **lost}) if run.tags.get("seed") == "0" else run
        for run in review.record.runs
    ]
    trials = review.trials.assign(objective=review.trials["objective"].fillna(math.inf))
    trials.loc[::3, "objective"] = math.inf
    curves = review.curves.assign(value=review.curves["value"].where(review.curves.index % 7 > 0))
    diverged = replace(
        review,
        comparison=compare_runs(replace(review.record, runs=tuple(runs))),
        trials=trials,
        curves=curves.fillna({"value": math.inf}),
    )
    for plate in all_figures(diverged):
        if plate.name == "tradeoff":  # of means that are no numbers there is no point
            continue
        assert plate.figure is not None
        save_figure(plate.figure, tmp_path / "figure.png")
        assert all(np.isfinite(axes.get_ylim()).all() for axes in plate.figure.axes), plate.name
