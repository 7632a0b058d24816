"""Notes beside points do not lie over each other."""

from __future__ import annotations

from itertools import combinations

import pytest
from made_reviews import made
from matplotlib.figure import Figure

from gatelab.results.figures.notes import write_notes
from gatelab.results.figures.style import grid
from gatelab.results.figures.tradeoff import tradeoff


def _overlaps(figure: Figure) -> list[tuple[str, str]]:
    notes = figure.axes[0].texts
    return [
        (one.get_text(), other.get_text())
        for one, other in combinations(notes, 2)
        if one.get_window_extent().overlaps(other.get_window_extent())
    ]


@pytest.mark.parametrize("apart", [0.0, 0.01, 0.03, 0.2])
def test_notes_of_near_points_choose_other_corners(apart: float) -> None:
    figure, (axes,) = grid(1, 1, 4.9, 3.0)
    points = [(0.5 + apart * at, 0.5 + apart * at) for at in range(4)]
    axes.plot(*zip(*points, strict=True), "o")
    axes.set(xlim=(0, 2), ylim=(0, 2))
    write_notes(figure, axes, [(f"k = {at}", point) for at, point in enumerate(points)], points)
    assert [note.get_text() for note in axes.texts] == ["k = 0", "k = 1", "k = 2", "k = 3"]
    assert _overlaps(figure) == []


def test_a_note_alone_stands_above_at_the_right() -> None:
    figure, (axes,) = grid(1, 1, 4.9, 3.0)
    axes.plot([0, 1], [0, 1], "o")
    write_notes(figure, axes, [("k = 2", (0.0, 0.0))], [(0.0, 0.0), (1.0, 1.0)])
    (note,) = axes.texts
    x, y = axes.transData.transform((0.0, 0.0))
    assert note.get_window_extent().x0 > x and note.get_window_extent().y0 > y


def test_rows_of_a_trade_off_are_all_noted() -> None:
    drawn = tradeoff(made(["top_k.k1", "top_k", "softmax", "top_k.k4"]).comparison)
    assert drawn is not None
    assert [note.get_text() for note in drawn.axes[0].texts][-2:] == ["k = 1", "k = 4"]
    assert _overlaps(drawn) == []
