"""The search of each gate: best so far, the hyperparameters' importance."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gatelab.results.figures.panels import BEHIND, MOST_TOGETHER, by_gate
from gatelab.results.figures.style import WIDTH, Look, fit, grid, looks, whole

LOSS_LABEL = "validation loss"


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
    """Return finished objectives and their best so far by the count of trials that ended."""
    ended = trials[trials["end"].isin(["finished", "pruned", "failed"])].sort_values("number")
    ended.index = pd.RangeIndex(1, len(ended) + 1)
    objective = ended["objective"].where(ended["end"] == "finished").replace(math.inf, math.nan)
    best = objective.cummax() if higher else objective.cummin()
    return pd.DataFrame({"objective": objective, "best": best.ffill()})


def _steps(axes: Axes, courses: Sequence[pd.DataFrame], look: Look, gate: str) -> None:
    for index, course in enumerate(courses):
        label = "" if index else gate
        axes.step(course.index, course["best"], where="post", color=look.color, label=label)
        axes.plot(
            course.index,
            course["objective"],
            look.marker,
            color=look.color,
            alpha=0.6,
            markersize=4.5,
            markeredgewidth=0,
        )


def _behind(axes: Axes, courses: Sequence[pd.DataFrame]) -> None:
    for course in courses:
        axes.step(course.index, course["best"], where="post", **BEHIND)


def importance_bars(table: pd.DataFrame, gates: Sequence[str]) -> Figure | None:
    """Draw how much of the objective's variation each hyperparameter accounts for, by gate."""
    found = {gate: table[table["gate"] == gate] for gate in gates}
    found = {gate: rows.sort_values("importance") for gate, rows in found.items() if len(rows)}
    if not found:
        return None
    columns = min(3, len(found))
    most = max(len(rows) for rows in found.values())
    height = 0.6 + 0.22 * most
    figure, panels = grid(len(found), columns, WIDTH / columns, height, sharex=True)
    for axes, (gate, rows) in zip(panels, found.items(), strict=True):
        bars = axes.barh(range(len(rows)), rows["importance"], color=looks(gates)[gate].color)
        axes.bar_label(bars, [f"{value:.2f}" for value in rows["importance"]], padding=3, size=8)
        axes.set_yticks(range(len(rows)), [short(name) for name in rows["hyperparameter"]])
        axes.set(xlim=(0, 1.18), ylim=(len(rows) - most - 0.7, len(rows) - 0.3), xticks=[0, 0.5, 1])
        axes.set_title(gate, loc="left")
    figure.supxlabel("importance", fontsize=9)
    return figure


def short(name: str) -> str:
    """Return a hyperparameter's name without its part of the spec."""
    return name.rpartition(".")[2]
