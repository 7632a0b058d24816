"""Figures: every shape of a review is drawn, a gate looks the same everywhere, data stay data."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from made_reviews import MADE, SHAPES, made, many_targets, small
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D

from gatelab.results.comparison import Comparison, compare_runs
from gatelab.results.comparison.headline import preferred
from gatelab.results.comparison.score_grids import by_mean
from gatelab.results.figures import courses, scores, search, selection
from gatelab.results.figures.catalogue import NO_WEIGHTS, NOT_EVALUATED, all_figures, file_name
from gatelab.results.figures.inline import svg
from gatelab.results.figures.panels import MOST_TOGETHER, together
from gatelab.results.figures.slices import slices
from gatelab.results.figures.style import DECADES, fit, grid, looks, save_figure
from gatelab.results.figures.targets import targets_figure
from gatelab.results.figures.tradeoff import pareto_front, tradeoff
from gatelab.results.figures.weights import weights_panels
from gatelab.results.review import TARGET_COLUMNS, WEIGHT_COLUMNS
from gatelab.tracking.runs import RunRecord, SweepRecord
from gatelab.tracking.schema import Directions
from tests.drawn import LARGE, check_figures, figure, plates

SEARCHED = {"search", "slices"}
QUICK = ("small", "running", "empty")
PARAMS = [
    pytest.param(shape, marks=() if shape in QUICK else pytest.mark.slow)
    for shape in SHAPES
    if shape not in LARGE
]


@pytest.mark.parametrize("shape", PARAMS)
def test_every_figure_draws_as_svg_and_png(shape: str, tmp_path: Path) -> None:
    check_figures(shape, tmp_path)


def test_which_figures_there_are() -> None:
    shapes = [shape for shape in SHAPES if shape not in LARGE]
    drawn = {shape: {n for n, p in plates(shape).items() if p.figure} for shape in shapes}
    assert drawn["small"] == drawn["many_targets"]
    assert {"scores", "tradeoff", "targets", "weights"} < drawn["small"]
    assert drawn["running"] == SEARCHED
    assert drawn["one_dead"] == drawn["small"]
    assert drawn["empty"] == set()


def test_an_absent_figure_says_why() -> None:
    assert plates("running")["scores"].caption == NOT_EVALUATED
    review = small()
    without = all_figures(type(review)(**{**vars(review), "weights": review.weights.head(0)}))
    assert {p.caption for p in without if p.name in ("weights", "overlap", "load")} == {NO_WEIGHTS}
    alone = {plate.name: plate for plate in all_figures(made(["softmax"]))}
    assert alone["differences"].caption == "It takes two evaluated gates to compare."


def test_the_front_is_whom_nobody_beats_in_both() -> None:
    places = {"a": (2, 0.3), "b": (8, 0.1), "c": (4, 0.4), "d": (4, 0.2), "e": (9, 0.1)}
    assert pareto_front(places) == ["a", "d", "b"]
    assert pareto_front({"a": (1, 1), "b": (1, 0.5)}) == ["b"]
    assert pareto_front({}) == []


def test_loss_stands_against_experts_a_row_with_both_intervals() -> None:
    review = made(["top_k", "oracle", "random_k", "softmax"])
    drawn = tradeoff(review.comparison)
    assert drawn is not None
    (axes,) = drawn.axes
    x, y = (review.comparison.score("top_k", m) for m in ("gate/experts_per_row", "test/loss"))
    assert x is not None and y is not None
    across, up, marker = (
        (list(line.get_xdata()), list(line.get_ydata())) for line in axes.lines[:3]
    )
    assert across == ([x.low, x.high], [y.mean, y.mean])
    assert up == ([x.mean, x.mean], [y.low, y.high])
    assert marker == ([x.mean], [y.mean])
    labels = axes.get_legend_handles_labels()[1]
    assert labels == ["top_k", "softmax", "random_k (baseline)", "oracle (ceiling)"]
    front = list(axes.lines[-1].get_xdata())
    oracle = review.comparison.score("oracle", "gate/experts_per_row")
    assert oracle is not None and x.mean in front and oracle.mean not in front
    before = compare_runs(SweepRecord("s", tuple(_without(review.record.runs))))
    assert tradeoff(before) is None, "a sweep that was recorded before"


def test_rows_at_one_k_stand_beside_their_gate() -> None:
    review = made(["top_k.k1", "top_k", "softmax", "top_k.k4", "constant"])
    drawn = tradeoff(review.comparison)
    assert drawn is not None
    (axes,) = drawn.axes
    assert axes.get_legend_handles_labels()[1] == ["top_k", "softmax"]
    assert [text.get_text() for text in axes.texts][-2:] == ["k = 1", "k = 4"]
    colour = looks(review.comparison.tested)["top_k"].color
    assert [line.get_color() for line in axes.lines if line.get_markersize() == 4] == [colour] * 2
    joined = [line for line in axes.lines if line.get_linestyle() == ":"]
    assert [len(line.get_xdata()) for line in joined] == [3]
    low, high = (
        review.comparison.score(g, "gate/experts_per_row") for g in review.comparison.gates[2:4]
    )
    front = list(axes.lines[-1].get_xdata())
    assert low is not None and high is not None and low.mean in front


def test_of_several_searches_every_one_is_a_line() -> None:
    table = pd.concat([trials([("finished", 3), ("finished", 2)]), trials([("finished", 1)])])
    drawn = search.best_so_far(table.assign(repeat=["0", "0", "1"]), ["a"])
    assert drawn is not None
    courses_of = [
        list(line.get_ydata()) for line in drawn.axes[0].lines if line.get_marker() == "None"
    ]
    assert courses_of == [[3, 2], [1]]


def test_intervals_over_splits_are_those_of_the_table() -> None:
    """Of splits of the same rows: wider by their correlation."""
    review = made(["top_k", "softmax"], splits=3, seeds=1)
    comparison = review.comparison
    drawn = scores.score_panels(comparison), scores.difference_panels(comparison)
    score, (test,) = (
        comparison.score("top_k", "test/loss"),
        comparison.against("test/loss", "top_k")[:1],
    )
    assert drawn[0] is not None and drawn[1] is not None and score is not None
    spans = [
        [list(line.get_xdata()) for line in one.axes[0].lines if line.get_linestyle() == "-"]
        for one in drawn
        if one is not None
    ]
    assert comparison.test_to_train == 0.25
    assert any(
        span == pytest.approx([score.low, score.high]) for span in spans[0] if len(span) == 2
    )
    apart = sorted((-test.low, -test.high))
    assert any(sorted(span) == pytest.approx(apart) for span in spans[1] if len(span) == 2)


def test_differences_are_never_on_a_logarithm() -> None:
    """0, which decides, would be on none of its axes."""
    review = made(["top_k", "softmax", *(f"g{i}" for i in range(9))])
    drawn = scores.difference_panels(review.comparison)
    assert drawn is not None and drawn.axes[0].get_xscale() == "linear"


def test_an_interval_that_reaches_zero_is_on_no_logarithm() -> None:
    """An R2 of 0.002 and 0.03 is above 0 on each seed, and its interval is not."""
    runs = []
    for run in made(["top_k", "softmax"], seeds=2).record.runs:
        seed = int(run.tags.get("seed", -1))
        found = {"test/loss": 1.0 + seed, "test/mean/accuracy": 0.002 * 15**seed}
        runs.append(replace(run, metrics=found) if seed >= 0 else run)
    drawn = scores_of(compare_runs(SweepRecord("s", tuple(runs))))
    assert drawn[1].get_xscale() == "linear" and drawn[1].get_xlim()[0] < 0


def scores_of(comparison: Comparison) -> list[Axes]:
    drawn = scores.score_panels(comparison)
    assert drawn is not None
    return drawn.axes


def _without(runs: Sequence[RunRecord]) -> Iterator[RunRecord]:
    for run in runs:
        metrics = {k: v for k, v in run.metrics.items() if k != "gate/experts_per_row"}
        yield replace(run, metrics=metrics)


def test_baselines_stand_below_a_line() -> None:
    review = made(["single", "top_k", "softmax"])
    drawn = scores.score_panels(review.comparison)
    assert drawn is not None
    labels = [label.get_text() for label in drawn.axes[0].get_yticklabels()]
    assert labels == ["top_k", "softmax", "single (baseline)"]
    assert any(list(line.get_ydata()) == [1.5, 1.5] for line in drawn.axes[0].lines)


def test_a_gate_named_by_its_module_is_a_file_too() -> None:
    assert file_name("my_gate:my_gate") == "my_gate_my_gate"


def curve(gate: str, seed: str, values: list[float], metric: str = "val/loss") -> pd.DataFrame:
    rows = [(gate, seed, epoch, metric, value) for epoch, value in enumerate(values, 1)]
    return pd.DataFrame(rows, columns=["gate", "seed", "epoch", "metric", "value"])


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


def trials(rows: list[tuple[str, float]]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["end", "objective"])
    return table.assign(gate="a", repeat="0", number=range(len(table)), epoch=1)


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


def images(drawn: Figure) -> list[np.ndarray]:
    found = [image for axes in drawn.axes for image in axes.images]
    assert all(isinstance(image, AxesImage) for image in found)
    return [np.asarray(image.get_array()) for image in found]


def test_overlap_stands_beside_the_planted_truth_in_the_order_of_groups() -> None:
    *_, truth = images(figure("many_targets", "overlap"))
    np.testing.assert_array_equal(truth, np.kron(np.eye(16), np.ones((8, 8))))
    sharp = images(figure("many_targets", "overlap"))[0]
    assert sharp[truth == 1].mean() > 0.9 > 0.2 > sharp[truth == 0].mean()
    np.testing.assert_allclose(sharp, sharp.T)
    assert len(images(figure("small", "overlap"))) == 3, "no truth, no matrix of it"


def test_experts_of_later_seeds_stand_where_they_match() -> None:
    first = np.array([[0.7, 0.2, 0.1], [0.1, 0.1, 0.8]])
    order = np.array([2, 0, 1])
    found = selection.matched(first, first[:, order])
    np.testing.assert_array_equal(first[:, order][:, found], first)
    drawn = selection.weights_heatmap(small().weights, "dselect_k")
    assert drawn is not None
    panels = images(drawn)[:5]
    assert all(float(np.minimum(panels[0], panel).sum()) > 1.5 for panel in panels)


def test_weights_are_the_mean_over_seeds_on_a_scale_of_their_own() -> None:
    """Of twelve experts weighed alike the cells once were white, beside a gate that takes one."""
    weights = {"sharp": [1.0, 0.0, 0.0], "even": [0.4, 0.3, 0.3]}
    rows = [
        (gate, seed, "t", np.nan, (expert + turn) % 3, weight, 1.0)
        for gate, found in weights.items()
        for turn, seed in enumerate("01")
        for expert, weight in enumerate(found)
    ]
    drawn = weights_panels(pd.DataFrame(rows, columns=WEIGHT_COLUMNS), list(weights))
    assert drawn is not None
    titles = [axes.get_title(loc="left") for axes in drawn.axes]
    assert titles == ["sharp\n0 to 1", "even\n0 to 0.4"]
    assert [axes.images[0].get_clim() for axes in drawn.axes] == [(0.0, 1.0), (0.0, 0.4)]
    for axes, found in zip(drawn.axes, weights.values(), strict=True):
        np.testing.assert_allclose(np.asarray(axes.images[0].get_array()), [found])


def test_targets_by_gates_are_a_heatmap_of_deviations_behind_the_best() -> None:
    """By hand: deviations over two seeds of 0.02 and 0.04 apart are 0.0141 and 0.0283."""
    comparison = made(["b", "a"], targets=4, seeds=2).comparison
    rows = []
    for target in range(4):
        for gate, values in {"a": [0.90, 0.92], "b": [0.78, 0.82]}.items():
            rows += [(gate, str(i), f"t{target}", "accuracy", v) for i, v in enumerate(values)]
    table = pd.DataFrame(rows, columns=TARGET_COLUMNS)
    order = by_mean(comparison, "test/loss")
    drawn = targets_figure(table, comparison)
    assert drawn is not None
    (image,) = drawn.axes[0].images
    apart = 0.11 / math.sqrt((0.0002 + 0.0008) / 2)
    expected = {"a": 0.0, "b": apart}
    np.testing.assert_allclose(np.asarray(image.get_array()), [[expected[g] for g in order]] * 4)
    said = {text.get_text(): text.get_fontweight() for text in drawn.axes[0].texts}
    assert said == {"0.910": "bold", "0.800": "normal"}
    assert image.get_clim()[1] == pytest.approx(apart), "the scale ends where the data do"


def test_of_64_targets_every_row_is_named_and_no_number_touches_the_next() -> None:
    drawn = targets_figure(made(targets=64, groups=8).targets, made(targets=64).comparison)
    assert drawn is not None
    axes = drawn.axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()][62:] == ["target_62", "target_63"]
    drawn.draw_without_rendering()
    boxes = [text.get_window_extent() for text in axes.texts]
    assert len(boxes) == 64 * 3
    column = sorted((box.y0, box.y1) for box in boxes[::3])
    assert all(below[1] < above[0] for below, above in pairwise(column))


def test_in_a_page_the_cells_of_64_rows_are_where_their_numbers_are() -> None:
    """A cell's height that is rounded is 64 times too small or too large at the last row."""
    drawn = targets_figure(made(targets=64, groups=8).targets, made(targets=64).comparison)
    assert drawn is not None
    text = svg(drawn, "targets", "")
    (height, top) = map(float, re.findall(r"matrix\(\S+ 0 0 (\S+) \S+ ([^)]+)\)", text)[0])
    inches = drawn.axes[0].get_position().height * drawn.get_figheight()
    assert 64 * height == pytest.approx(72 * inches, abs=0.2) and top > 0


