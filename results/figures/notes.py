"""Notes beside points: each at a corner of its point where it lies over nothing, if any is free."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Annotation
from matplotlib.transforms import Bbox

from gatelab.results.figures.style import lay_out

Note = tuple[str, tuple[float, float]]
"""What is said, and the point of which."""
ASIDE = 5
"""Points between a point and its note, each way."""
CORNERS: Sequence[tuple[Literal["left", "right"], Literal["bottom", "top"]]] = (
    ("left", "bottom"),  # of the note, which then stands above its point at the right
    ("left", "top"),
    ("right", "bottom"),
    ("right", "top"),
)


def write_notes(
    figure: Figure, axes: Axes, notes: Sequence[Note], points: Sequence[tuple[float, float]]
) -> None:
    """Write notes beside points; the figure is laid out for good, so that their places are known.

    Args:
        figure: Of the axes.
        axes: With all else drawn.
        notes: In the order in which they choose their corners.
        points: All that are drawn, over which no note is to lie.
    """
    lay_out(figure)
    drawn = [Bbox.from_bounds(x, y, 0, 0).padded(4) for x, y in axes.transData.transform(points)]
    written: list[Bbox] = []
    for said, place in notes:
        note = axes.annotate(said, place, xytext=(0, 0), textcoords="offset points", fontsize=7)
        boxes = [_at(note, corner) for corner in range(len(CORNERS))]
        over = [(it.count_overlaps(written), it.count_overlaps(drawn)) for it in boxes]
        written.append(_at(note, over.index(min(over))))


def _at(note: Annotation, corner: int) -> Bbox:
    """Set a note at a corner of its point, and return where it then lies."""
    across, along = CORNERS[corner]
    note.set(ha=across, va=along)
    note.set_position(
        (ASIDE if across == "left" else -ASIDE, ASIDE if along == "bottom" else -ASIDE)
    )
    return note.get_window_extent()
