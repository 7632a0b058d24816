"""Expert selection on the test split: weights, overlap between targets, and load."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.optimize import linear_sum_assignment

from gatelab.gates.metrics import regular_supports
from gatelab.results.figures.heat import borders, heat, name_rows, scale
from gatelab.results.figures.labels import shortened
from gatelab.results.figures.panels import BEHIND, by_gate
from gatelab.results.figures.style import WIDTH, Look, grid, looks, whole

Array = npt.NDArray[np.floating]

MOST_NUMBERED = 64
"""Up to so many cells a matrix says its numbers."""
LETTER = 0.062
"""Inches of a letter of a row's name."""
MOST_NAMED_TARGETS = 32
"""With more than so many, matrices of few gates are drawn large."""
TALLEST = 8.0
"""Inches: where there are more seeds, the first are drawn."""


@dataclass(frozen=True)
class GateWeights:
    """A gate's weights by seed."""

    targets: list[str]
    groups: list[object]
    """Planted, by which the targets are sorted; empty where there are none."""
    weights: dict[str, Array]
    """By seed ``(targets, num_experts)``; NaN of experts that another seed has and it has not."""
    load: dict[str, Array]
    """Likewise."""

    @property
    def fullest(self) -> Array:
        """The weights of the first seed of those with the most experts, which others match."""
        return max(self.weights.values(), key=lambda own: int(np.isfinite(own).any(0).sum()))


def selections(table: pd.DataFrame, gates: Sequence[str]) -> dict[str, GateWeights]:
    """Return the selection of every gate that has one."""
    return {gate: _selection(rows) for gate in gates if len(rows := table[table["gate"] == gate])}


def _selection(rows: pd.DataFrame) -> GateWeights:
    planted = rows.drop_duplicates("target").set_index("target")["group"]
    known = bool(planted.notna().all())
    targets = list((planted.sort_values(kind="stable") if known else planted).index)
    experts = sorted(rows["expert"].unique())  # of all seeds: searches may select other numbers
    values = {
        column: {
            str(seed): part.pivot(index="target", columns="expert", values=column)
            .reindex(index=targets, columns=experts)
            .to_numpy(dtype=float)
            for seed, part in rows.groupby("seed", sort=False)
        }
        for column in ("weight", "load")
    }
    groups = [_plain(group) for group in planted[targets]] if known else []
    return GateWeights(targets, groups, values["weight"], values["load"])


def _plain(group: object) -> object:
    """Return a group's name: a number that a table made real is whole again."""
    return int(group) if isinstance(group, float) and group.is_integer() else group


def weights_heatmap(table: pd.DataFrame, gate: str, tallest: float = TALLEST) -> Figure | None:
    """Draw the mean weight that every target of a gate gives every expert, a panel a seed.

    The scale ends at the gate's largest weight. The experts of a seed are moved to match those of
    the first seed that has most of them, and keep their numbers. A row of panels is drawn in any
    case, more as so many inches have room.
    """
    found = selections(table, [gate]).get(gate)
    if found is None:
        return None
    rows, experts = next(iter(found.weights.values())).shape
    numbers = rows * experts <= MOST_NUMBERED
    width = 0.9 + (0.3 if numbers else max(0.1, min(0.16, 2.5 / experts))) * experts
    height = 0.6 + rows * (0.24 if rows <= 16 else max(0.05, 4.0 / rows))
    columns = min(len(found.weights), max(1, int(WIDTH / width)))
    shown = list(found.weights)[: columns * max(1, int(tallest / height))]
    figure, panels = grid(len(shown), columns, WIDTH / columns, height, sharey=True)
    most = max(float(np.nanmax(weights)) for weights in found.weights.values())
    for axes, seed in zip(panels, shown, strict=True):
        order = matched(found.fullest, found.weights[seed])
        own = found.weights[seed][:, order]
        heat(axes, own, most or 1.0, numbers)
        _name_experts(axes, order, np.isfinite(own[0]))
        borders(axes, found.groups)
        axes.set_title(f"seed {seed}", loc="left")
    for axes in panels[::columns]:
        name_rows(axes, found.targets, found.groups, height - 0.6)
    scale(figure, panels, "mean weight")
    figure.supxlabel("expert", fontsize=9)
    return figure


def named_length(names: Sequence[str]) -> float:
    """Return how many inches the names of rows take."""
    return 0.2 + LETTER * max(len(shortened(name)) for name in names)