@pytest.mark.parametrize(("targets", "images_of_it"), [(2, 0), (3, 0), (4, 1), (11, 1)])
def test_few_targets_are_panels_of_dots(targets: int, images_of_it: int) -> None:
    review = made(targets=targets)
    drawn = targets_figure(review.targets, review.comparison)
    assert drawn is not None
    assert sum(len(axes.images) for axes in drawn.axes[:targets]) == images_of_it
    assert targets_figure(made(targets=1).targets, review.comparison) is None


def test_the_metric_that_is_told_is_the_objectives_or_one_of_which_more_is_better() -> None:
    directions = Directions(("accuracy", "auroc"), ("rmse",))
    assert preferred(["loss", "rmse", "auroc", "accuracy"], directions) == "accuracy"
    assert preferred(["loss", "auroc", "accuracy"], directions, "val/mean/auroc") == "auroc"
    assert preferred(["loss", "rmse", "odd"], directions) == "rmse"
    assert preferred(["loss", "odd"], directions) == "loss"
    assert preferred([], directions) is None


def test_captions_are_one_sentence_and_notes_say_what_is_drawn() -> None:
    for shape in ("small", "many_targets"):
        for plate in plates(shape).values():
            assert plate.figure is not None, plate.name
            assert plate.caption.endswith(".") and ". " not in plate.caption, plate.name
            assert len(plate.caption) < 120 and len(plate.note) > 60, plate.name


