"""The look of every figure: a gate's colour and marker, sizes and scales."""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from gatelab.results.figures.labels import FittedTitles

COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8833dd")
"""Okabe and Ito's, a violet for their yellow, which white paper swallows.

Any two of them differ by 16 or more in CIELAB, for readers with full and with each kind of reduced
colour vision, and each by 2.2:1 or more from a white page, 2.5:1 from a dark one.
"""
MARKERS = "osD^vP*X"
INK = "#010203"
"""Of text and axes: in a page it becomes the page's own text colour."""
GREY = "#88888870"
"""Of what stands behind for comparison."""
WIDTH = 7.2
"""Inches, of a figure that fills a page's column."""
HALF_WIDTH = 4.9
"""Inches, of one that stands beside another, and can be read on a phone."""
DECADES = 10
"""An axis whose values span more than this factor is logarithmic."""

Values = Sequence[float] | npt.NDArray[np.floating]

mpl.rcParams.update(
    {
        "font.size": 9,
        "font.sans-serif": ["DejaVu Sans"],
        "text.parse_math": False,  # a name with dollars is a name
        "text.hinting": "none",  # or a layout takes letters to be narrower than a page shows them
        "axes.titlesize": 9,
        "axes.labelsize": 9,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.edgecolor": INK,
        "axes.labelcolor": INK,
        "axes.linewidth": 0.6,
        "axes.formatter.useoffset": False,
        "text.color": INK,
        "xtick.color": INK,
        "ytick.color": INK,
        "xtick.labelsize": 8,
        "ytick.labelsize": 8,
        "xtick.major.width": 0.6,
        "ytick.major.width": 0.6,
        "grid.color": "#88888838",
        "grid.linewidth": 0.6,
        "lines.linewidth": 1.7,
        "legend.frameon": False,
        "figure.dpi": 120,
        "savefig.dpi": 144,
        "svg.fonttype": "none",  # text stays text: smaller, and a reader can search it
        "svg.hashsalt": "gatelab",  # the same figure is the same file
    }
)


@dataclass(frozen=True)
class Look:
    """How a gate is drawn, the same in every figure."""

    color: str
    marker: str


def looks(gates: Sequence[str]) -> dict[str, Look]:
    """Return every gate's look; it follows from the name, as long as no other gate claims it."""
    found: dict[str, Look] = {}
    taken: set[int] = set()
    for gate in sorted(gates):
        slot = zlib.crc32(gate.encode()) % len(COLORS)
        while slot in taken and len(taken) < len(COLORS):
            slot = (slot + 1) % len(COLORS)
        if len(taken) == len(COLORS):
            taken.clear()  # from here on a colour comes again, with another marker
        taken.add(slot)
        again = len(found) // len(COLORS)
        found[gate] = Look(COLORS[slot], MARKERS[(slot + again) % len(MARKERS)])
    return {gate: found[gate] for gate in gates}


def grid(
    count: int, columns: int, width: float, height: float, **share: Any
) -> tuple[Figure, list[Axes]]:
    """Return a figure of so many panels in so many columns, a panel of so many inches.

    Shared axes are labelled at the left and below, under a gap in the last row too.
    """
    rows = math.ceil(count / columns)
    gaps = FittedTitles(w_pad=0.06, h_pad=0.05)
    figure = Figure(figsize=(width * columns, height * rows), layout=gaps)
    panels = figure.subplots(rows, columns, squeeze=False, **share)
    for index in range(count, rows * columns):
        panels.flat[index].remove()
        panels.flat[index - columns].tick_params(labelbottom=True)
    return figure, list(panels.flat[:count])


def fit(axes: Axes, which: Literal["x", "y"], values: Values, ticks: int = 5) -> None:
    """Make an axis logarithmic where its values span decades, and say its numbers plainly."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    array = np.asarray(values, dtype=float)
    array = array[np.isfinite(array)]
    if not is_wide(array):
        axis.set_major_locator(MaxNLocator(ticks, steps=[1, 2, 2.5, 5, 10]))
        return
    axes.set(**{f"{which}scale": "log"})
    decades = np.floor(np.log10(array.max())) - np.ceil(np.log10(array.min())) + 1
    short = decades < 2 or (array.max() / array.min() < 300 and ticks > 3)  # too few to read by
    axis.set_major_locator(LogLocator(subs=(1, 3) if short else (1,), numticks=max(4, ticks)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def is_wide(values: npt.NDArray[np.floating]) -> bool:
    """Return whether finite values span so much that their axis is to be logarithmic."""
    return len(values) > 0 and bool(values.min() > 0 and values.max() / values.min() >= DECADES)


def whole(axis: Axis) -> None:
    """Let an axis say whole numbers only."""
    axis.set_major_locator(MaxNLocator(5, integer=True, min_n_ticks=1))  # one point has one number


def lay_out(figure: Figure) -> None:
    """Lay a figure out for good: matplotlib draws one that has a layout engine twice, to save it.

    That it has none is ``None``; "none" would keep the engine's place, and the second drawing.
    """
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.execute(figure)
        figure.set_layout_engine(None)


def save_figure(figure: Figure, path: str | Path) -> None:
    """Write a figure as a PNG file, on white."""
    lay_out(figure)
    figure.savefig(path, facecolor="white")
