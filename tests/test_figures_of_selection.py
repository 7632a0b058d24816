"""Figures of weights and targets: who uses which expert, beside what is planted."""

from __future__ import annotations

import math
import re
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from made_reviews import made, many_targets, small
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from gatelab.results.comparison.headline import preferred
from gatelab.results.comparison.score_grids import by_mean
from gatelab.results.figures import selection
from gatelab.results.figures.inline import svg
from gatelab.results.figures.targets import targets_figure
from gatelab.results.figures.weights import weights_panels
from gatelab.results.review import TARGET_COLUMNS, WEIGHT_COLUMNS
from gatelab.tracking.schema import Directions
from tests.drawn import figure, plates


def images(drawn: Figure | None) -> list[np.ndarray]:
    assert drawn is not None
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


def _of_two_searches(turned: bool = False) -> pd.DataFrame:
    """Weights and loads of one gate, after a search that selects two experts and one, four."""
    two = [[1.0, 0.0], [0.0, 1.0]], [0.9, 0.3]
    four = [[0.0, 0.0, 1.0, 0.0], [0.4, 0.6, 0.0, 0.0]], [0.5, 0.2, 1.0, 0.0]
    seeds = enumerate([four, two] if turned else [two, four])
    rows = [
        ("a", str(seed), f"t{target}", np.nan, expert, weight, loads[expert])
        for seed, (weights, loads) in seeds
        for target, own in enumerate(weights)
        for expert, weight in enumerate(own)
    ]
    return pd.DataFrame(rows, columns=WEIGHT_COLUMNS)


@pytest.mark.parametrize("turned", [False, True])
def test_searches_may_select_different_numbers_of_experts(turned: bool) -> None:
    """Two experts match the third and second of four: (1 + 1) / 2, (1 + 0.6) / 2, and 0.4 / 2.

    Loads from the most used: (0.9 + 1) / 2 and (0.3 + 0.5) / 2; 0.2 and 0 of the seed of four.
    """
    table = _of_two_searches(turned)
    (means,) = images(weights_panels(table, ["a"]))
    np.testing.assert_allclose(means, [[1, 0, 0, 0], [0, 0.2, 0.8, 0]])
    loads = selection.load_curves(table, ["a"])
    assert loads is not None
    (line,) = loads.axes[0].lines
    np.testing.assert_allclose(np.asarray(line.get_ydata()), [0.95, 0.4, 0.2, 0])
    (shared,) = images(selection.overlap(table, ["a"]))
    np.testing.assert_array_equal(shared, np.eye(2))


def test_a_seed_with_fewer_experts_has_empty_columns_without_a_number() -> None:
    drawn = selection.weights_heatmap(_of_two_searches(), "a")
    assert drawn is not None
    few, many = images(drawn)[:2]
    np.testing.assert_array_equal(few[:, 1:3], [[0, 1], [1, 0]])
    assert np.isnan(few[:, [0, 3]]).all() and np.isfinite(many).all()
    labels = [[label.get_text() for label in a.get_xticklabels()] for a in drawn.axes[:2]]
    assert labels == [["1", "0"], ["0", "1", "2", "3"]]


def test_a_panel_is_as_wide_as_the_gate_with_the_most_experts_needs() -> None:
    table = _of_two_searches()
    few = table[table["seed"] == "0"].assign(gate="b")
    drawn = weights_panels(pd.concat([few, table]), ["b", "a"])
    assert [panel.shape for panel in images(drawn)] == [(2, 2), (2, 4)]
    turned = weights_panels(pd.concat([few, table]), ["a", "b"])
    assert drawn is not None and turned is not None
    assert drawn.get_figwidth() == turned.get_figwidth()