def test_many_rows_are_named_by_their_groups_or_thinned() -> None:
    named = figure("many_targets", "weights").axes[0].get_yticklabels()
    assert [label.get_text() for label in named] == [f"group {i}" for i in range(16)]
    table = many_targets().weights.assign(group=np.nan)
    drawn = selection.weights_heatmap(table, "softmax")
    assert drawn is not None
    assert 20 < len(drawn.axes[0].get_yticklabels()) < 60


def test_load_is_from_the_most_to_the_least_used() -> None:
    review = small()
    drawn = selection.load_curves(review.weights, review.comparison.gates)
    assert drawn is not None
    for line in drawn.axes[0].lines:
        shares = np.asarray(line.get_ydata(), dtype=float)
        assert (np.diff(shares) <= 0).all() and 0 <= shares[-1] < shares[0] <= 1


@pytest.mark.parametrize(("gates", "panels"), [(MOST_TOGETHER, 1), (MOST_TOGETHER + 1, 2)])
def test_many_gates_share_few_panels_with_the_others_behind(gates: int, panels: int) -> None:
    names = [f"g{i}" for i in range(gates)]
    table = pd.concat(curve(g, "0", [2, 1], "gate/experts_per_example") for g in names)
    drawn = courses.experts_per_example_curves(table, names)
    assert drawn is not None
    assert len(drawn.axes) == panels
    if panels > 1:
        assert all(len(axes.lines) == gates + 2 * 3 for axes in drawn.axes)
        assert len({axes.get_ylim() for axes in drawn.axes}) == 1


