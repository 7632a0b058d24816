"""Panels by gate: few gates in one, many in one each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gatelab.results.figures.style import GREY, WIDTH, grid

MOST_TOGETHER = 5
"""With more gates than this, each has a panel, with the others in grey behind."""

BEHIND: dict[str, Any] = {"color": GREY, "linewidth": 0.6, "zorder": 1.0}
"""How a gate's line is drawn in another's panel."""

Draw = Callable[[Axes, str], object]
"""Draws a gate."""


def by_gate(
    gates: Sequence[str], draw: Draw, behind: Draw, x: str, y: str, most: int = MOST_TOGETHER
) -> tuple[Figure, list[Axes]]:
    """Draw gates in one panel, or where they are many in one each, on the same scales.

    Args:
        gates: Their names, at least one.
        draw: Draws a gate with its name as label.
        behind: Draws a gate in another's panel.
        x: What the horizontal axes say.
        y: What the vertical axes say.
        most: So many gates are drawn in one panel.
    """
    if len(gates) <= most:
        figure, panels = grid(1, 1, WIDTH, 3.0)
        for gate in gates:
            draw(panels[0], gate)
        legend(figure, panels[0])
    else:
        figure, panels = grid(len(gates), 4, WIDTH / 4, 1.6, sharex=True, sharey=True)
        for axes, gate in zip(panels, gates, strict=True):
            for other in gates:
                behind(axes, other)
            draw(axes, gate)
            axes.set_title(gate, loc="left")
    figure.supxlabel(x, fontsize=9)
    figure.supylabel(y, fontsize=9)
    for axes in panels:
        axes.grid(axis="y")
    return figure, panels


def legend(figure: Figure, axes: Axes) -> None:
    """Say above a figure which gate is which."""
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper left", ncols=MOST_TOGETHER)
