"""Figures: every shape of a review is drawn, a gate looks the same everywhere, data stay data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pandas as pd
import pytest
from made_reviews import MADE, SHAPES, made, small
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from gatelab.results.comparison import Comparison, compare_runs
from gatelab.results.costs import COSTS
from gatelab.results.figures import courses, scores, selection
from gatelab.results.figures.catalogue import NO_WEIGHTS, all_figures
from gatelab.results.figures.inline import svg
from gatelab.results.figures.panels import MOST_TOGETHER, together
from gatelab.results.figures.plate import NOT_EVALUATED, file_name
from gatelab.results.figures.style import DECADES, fit, grid, looks, save_figure, whole
from gatelab.results.figures.tradeoff import pareto_front, tradeoff
from gatelab.tracking.runs import RunRecord, SweepRecord
from gatelab.tracking.schema import Metrics
from tests.drawn import LARGE, check_figures, curve, figure, plates
from tests.recorded_scores import recorded

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


def test_a_gate_that_another_hides_says_which() -> None:
    """Of three at one place the first is seen."""
    found = {"test/loss": 0.5, Metrics.EXPERTS_PER_ROW: 4.0}
    worse = found | {"test/loss": 0.6}
    gates = {"a": found, "b": found, "c": worse, "d": found}
    evaluations = [(g, 0, 0, seed, it) for g, it in gates.items() for seed in range(2)]
    drawn = tradeoff(compare_runs(recorded(evaluations)))
    assert drawn is not None
    (axes,) = drawn.axes
    handles, names = axes.get_legend_handles_labels()
    assert names == ["a", "b, under a", "c", "d, under a"]
    orders = [handle.get_zorder() for handle in handles]
    assert orders == sorted(orders, reverse=True)


def test_no_axis_has_fewer_experts_than_none() -> None:
    """An interval of 1 and 7 experts on two seeds reaches from -34 to 42."""
    runs = [
        replace(run, metrics={**run.metrics, Metrics.EXPERTS_PER_ROW: 1 + 6 * float(seed)})
        if (seed := run.tags.get("seed"))
        else run
        for run in made(["top_k", "softmax"], seeds=2).record.runs
    ]
    drawn = tradeoff(compare_runs(SweepRecord("s", tuple(runs))))
    assert drawn is not None
    assert drawn.axes[0].get_xlim()[0] == 0 and drawn.axes[0].get_xlim()[1] > 40


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


@pytest.mark.parametrize(("count", "ticks"), [(0.0, ["0", "1"]), (2.0, ["0", "1", "2"])])
def test_gates_of_few_parameters_or_none_have_an_axis_of_whole_numbers_from_0(
    count: float, ticks: list[str]
) -> None:
    runs = small().record.runs
    bare = [
        replace(run, metrics={**run.metrics, Metrics.GATE_PARAMETERS: count})
        if Metrics.GATE_PARAMETERS in run.metrics
        else run
        for run in runs
    ]
    drawn = scores.cost_panels(compare_runs(SweepRecord("s", tuple(bare))))
    assert drawn is not None
    axes = drawn.axes[list(COSTS).index(Metrics.GATE_PARAMETERS)]
    drawn.draw_without_rendering()
    shown = [tick.get_text() for tick in axes.get_xticklabels()]
    low, high = axes.get_xlim()
    inside = [low <= place <= high for place in axes.get_xticks()]
    assert [text for text, seen in zip(shown, inside, strict=True) if seen] == ticks


def test_an_axis_of_whole_numbers_has_one_at_a_single_point() -> None:
    axes = Figure().add_subplot()
    axes.plot([1], [0.5], "o")
    whole(axes.xaxis)
    low, high = axes.get_xlim()
    assert [tick for tick in axes.get_xticks() if low <= tick <= high] == [1]