def test_no_two_gates_of_a_panel_have_one_colour() -> None:
    names = [f"gate{i}" for i in range(19)]
    look = looks(names)
    names.sort(key=lambda gate: look[gate].color)  # so that those of one colour come together
    parts = together(names, look, MOST_TOGETHER)
    assert sorted(gate for part in parts for gate in part) == sorted(names)
    for part in parts:
        assert len({look[gate].color for gate in part}) == len(part) <= MOST_TOGETHER
    assert min(map(len, parts)) > 1, "no gate has a panel to itself"
    assert len(together(sorted(names), look, MOST_TOGETHER)) == 4


def test_legends_have_the_markers_of_the_lines() -> None:
    for name in ("curves", "experts_per_example", "weight_change", "load", "search"):
        (legend,) = figure("small", name).legends
        shown = {t.get_text(): h for t, h in zip(legend.texts, legend.legend_handles, strict=True)}
        for gate, look in looks(MADE).items():
            handle = shown[gate]
            assert isinstance(handle, Line2D) and handle.get_marker() == look.marker, name


def test_names_are_not_taken_for_formulas() -> None:
    table = small().weights.replace({"target_0": "$x_{$", "target_1": "100% <&>"})
    drawn = selection.weights_heatmap(table, "softmax")
    assert drawn is not None
    found = {
        "".join(e.itertext()) for e in ElementTree.fromstring(svg(drawn, "w", "")).iter("text")
    }
    assert {"$x_{$", "100% <&>"} <= found


