"""The search of each gate: best so far, and the importance of its hyperparameters."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gatelab.results.figures.heat import heat
from gatelab.results.figures.labels import LINE, lines, wrapped
from gatelab.results.figures.panels import BEHIND, MOST_TOGETHER, by_gate
from gatelab.results.figures.style import WIDTH, Look, fit, grid, looks, whole

LOSS_LABEL = "validation loss"
HOLLOW: dict[str, Any] = {"markersize": 4, "markerfacecolor": "none", "alpha": 0.6}
"""Of pruned trials."""


def best_so_far(
    trials: pd.DataFrame, gates: Sequence[str], name: str = LOSS_LABEL, *, higher: bool = False
) -> Figure | None:
    """Draw the best objective among the finished trials by how many trials had ended.

    Of several repeats of a search each is a line, and every gate has a panel.

    Args:
        trials: As in a review.
        gates: Whose.
        name: Of the objective.
        higher: Whether more of it is better.
    """
    courses = {gate: _courses(trials[trials["gate"] == gate], higher=higher) for gate in gates}
    drawn = [gate for gate in gates if any(one["best"].notna().any() for one in courses[gate])]
    if not drawn:
        return None
    look, several = looks(gates), trials["repeat"].nunique() > 1
    figure, panels = by_gate(
        drawn,
        look,
        lambda axes, gate: _steps(axes, courses[gate], look[gate], gate),
        lambda axes, gate: _behind(axes, courses[gate]),
        "trials spent",
        name,
        1 if several else MOST_TOGETHER,
    )
    for axes in panels:
        fit(axes, "y", np.concatenate([one["objective"] for g in drawn for one in courses[g]]))
        whole(axes.xaxis)
    return figure


def _courses(trials: pd.DataFrame, *, higher: bool) -> list[pd.DataFrame]:
    """Return the course of each repeat of a search."""
    return [_best(part, higher=higher) for _, part in trials.groupby("repeat")]


def _best(trials: pd.DataFrame, *, higher: bool) -> pd.DataFrame:
    """Return objectives and the best so far by the count of trials that ended.

    A pruned trial's stands apart: it stems from fewer epochs, and is never the best.
    """
    ended = trials[trials["end"].isin(["finished", "pruned", "failed"])].sort_values("number")
    ended.index = pd.RangeIndex(1, len(ended) + 1)
    found = ended["objective"].replace(math.inf, math.nan)
    objective = found.where(ended["end"] == "finished")
    best = objective.cummax() if higher else objective.cummin()
    pruned = found.where(ended["end"] == "pruned")
    return pd.DataFrame({"objective": objective, "pruned": pruned, "best": best.ffill()})


def _steps(axes: Axes, courses: Sequence[pd.DataFrame], look: Look, gate: str) -> None:
    marks: dict[str, Any] = {"marker": look.marker, "linestyle": "", "color": look.color}
    for index, course in enumerate(courses):
        axes.step(course.index, course["best"], where="post", color=look.color)
        axes.plot(course.index, course["objective"], **marks, markersize=5, markeredgewidth=0)
        axes.plot(course.index, course["pruned"], **marks, **HOLLOW)
        if not index:
            axes.plot([], [], color=look.color, marker=look.marker, markersize=5, label=gate)


def _behind(axes: Axes, courses: Sequence[pd.DataFrame]) -> None:
    for course in courses:
        axes.step(course.index, course["best"], where="post", **BEHIND)


def importance_heatmap(table: pd.DataFrame, gates: Sequence[str]) -> Figure | None:
    """Draw how much of the objective's variation each hyperparameter accounts for, by gate."""
    found = {gate: table[table["gate"] == gate] for gate in gates}
    drawn = [gate for gate, rows in found.items() if len(rows)]
    if not drawn:
        return None
    names = list(dict.fromkeys(name for gate in drawn for name in found[gate]["hyperparameter"]))
    shares = pd.concat([found[gate] for gate in drawn]).pivot(
        index="gate", columns="hyperparameter", values="importance"
    )
    values = shares.loc[drawn, names].to_numpy(dtype=float)
    width = min(WIDTH, 1.6 + 0.85 * len(names))
    row = max(0.24, LINE * lines(drawn) + 0.03)
    figure, (axes,) = grid(1, 1, width, 0.7 + row * len(drawn))
    heat(axes, values, float(np.nanmax(values)) or 1.0, numbers=True)
    axes.xaxis.tick_top()
    axes.set_xticks(range(len(names)), [short(name).replace("_", "\n", 1) for name in names])
    axes.set_yticks(range(len(drawn)), map(wrapped, drawn))
    return figure


def short(name: str) -> str:
    """Return a hyperparameter's name without its part of the spec."""
    return name.rpartition(".")[2]
