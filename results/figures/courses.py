"""Courses over epochs, by gate: the mean over seeds, in the band of all of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gatelab.results.figures.panels import (
    BEHIND,
    MOST_TOGETHER,
    Draw,
    by_gate,
    legend,
    legend_columns,
    legend_height,
)
from gatelab.results.figures.style import WIDTH, Look, fit, grid, is_wide, looks, whole
from gatelab.tracking.schema import Metrics

Courses = dict[str, pd.DataFrame]
"""By gate, a row an epoch."""
DEEPEST = 1e3
"""Of a logarithmic axis: how much smaller than the largest mean the smallest shown is."""
TRAIN, VAL = Metrics.TRAIN_LOSS, Metrics.VAL_LOSS


def learning_curves(curves: pd.DataFrame, gates: Sequence[str]) -> Figure | None:
    """Draw the training and the validation loss over the epochs.

    Few gates have a panel for each loss; many have the training loss dashed beside the other.
    """
    train, val = summary(curves, TRAIN), summary(curves, VAL)
    drawn = [gate for gate in gates if gate in val]
    if not drawn:
        return None
    look = looks(gates)
    if len(drawn) <= MOST_TOGETHER:
        return _beside(train, val, drawn, look)

    scale = _Scale.of([*train.values(), *val.values()])

    def draw(axes: Axes, gate: str) -> None:
        if gate in train:
            axes.plot(scale.shown(train[gate]["mean"]), "--", color=look[gate].color, linewidth=1)
        course(axes, val[gate], look[gate], gate, drawn.index(gate), scale)

    label = "validation loss (dashed: training loss)"
    figure, panels = by_gate(drawn, look, draw, _behind(val, scale), "epoch", label)
    scale.set(panels)
    return figure


def experts_per_example_curves(curves: pd.DataFrame, gates: Sequence[str]) -> Figure | None:
    """Draw how many experts an example uses, over the epochs."""
    return _single(curves, gates, "gate/experts_per_example", "experts per example")


def weight_change_curves(curves: pd.DataFrame, gates: Sequence[str]) -> Figure | None:
    """Draw how much the weights of an example move in a step, over the epochs."""
    return _single(curves, gates, "gate/weight_change", "L1 change a step")


def _single(curves: pd.DataFrame, gates: Sequence[str], metric: str, label: str) -> Figure | None:
    table, look = summary(curves, metric), looks(gates)
    drawn = [gate for gate in gates if gate in table]
    if not drawn:
        return None
    scale = _Scale.of(list(table.values()))
    figure, panels = by_gate(
        drawn,
        look,
        lambda axes, gate: course(axes, table[gate], look[gate], gate, drawn.index(gate), scale),
        _behind(table, scale),
        "epoch",
        label,
    )
    scale.set(panels)
    return figure


def summary(curves: pd.DataFrame, metric: str) -> Courses:
    """Return by gate and epoch the mean, lowest and highest over seeds, and how many there are."""
    rows = curves[(curves["metric"] == metric) & np.isfinite(curves["value"].astype(float))]
    return {
        str(gate): part.groupby("epoch")["value"].agg(["mean", "min", "max", "count"])
        for gate, part in rows.groupby("gate")
    }


def _beside(train: Courses, val: Courses, gates: Sequence[str], look: dict[str, Look]) -> Figure:
    tables = {"training loss": train, "validation loss": val}
    height = 3.13 + legend_height(gates, legend_columns(gates, WIDTH))
    figure, panels = grid(2, 2, WIDTH / 2, height, sharex=True, sharey=True)
    scale = _Scale.of([*train.values(), *val.values()])
    for axes, (label, table) in zip(panels, tables.items(), strict=True):
        for place, gate in enumerate(gates):
            if gate in table:
                course(axes, table[gate], look[gate], gate, place, scale)
        axes.set_title(label, loc="left")
        axes.grid(axis="y")
    scale.set(panels)
    legend(figure, panels[1])
    figure.supxlabel("epoch", fontsize=9)
    figure.supylabel("loss", fontsize=9)
    return figure


@dataclass(frozen=True)
class _Scale:
    """The vertical axis of courses: logarithmic where they span decades, but not down to 0."""

    values: npt.NDArray[np.floating]
    """By which it is chosen."""
    floor: float
    """What lies below has settled, and falls out of a logarithmic frame."""

    @classmethod
    def of(cls, tables: Sequence[pd.DataFrame]) -> _Scale:
        """Choose it: the means decide, since one seed that settles would drag it down."""
        every = pd.concat(tables)
        means = every["mean"].to_numpy()
        values = means if (means < 0).any() else means[means > 0]
        found = cls(values, -math.inf)
        if not is_wide(values):
            return found
        floor = max(float(values.min()), float(values.max()) / DEEPEST)
        return cls(values[values >= floor], floor)

    def shown(self, course: pd.Series) -> pd.Series:
        """Return a course without what lies below the frame."""
        return course.where(course >= self.floor)

    def set(self, panels: Sequence[Axes]) -> None:
        """Set it in all panels."""
        for axes in panels:
            fit(axes, "y", self.values)
            if axes.get_yscale() == "log":
                axes.set_ylim(self.floor / 1.3, float(self.values.max()) * 1.5)
            whole(axes.xaxis)


def course(
    axes: Axes, table: pd.DataFrame, look: Look, label: str, place: int, scale: _Scale
) -> None:
    """Draw a gate's course, dotted from where a seed has stopped.

    Gates at different places have their markers at different epochs, so that where lines lie on
    each other all of them are seen.
    """
    mean, every = scale.shown(table["mean"]), max(MOST_TOGETHER, len(table) // 5)
    last = table.index[table["count"] == table["count"].max()].max()
    color, epochs = look.color, table.index.to_numpy()
    low, high = scale.shown(table["min"]), table["max"]
    axes.fill_between(epochs, low, high, color=color, alpha=0.18, linewidth=0)
    line = axes.plot(mean[epochs <= last], color=color, label=label)[0]
    line.set(marker=look.marker, markersize=5, markevery=(place % every, every))
    axes.plot(mean[epochs >= last], ":", color=color)


def _behind(table: Courses, scale: _Scale) -> Draw:
    return lambda axes, gate: axes.plot(scale.shown(table[gate]["mean"]), **BEHIND)
