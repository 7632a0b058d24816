"""Panels by gate: few gates in one, of many a few in each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gatelab.results.figures.labels import letters, lines, wrapped
from gatelab.results.figures.style import GREY, WIDTH, Look, grid

MOST_TOGETHER = 5
"""With more gates than this there are several panels, with all gates in grey behind their own."""

LEGEND_LETTER = 0.07
"""Inches of a letter of a legend."""
LEGEND_LINE = 0.17
"""Inches of a line of one."""
BEHIND: dict[str, Any] = {"color": GREY, "linewidth": 0.6, "zorder": 1.0}
"""How a gate's line is drawn in another's panel."""

Draw = Callable[[Axes, str], object]
"""Draws a gate."""


def by_gate(
    gates: Sequence[str],
    look: Mapping[str, Look],
    draw: Draw,
    behind: Draw,
    x: str,
    y: str,
    most: int = MOST_TOGETHER,
) -> tuple[Figure, list[Axes]]:
    """Draw gates in one panel, or where they are many in several on the same scales.

    Args:
        gates: Their names, at least one.
        look: How each is drawn: no two of one colour share a panel.
        draw: Draws a gate with its name as label.
        behind: Draws a gate in a panel of others.
        x: What the horizontal axes say.
        y: What the vertical axes say.
        most: So many gates are drawn in one panel.
    """
    parts = together(gates, look, most)
    columns = min(2, len(parts))
    beside = legend_columns(gates, WIDTH / columns)
    legends = max(legend_height(part, beside) for part in parts)
    height = (3.03 if len(parts) == 1 else 2.0) + legends
    figure, panels = grid(len(parts), columns, WIDTH / columns, height, sharex=True, sharey=True)
    for axes, part in zip(panels, parts, strict=True):
        for other in gates if len(parts) > 1 else ():
            behind(axes, other)
        for gate in part:
            draw(axes, gate)
        axes.grid(axis="y")
        if len(parts) > 1:
            above: dict[str, Any] = {"loc": "lower left", "bbox_to_anchor": (-0.02, 1.0)}
            axes.legend(*_named(axes), **above, ncols=beside, fontsize=8)
    if len(parts) == 1:
        legend(figure, panels[0])
    figure.supxlabel(x, fontsize=9)
    figure.supylabel(y, fontsize=9)
    return figure, panels


def together(gates: Sequence[str], look: Mapping[str, Look], most: int) -> list[list[str]]:
    """Return the gates of each panel: few in a panel, and none of one colour with another."""
    count = -(-len(gates) // most)
    parts: list[list[str]] = [[] for _ in range(count)]
    for gate in gates:
        fitting = [
            part
            for part in parts
            if len(part) < most and look[gate].color not in {look[it].color for it in part}
        ]
        if not fitting:
            parts.append([])
        even = [part for part in fitting if len(part) < -(-len(gates) // count)]
        (even or fitting or parts[-1:])[0].append(gate)
    return [part for part in parts if part]


def legend_columns(names: Sequence[str], width: float) -> int:
    """Return how many columns of names fit above a figure of so many inches."""
    return max(1, min(MOST_TOGETHER, int(width / (0.5 + LEGEND_LETTER * letters(names)))))


def legend_height(names: Sequence[str], columns: int) -> float:
    """Return how many inches names take above a figure in so many columns."""
    return LEGEND_LINE * lines(names) * -(-len(names) // columns)


def legend(figure: Figure, axes: Axes, columns: int | None = None) -> None:
    """Say above a figure which gate is which."""
    columns = columns or legend_columns(axes.get_legend_handles_labels()[1], WIDTH)
    figure.legend(*_named(axes), loc="outside upper left", ncols=columns)


def _named(axes: Axes) -> tuple[list[Artist], list[str]]:
    """Return what a legend shows, and the names of it."""
    handles, names = axes.get_legend_handles_labels()
    return handles, [wrapped(name) for name in names]