def test_ids_of_two_figures_do_not_clash() -> None:
    drawn = figure("small", "curves")
    first, second = svg(drawn, "a", ""), svg(drawn, "b", "")
    ids = [
        {e.get("id") for e in ElementTree.fromstring(text).iter() if e.get("id")}
        for text in (first, second)
    ]
    assert ids[0] and not ids[0] & ids[1]


def test_a_figure_is_laid_out_once_and_drawn_once_to_be_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn, panels = grid(4, 2, 2.0, 1.5)
    before = panels[0].get_position().bounds
    drawings: list[int] = []
    monkeypatch.setattr(Axes, "draw", lambda *_: drawings.append(1))
    svg(drawn, "a", "")
    laid = panels[0].get_position().bounds
    assert laid != before
    save_figure(drawn, tmp_path / "a.png")
    assert panels[0].get_position().bounds == laid
    assert len(drawings) == 2 * len(panels)


@pytest.mark.parametrize("ticks", [3, 5])
@pytest.mark.parametrize("ratio", [8.0, 12.0, 40.0, 99.0, 1e3, 1e5])
def test_a_logarithmic_axis_says_two_numbers_at_least(ticks: int, ratio: float) -> None:
    """One alone says nothing of the scale."""
    for low in (0.1, 0.11, 0.27, 0.4, 0.9):
        axes = Figure(figsize=(1.6, 2)).subplots()
        fit(axes, "x", [low, low * ratio], ticks)
        axes.plot([low, low * ratio], [0, 1])
        assert axes.get_xscale() == ("log" if ratio >= DECADES else "linear")
        told = [tick for tick in axes.get_xticks() if low <= tick <= low * ratio]
        assert len(told) >= 2, (low, told)