def matched(first: Array, other: Array) -> npt.NDArray[np.intp]:
    """Return the order of a seed's experts in which it is most like another's.

    By the Hungarian method, on the weight that two experts have in common over the targets: with
    one that a seed has not it is none.
    """
    common = np.nansum(np.minimum(first[:, :, None], other[:, None, :]), axis=0)
    order: npt.NDArray[np.intp] = linear_sum_assignment(-common)[1]
    return order


def _name_experts(axes: Axes, order: npt.NDArray[np.intp], has: npt.NDArray[np.bool_]) -> None:
    """Number the experts of a seed, those that it has."""
    step = math.ceil(len(order) / 16)
    places = [place for place in range(0, len(order), step) if has[place]]
    axes.set_xticks(places, [str(order[place]) for place in places], fontsize=7)


def overlap(table: pd.DataFrame, gates: Sequence[str]) -> Figure | None:
    """Draw how much any two targets share the experts that they rely on, beside the truth."""
    found = {g: s for g, s in selections(table, gates).items() if len(s.targets) > 1}
    if not found:
        return None
    any_gate = next(iter(found.values()))
    panels = {gate: _jaccard(selection) for gate, selection in found.items()}
    if any_gate.groups:
        groups = np.array([str(group) for group in any_gate.groups])
        panels["planted truth"] = (groups[:, None] == groups).astype(float)
    large = len(any_gate.targets) > MOST_NAMED_TARGETS and len(panels) <= 4
    columns = min(2 if large else 4, len(panels))
    width = min(WIDTH / columns, 1.1 + 0.3 * len(any_gate.targets))
    figure, every = grid(len(panels), columns, width, min(width, 3.4), sharey=True)
    for axes, (name, matrix) in zip(every, panels.items(), strict=True):
        heat(axes, matrix, 1.0, len(matrix) <= 5)
        axes.set(aspect="equal", xticks=[])
        borders(axes, any_gate.groups, both=True)
        axes.set_title(name, loc="left")
    for axes in every[::columns]:
        name_rows(axes, any_gate.targets, any_gate.groups, width - 0.9)
    scale(figure, every, "Jaccard index")
    return figure


def _jaccard(selection: GateWeights) -> Array:
    """Return the mean over seeds of the Jaccard index of the supports, ``(targets, targets)``."""
    found = []
    for weights in selection.weights.values():
        used = regular_supports(np.nan_to_num(weights)).astype(float)
        shared = used @ used.T
        union = used.sum(1)[:, None] + used.sum(1) - shared
        found.append(np.divide(shared, union, out=np.zeros_like(shared), where=union > 0))
    mean: Array = np.mean(found, axis=0)
    return mean


def load_curves(table: pd.DataFrame, gates: Sequence[str]) -> Figure | None:
    """Draw the share of examples that use each expert, from the most used to the least."""
    found = {gate: _ranked(selection) for gate, selection in selections(table, gates).items()}
    if not any(shares.shape[1] > 1 for shares in found.values()):
        return None
    look = looks(gates)
    figure, panels = by_gate(
        list(found),
        look,
        lambda axes, gate: _shares(axes, found[gate], look[gate], gate),
        lambda axes, gate: axes.plot(_places(found[gate]), np.nanmean(found[gate], 0), **BEHIND),
        "expert, from the most to the least used",
        "share of examples",
    )
    for axes in panels:
        axes.set_ylim(-0.03, 1.03)
        whole(axes.xaxis)
    return figure


def _ranked(selection: GateWeights) -> Array:
    """Return by seed the load of the experts, means over targets, the highest first.

    NaN of those that a seed has not, after the others: they are not dead, they are not there.
    """
    return np.array([-np.sort(-load.mean(0)) for load in selection.load.values()])


def _places(shares: Array) -> range:
    return range(1, 1 + shares.shape[1])


def _shares(axes: Axes, shares: Array, look: Look, gate: str) -> None:
    places, color = _places(shares), look.color
    low, high = np.nanmin(shares, 0), np.nanmax(shares, 0)
    axes.fill_between(places, low, high, color=color, alpha=0.18, linewidth=0)
    marker = look.marker if len(places) <= 32 else ""
    axes.plot(places, np.nanmean(shares, 0), marker=marker, color=color, markersize=4, label=gate)
