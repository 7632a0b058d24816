"""Slices: the objective of a search by the value of each hyperparameter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gatelab.results.figures.labels import more_lines
from gatelab.results.figures.search import LOSS_LABEL, short
from gatelab.results.figures.style import WIDTH, Look, fit, grid, looks

FEW_VALUES = 6
"""An axis of no more values than this says each."""
ROOM = 16
"""Letters that fit beside each other below a panel."""
MOST_SLICES = 24
"""Of one figure."""
MANY_POINTS = 2000
"""More than so many are drawn as pixels: a page should stay small."""


def slices(
    trials: pd.DataFrame,
    gates: Sequence[str],
    objective: str = LOSS_LABEL,
    most: Mapping[str, Sequence[str]] | None = None,
) -> list[Figure]:
    """Draw the objective by the value of each hyperparameter, in figures of up to 24 panels.

    Args:
        trials: As in a review.
        gates: Whose; their looks follow from all of them.
        objective: Its name.
        most: The hyperparameters that are drawn, by gate; by default all that were searched.
    """
    chosen = {gate: searched_names(trials, gate) for gate in gates}
    if most is not None:
        chosen = {g: [n for n in names if n in most.get(g, ())] for g, names in chosen.items()}
    drawn = [(gate, name) for gate, names in chosen.items() for name in names]
    parts = [drawn[i : i + MOST_SLICES] for i in range(0, len(drawn), MOST_SLICES)]
    return [_slices(trials, gates, part, objective) for part in parts]


def _slices(
    trials: pd.DataFrame, gates: Sequence[str], part: Sequence[tuple[str, str]], objective: str
) -> Figure:
    columns = min(4, len(part))
    more = more_lines([gate for gate, _ in part], WIDTH / 4 - 0.3)
    figure, panels = grid(len(part), columns, WIDTH / 4, 1.75 + more, sharey=True)
    for axes, (gate, name) in zip(panels, part, strict=True):
        rows = trials[(trials["gate"] == gate) & trials[name].notna()]
        _slice(axes, rows, name, looks(gates)[gate])
        axes.set_title(gate, loc="left")
        axes.set_xlabel(short(name))
        fit(axes, "y", trials["objective"].to_numpy())
        axes.grid(axis="y")
    figure.supylabel(objective, fontsize=9)
    return figure


def searched_names(trials: pd.DataFrame, gate: str) -> list[str]:
    """Return the hyperparameters that take several values among a gate's trials."""
    rows = trials[(trials["gate"] == gate) & trials["objective"].notna()]
    return [name for name in map(str, rows) if "." in name and rows[name].nunique() > 1]


def _slice(axes: Axes, rows: pd.DataFrame, name: str, look: Look) -> None:
    """Draw trials as markers: filled where finished, hollow where pruned."""
    places, ticks = _places(rows[name])
    for end, fill in (("pruned", "none"), ("finished", look.color)):
        chosen = (rows["end"] == end).to_numpy()
        axes.plot(
            places[chosen],
            rows["objective"][chosen],
            "o",
            markerfacecolor=fill,
            markeredgecolor=look.color,
            markeredgewidth=0.8,
            markersize=4,
            alpha=0.8,
            rasterized=len(rows) > MANY_POINTS,
        )
    if ticks is None:
        fit(axes, "x", places, 2)
    else:
        long = len(" ".join(ticks)) > ROOM
        axes.set_xticks(range(len(ticks)), ticks, rotation=30 if long else 0)
        axes.set_xlim(-0.5, len(ticks) - 0.5)


def _places(values: pd.Series) -> tuple[np.ndarray, list[str] | None]:
    """Return where values stand on an axis, and its ticks where they are few or no numbers."""
    if all(isinstance(value, float) for value in values):
        if values.nunique() > FEW_VALUES or values.is_unique:
            return values.to_numpy(dtype=float), None
        names = {value: f"{value:g}" for value in sorted(values.unique())}
    else:
        names = {value: str(value) for value in sorted(values.unique(), key=str)}
    order = list(names)
    return np.array([order.index(value) for value in values]), list(names.values())
