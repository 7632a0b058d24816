"""Heatmaps that lie on a page of any colour: from the page itself to full blue."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from gatelab.results.figures.labels import shortened
from gatelab.results.figures.style import INK

Array = npt.NDArray[np.floating]

BLUE = (0x21 / 255, 0x70 / 255, 0xCC / 255)
HEAT = LinearSegmentedColormap.from_list("heat", [(*BLUE, 0.0), (*BLUE, 1.0)])
"""From the page showing through to full blue, so that 0 is no colour in the light and the dark."""
WHITE_ABOVE = 0.9
"""Of the scale: numbers are white above, else the page's ink; in contrast to any cell by 4:1."""
NAME_WIDTH = 0.13
"""Inches of height for a row's name."""
EDGE = "#888888a0"
"""Of borders."""


def heat(axes: Axes, values: Array, most: float, numbers: bool) -> None:
    """Draw a matrix as cells, on a scale from 0 to ``most``, and say its numbers if asked to.

    A cell of NaN is empty.
    """
    axes.imshow(values, cmap=HEAT, vmin=0, vmax=most, aspect="auto", interpolation="none")
    axes.spines[:].set_visible(True)
    axes.spines[:].set_color(EDGE)
    axes.tick_params(length=0)
    if not numbers:
        return
    for (row, column), value in np.ndenumerate(values):
        if np.isnan(value):
            continue
        color = "white" if value > WHITE_ABOVE * most else INK
        axes.text(
            column, row, _said(float(value)), ha="center", va="center", color=color, fontsize=7
        )


def _said(value: float) -> str:
    """Return a number in [0, 1] in two digits; 0 and 1 only where it is just that."""
    return f"{value:.0f}" if value in (0, 1) else f"{value:.2f}".removeprefix("0")


def scale(figure: Figure, axes: Sequence[Axes], label: str) -> None:
    """Draw the scale of heatmaps beside them."""
    # The layout finds no room for more than a little padding: with 0.02 the label was cut.
    bar = figure.colorbar(
        axes[0].images[0], ax=list(axes), label=label, fraction=0.03, pad=0.005, aspect=25
    )
    assert bar.solids is not None
    bar.solids.set_rasterized(True)  # else 256 shapes, with seams between them
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=0)


def name_rows(axes: Axes, names: Sequence[str], groups: Sequence[object], height: float) -> None:
    """Name a heatmap's rows: each where so many inches have room, else their groups, else some."""
    room = max(1, int(height / NAME_WIDTH))
    places, labels = list(range(len(names))), [shortened(name) for name in names]
    if len(names) > room and groups:
        runs = _runs(groups)
        places, labels = [(a + b - 1) // 2 for a, b, _ in runs], [f"group {g}" for *_, g in runs]
    step = -(-len(labels) // room)
    axes.set_yticks(places[::step], labels[::step], fontsize=7)


def borders(axes: Axes, groups: Sequence[object], *, both: bool = False) -> None:
    """Draw lines between groups of rows, and of columns where they are the same."""
    for start, _, _ in _runs(groups)[1:]:
        axes.axhline(start - 0.5, color=EDGE, linewidth=0.6)
        if both:
            axes.axvline(start - 0.5, color=EDGE, linewidth=0.6)


def _runs(groups: Sequence[object]) -> list[tuple[int, int, object]]:
    """Return start, end and name of each group in a sequence that is sorted by them."""
    starts = [i for i, group in enumerate(groups) if i == 0 or groups[i - 1] != group]
    return [(a, b, groups[a]) for a, b in pairwise([*starts, len(groups)])]
