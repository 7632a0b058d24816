"""The weights of all gates side by side: the mean over seeds, whose experts are matched first."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gatelab.results.figures.heat import Array, borders, heat, name_rows
from gatelab.results.figures.labels import more_lines
from gatelab.results.figures.panels import MOST_TOGETHER
from gatelab.results.figures.selection import (
    MOST_NUMBERED,
    GateWeights,
    matched,
    named_length,
    selections,
)
from gatelab.results.figures.style import WIDTH, grid

NARROWEST = 1.5
"""Inches of a gate's panel."""
USED = 0.05
"""An expert that no target gives more than this share of the largest weight is hardly used."""


def weights_panels(table: pd.DataFrame, gates: Sequence[str]) -> Figure | None:
    """Draw the mean weight that every target gives every expert, a panel a gate.

    Each panel has a scale of its own, from 0 to its largest weight, which its title says.
    """
    found = selections(table, gates)
    if not found:
        return None
    means = {gate: mean_weights(selection) for gate, selection in found.items()}
    rows, experts = len(next(iter(means.values()))), max(m.shape[1] for m in means.values())
    names = named_length(next(iter(found.values())).targets)
    columns = max(1, min(len(found), int((WIDTH - names) / _width(experts, len(found)))))
    height = 0.55 + rows * (0.22 if rows <= 16 else max(0.05, 3.2 / rows))
    width = min(WIDTH / columns, (names + columns * 0.45 * experts + 1) / columns)
    wide = max(width, NARROWEST)
    more = more_lines(list(found), wide - names / columns - 0.15)
    figure, panels = grid(len(found), columns, wide, height + more, sharey=True)
    for axes, (gate, weights) in zip(panels, means.items(), strict=True):
        most = float(weights.max()) or 1.0
        heat(axes, weights, most, _is_numbered(weights, columns))
        borders(axes, found[gate].groups)
        _name_experts(axes, weights.shape[1])
        axes.set_title(f"{gate}\n0 to {most:.2g}", loc="left", fontsize=8)
    for axes in panels[::columns]:
        any_gate = next(iter(found.values()))
        name_rows(axes, any_gate.targets, any_gate.groups, height - 0.5)
    figure.supxlabel("expert", fontsize=9)
    return figure


def mean_weights(selection: GateWeights) -> Array:
    """Return ``(targets, experts)``: the mean over seeds of a gate's weights.

    Experts have no order of their own: those of a seed are matched to the first seed's that has
    most of them, and all stand in the order of the target that relies on them most, those hardly
    used last. An expert that a seed has not has no weight in it.
    """
    most, seeds = selection.fullest, selection.weights.values()
    mean = np.mean([np.nan_to_num(own[:, matched(most, own)]) for own in seeds], axis=0)
    first_user = np.where(mean.max(0) > USED * mean.max(), mean.argmax(0), len(mean))
    ordered: Array = mean[:, np.argsort(first_user, kind="stable")]
    return ordered


def _width(experts: int, gates: int) -> float:
    """Return how many inches a panel is to have."""
    if gates == 1:
        return min(max(NARROWEST, 0.45 * experts), WIDTH)
    return min(max(NARROWEST, 0.28 * experts), 2.1 if gates <= MOST_TOGETHER else NARROWEST)


def _is_numbered(weights: Array, columns: int) -> bool:
    return weights.size <= MOST_NUMBERED and weights.shape[1] * columns <= 20


def _name_experts(axes: Axes, experts: int) -> None:
    axes.set_xticks([] if experts > 1 else [0], [] if experts > 1 else ["the only one"])
