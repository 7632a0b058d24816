"""Courses over epochs, by gate: the mean over seeds, in the band of all of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gatelab.results.figures.panels import BEHIND, MOST_TOGETHER, Draw, by_gate, legend
from gatelab.results.figures.style import WIDTH, Look, fit, grid, looks, whole
from gatelab.tracking.schema import Metrics

Courses = dict[str, pd.DataFrame]
"""By gate, a row an epoch."""
DEEPEST = 1e4
"""Of a logarithmic axis: how much smaller than the largest value the smallest shown is."""
TRAIN, VAL = Metrics.TRAIN_LOSS, Metrics.VAL_LOSS


def learning_curves(curves: pd.DataFrame, gates: Sequence[str]) -> Figure | None:
    """Draw the training and the validation loss over the epochs.

    Few gates have a panel for each loss; many have one each, with the training loss dashed.
    """
    train, val = summary(curves, TRAIN), summary(curves, VAL)
    drawn = [gate for gate in gates if gate in val]
    if not drawn:
        return None
    look = looks(gates)
    if len(drawn) <= MOST_TOGETHER:
        return _beside(train, val, drawn, look)

    def draw(axes: Axes, gate: str) -> None:
        if gate in train:
            axes.plot(train[gate]["mean"], "--", color=look[gate].color, linewidth=1)
        course(axes, val[gate], look[gate], gate, drawn.index(gate))

    label = "validation loss (dashed: training loss)"
    figure, panels = by_gate(drawn, draw, _behind(val), "epoch", label)
    _scale(panels, [*train.values(), *val.values()])
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
    figure, panels = by_gate(
        drawn,
        lambda axes, gate: course(axes, table[gate], look[gate], gate, drawn.index(gate)),
        _behind(table),
        "epoch",
        label,
    )
    _scale(panels, list(table.values()))
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
    figure, panels = grid(2, 2, WIDTH / 2, 2.9, sharex=True, sharey=True)
    for axes, (label, table) in zip(panels, tables.items(), strict=True):
        for place, gate in enumerate(gates):
            if gate in table:
                course(axes, table[gate], look[gate], gate, place)
        axes.set_title(label, loc="left")
        axes.grid(axis="y")
    _scale(panels, [*train.values(), *val.values()])
    legend(figure, panels[1])
    figure.supxlabel("epoch", fontsize=9)
    figure.supylabel("loss", fontsize=9)
    return figure


def course(axes: Axes, table: pd.DataFrame, look: Look, label: str, place: int) -> None:
    """Draw a gate's course, dotted from where a seed has stopped.

    Gates at different places have their markers at different epochs, so that where lines lie on
    each other all of them are seen.
    """
    mean, every = table["mean"], max(MOST_TOGETHER, len(table) // 5)
    last = table.index[table["count"] == table["count"].max()].max()
    color, epochs = look.color, table.index.to_numpy()
    axes.fill_between(epochs, table["min"], table["max"], color=color, alpha=0.18, linewidth=0)
    line = axes.plot(mean[epochs <= last], color=color, label=label)[0]
    line.set(marker=look.marker, markersize=4.5, markevery=(place % every, every))
    axes.plot(mean[epochs >= last], ":", color=color)


def _behind(table: Courses) -> Draw:
    return lambda axes, gate: axes.plot(table[gate]["mean"], **BEHIND)


def _scale(panels: Sequence[Axes], tables: Sequence[pd.DataFrame]) -> None:
    values = pd.concat(tables)[["min", "max"]].to_numpy().ravel()
    positive = values[values > 0]  # what settles falls out of a logarithmic frame, down to 0
    for axes in panels:
        fit(axes, "y", values if (values < 0).any() else positive)
        if axes.get_yscale() == "log":
            low, high = positive.min(), positive.max()
            axes.set_ylim(max(low, high / DEEPEST) / 1.3, high * 1.3)
        whole(axes.xaxis)
