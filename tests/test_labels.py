"""Labels of any length: what they say stays whole, and no panel or title gives way to them."""

from __future__ import annotations

from itertools import pairwise

import pytest
from made_reviews import made, small
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.textpath import TextPath

from gatelab.results.figures.catalogue import all_figures
from gatelab.results.figures.labels import ELLIPSIS, MOST_LETTERS, shortened, wrapped
from gatelab.results.figures.scores import score_panels
from gatelab.results.figures.style import HALF_WIDTH, grid, lay_out
from gatelab.results.figures.targets import targets_figure
from gatelab.results.figures.weights import weights_panels

LONG = "dselect_k_variant_{} (a_sweep_of_many_digits_with_a_very_long_name)"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("softmax", "softmax"),
        ("random_k (baseline)", "random_k (baseline)"),
        ("dselect_k_with_a_rather_long_name", "dselect_k_with_a_rather_\nlong_name"),
        ("two words are said beside each other", "two words are said\nbeside each other"),
        ("x" * 30, "x" * 24 + "\n" + "x" * 6),
        ("sharp\n0 to 1", "sharp\n0 to 1"),
        ("", ""),
    ],
)
def test_a_name_is_broken_between_its_words_and_left_whole(name: str, said: str) -> None:
    assert wrapped(name) == said
    assert max(map(len, said.split("\n"))) <= MOST_LETTERS


def test_a_name_in_one_line_has_its_beginning_and_its_end() -> None:
    assert shortened("target_of_twenty_letters") == "target_of_twenty_letters"
    assert shortened("income in 2019, in thousands") == f"income in 20{ELLIPSIS}n thousands"


def test_long_names_of_targets_are_shortened_beside_their_rows() -> None:
    table = small().weights.replace({"target_0": "income in 2019, in thousands"})
    drawn = weights_panels(table, ["softmax"])
    assert drawn is not None
    names = [label.get_text() for label in drawn.axes[0].get_yticklabels()]
    assert names == [f"income in 20{ELLIPSIS}n thousands", "target_1"]


def extents(drawn: Figure) -> tuple[list[Axes], dict[Axes, list[Text]]]:
    """Return a laid out figure's panels, and the titles of each."""
    lay_out(drawn)
    titles = {
        axes: [it for it in axes.get_children() if isinstance(it, Text) and it.get_text()]
        for axes in drawn.axes
    }
    return drawn.axes, {a: [t for t in own if t not in a.texts] for a, own in titles.items()}


@pytest.mark.slow
@pytest.mark.parametrize("gates", [5, 12])
def test_long_names_leave_every_panel_its_room(gates: int) -> None:
    """Panels once were 3 pixels wide, and titles wrote over each other."""
    review = made([LONG.format(i) for i in range(gates)], targets=4, trials=8)
    for plate in all_figures(review):
        assert plate.figure is not None
        panels, titles = extents(plate.figure)
        for axes in panels:
            box = axes.get_window_extent()
            assert min(box.width, box.height) > (8 if axes.get_label() == "<colorbar>" else 80)
            for title in titles[axes]:
                assert title.get_window_extent().width <= 1.15 * box.width, plate.name
            _stands_inside(plate.figure, axes.xaxis.label, plate.name)
            _stands_inside(plate.figure, axes.yaxis.label, plate.name)


def _stands_inside(drawn: Figure, text: Text, name: str) -> None:
    box, page = text.get_window_extent(), drawn.bbox
    assert not text.get_text() or (box.x0 >= 0 and box.y0 >= 0), name
    assert not text.get_text() or (box.x1 <= page.width and box.y1 <= page.height), name


@pytest.mark.parametrize("plate", ["scores", "targets"])
def test_long_labels_do_not_touch(plate: str) -> None:
    review = made([LONG.format(i) for i in range(5)], targets=4, trials=2)
    (drawn,) = (p.figure for p in all_figures(review) if p.name == plate)
    assert drawn is not None
    lay_out(drawn)
    axes = drawn.axes[0]
    across = plate == "targets"
    labels = axes.get_xticklabels() if across else axes.get_yticklabels()
    boxes = [label.get_window_extent() for label in labels]
    sides = sorted((box.x0, box.x1) if across else (box.y0, box.y1) for box in boxes)
    assert len(sides) == 5 and all(a[1] <= b[0] for a, b in pairwise(sides))
    said = {label.get_text().replace("\n", "").replace(" ", "") for label in labels}
    assert said == {LONG.format(i).replace(" ", "") for i in range(5)}, "nothing is left out"


@pytest.mark.parametrize(
    ("gates", "label"),
    [(24, "{0}_of_the_gates_of_a_user_with_long_names_{0}"), (18, LONG), (60, "the_{}th_gate")],
)
def test_labels_of_many_gates_do_not_touch_above_a_heatmap(gates: int, label: str) -> None:
    """In several lines they lay over each other; in one, none may be taken for another."""
    review = made([label.format(i) for i in range(gates)], targets=4, seeds=2, trials=2)
    drawn = targets_figure(review.targets, review.comparison)
    assert drawn is not None
    lay_out(drawn)
    labels = drawn.axes[0].get_xticklabels()
    sides = sorted((box.x0, box.x1) for box in (it.get_window_extent() for it in labels))
    assert len(sides) == gates and all(a[1] <= b[0] for a, b in pairwise(sides))
    assert len({it.get_text() for it in labels}) == gates
    assert min(it.get_window_extent().y0 for it in labels) > drawn.axes[0].get_window_extent().y1


def test_a_label_has_room_for_its_letters_as_a_page_shows_them() -> None:
    """A page takes their outlines' widths, and no screen's whole points."""
    figure = score_panels(made(["g" * 70, "softmax"]).comparison)
    assert figure is not None
    lay_out(figure)
    label = max(figure.axes[0].get_yticklabels(), key=lambda it: len(it.get_text()))
    line = TextPath((0, 0), label.get_text().split("\n")[0], size=label.get_fontsize())
    shown = line.get_extents().width * figure.dpi / 72
    assert label.get_window_extent().x1 - shown >= 0


def test_a_title_is_as_long_as_its_panel() -> None:
    drawn, panels = grid(2, 2, HALF_WIDTH / 2, 1.5)
    for axes in panels:
        axes.set_title(LONG.format(1), loc="left")
        axes.set_xlabel("short")
    lay_out(drawn)
    for axes in panels:
        room = axes.get_window_extent().width
        (title,) = (t for t in axes.get_children() if isinstance(t, Text) and t.get_text())
        assert "\n" in title.get_text() and title.get_window_extent().width <= 1.15 * room
        assert room > 200 and axes.get_xlabel() == "short"
