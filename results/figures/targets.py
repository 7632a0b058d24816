"""Targets by gates: how each gate does on each target, in one heatmap or a panel a target."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gatelab.results.comparison import Comparison
from gatelab.results.comparison.differences import RESOLUTION
from gatelab.results.comparison.headline import preferred
from gatelab.results.comparison.score_grids import by_mean
from gatelab.results.comparison.tables import brief
from gatelab.results.figures.heat import WHITE_ABOVE, Array, heat, name_rows, scale
from gatelab.results.figures.labels import LABEL_LETTER, LINE, letters, lines, shortened, wrapped
from gatelab.results.figures.scores import panels_by_gate
from gatelab.results.figures.selection import named_length
from gatelab.results.figures.style import INK, WIDTH, grid
from gatelab.tracking.schema import Metrics

Mask = npt.NDArray[np.bool_]

MOST_PANELS = 3
"""More targets than this are rows of a heatmap."""
LEAST_SCALE = 3.0
"""Deviations: where no gate is further behind, the darkest cell is not full blue."""
MOST_SAID, MOST_SAID_ROWS = 400, 64
"""Cells, and rows, that say their numbers; of more the colours alone are drawn, in lower rows."""
ASLANT = 0.5
"""Of a column, how thick a label may be that stands aslant above it."""
NUMBER_WIDTH = 0.46
"""Inches of a cell that says its number."""


@dataclass(frozen=True)
class TargetScores:
    """What gates score on one target."""

    name: str
    """Of the target, and of its metric."""
    means: Array
    """By gate; NaN where there is none."""
    behind: Array
    """How far each is behind the best, in standard deviations over the seeds; 0 of a ceiling, or a
    row, that is before it."""
    best: Mask
    """Which are the best, or level with it: ceilings and rows never, as in tables."""


def target_means(
    table: pd.DataFrame, comparison: Comparison, objective: str, gates: Sequence[str]
) -> list[TargetScores]:
    """Return every target's scores by gate, each in the metric that says most of it."""
    found, able = [], np.isin(gates, comparison.able)
    metrics = {
        t: _metric(part, comparison, objective) for t, part in table.groupby("target", sort=False)
    }
    several = len(set(metrics.values())) > 1
    for target, part in table.groupby("target", sort=False):
        metric = metrics[target]
        if metric is None:
            continue
        rows = part[part["metric"] == metric]
        name = f"{target} ({metric})" if several else str(target)
        direction = comparison.directions.of(f"test/{metric}") or -1
        found.append(_scores(name, rows, direction, gates, able))
    return found


def _scores(
    name: str, rows: pd.DataFrame, direction: int, gates: Sequence[str], able: Mask
) -> TargetScores:
    """Return the scores of gates on one target; those that are able can be the best."""
    values = rows.groupby("gate")["value"]
    means = values.agg(_mean).reindex(pd.Index(gates)).to_numpy(dtype=float)
    signed = direction * means
    most = _highest(signed[able])
    best = able & np.isclose(signed, most, rtol=RESOLUTION, atol=0)
    return TargetScores(name, means, _behind(signed, most, values.std(ddof=1)), best)


def _mean(values: pd.Series) -> float:
    """Return a mean as tables have it: NaN where any value is."""
    return float(np.mean(values.to_numpy()))


def _highest(signed: Array) -> float:
    """Return the highest of what is a number; NaN without any."""
    return float(np.nanmax(signed)) if np.isfinite(signed).any() else math.nan


def _metric(part: pd.DataFrame, comparison: Comparison, objective: str) -> str | None:
    return preferred(part["metric"].unique(), comparison.directions, objective)


def _behind(signed: Array, best: float, deviations: pd.Series) -> Array:
    """Return the distance from the best mean in deviations; without any, in shares of it all."""
    gaps: Array = np.maximum(best - signed, 0)
    usual = float(np.sqrt((deviations.dropna() ** 2).mean())) if deviations.notna().any() else 0.0
    return gaps / (usual or _highest(gaps) or 1.0)


def targets_figure(
    table: pd.DataFrame, comparison: Comparison, objective: str = Metrics.VAL_LOSS
) -> Figure | None:
    """Draw gates by targets: of few targets every unit, of many a heatmap."""
    gates = [g for g in by_mean(comparison, Metrics.TEST_LOSS) if (table["gate"] == g).any()]
    found = target_means(table, comparison, objective, gates)
    if len(found) < 2 or not gates:
        return None
    if len(found) <= MOST_PANELS:
        return panels_by_gate(comparison, _values(table, comparison, objective), gates)
    return _heatmap(found, comparison, gates)


def _values(
    table: pd.DataFrame, comparison: Comparison, objective: str
) -> dict[str, dict[str, Mapping[str, float]]]:
    """Return the values of each target's metric by gate and unit."""
    found: dict[str, dict[str, Mapping[str, float]]] = {}
    for target, part in table.groupby("target", sort=False):
        metric = _metric(part, comparison, objective)
        rows = part[part["metric"] == metric]
        found[f"{target} {metric}"] = {
            str(gate): dict(zip(mine["seed"].astype(str), mine["value"], strict=True))
            for gate, mine in rows.groupby("gate")
        }
    return found


def _heatmap(found: Sequence[TargetScores], comparison: Comparison, gates: Sequence[str]) -> Figure:
    behind = np.array([one.behind for one in found])
    names = named_length([one.name for one in found])
    few = behind.size <= MOST_SAID and len(found) <= MOST_SAID_ROWS
    numbers = few and NUMBER_WIDTH * len(gates) < WIDTH - names - 0.8
    rows = len(found) * _row_height(len(found), numbers)
    labels = [comparison.subject(gate).label for gate in gates]
    if numbers:
        labels = [label.replace(" (", "\n(") for label in labels]
    column = max(LINE, min(0.62 if numbers else 0.4, (WIDTH - names - 1.2) / len(gates)))
    width = names + 1.2 + len(gates) * column
    turned, labels = _turned(labels, column)
    figure, (axes,) = grid(1, 1, width, 0.35 + _labels_height(labels) + rows)
    most = max(LEAST_SCALE, float(np.nanquantile(behind, 0.9)))
    heat(axes, np.minimum(behind, most), most, numbers=False)
    if numbers:
        _say(axes, found, most)
    axes.xaxis.tick_top()
    place = "left" if turned == 40 else "center"
    axes.set_xticks(range(len(labels)), labels, fontsize=8, rotation=turned, ha=place)
    name_rows(axes, [one.name for one in found], [], rows + 0.1)
    scale(figure, [axes], "deviations behind")
    return figure


def _labels_height(labels: Sequence[str]) -> float:
    """Return inches above a heatmap for its columns' labels, however they are turned."""
    longest = max(len(line) for label in labels for line in label.split("\n"))
    return max(0.65, 0.15 + LABEL_LETTER * longest)


def _turned(labels: Sequence[str], column: float) -> tuple[int, list[str]]:
    """Return how labels stand above columns of so many inches, and in which lines.

    In degrees: upright where they would touch aslant, and then in one line where several would.
    """
    names, thick = [wrapped(label) for label in labels], LINE * lines(labels)
    if len(labels) <= 5 and letters(labels) <= 10:
        return 0, names
    if thick <= ASLANT * column:
        return 40, names
    return 90, names if thick <= column else _in_a_line(labels)


def _in_a_line(labels: Sequence[str]) -> list[str]:
    """Return labels without their middle, or whole where they differ in it alone."""
    whole = [label.replace("\n", " ") for label in labels]
    short = [shortened(label) for label in whole]
    return short if len({*short}) == len({*whole}) else whole


def _row_height(count: int, numbers: bool) -> float:
    """Return inches of a row: with numbers no row's touch the next one's."""
    if count <= 32:
        return 0.2
    return 0.145 if numbers else max(0.05, 6.0 / count)


def _say(axes: Axes, found: Sequence[TargetScores], most: float) -> None:
    """Write every mean into its cell, the best of a row in bold."""
    for (row, column), mean in np.ndenumerate([one.means for one in found]):
        if np.isnan(mean):
            continue
        dark = found[row].behind[column] > WHITE_ABOVE * most
        axes.text(
            column,
            row,
            brief(float(mean)),
            ha="center",
            va="center",
            color="white" if dark else INK,
            fontsize=7,
            fontweight="bold" if found[row].best[column] else "normal",
        )
