"""Scores by gate: every seed as a point, the mean and its interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Figure
from matplotlib.ticker import EngFormatter

from gatelab.results.comparison import Comparison
from gatelab.results.comparison.cells import UnitValues, common, paired
from gatelab.results.comparison.differences import differences
from gatelab.results.comparison.headline import main_metric
from gatelab.results.comparison.score_grids import by_mean
from gatelab.results.comparison.statistics import mean_interval
from gatelab.results.costs import COSTS, GateValues, costs
from gatelab.results.figures.far_off import Drawn, far_off, point_to
from gatelab.results.figures.labels import LINE, lines, wrapped
from gatelab.results.figures.style import GREY, INK, WIDTH, Look, fit, grid
from gatelab.results.figures.tradeoff import looks_of
from gatelab.tracking.schema import Metrics

ROW, MANY_ROW = 0.3, 0.22
"""Inches of height for a gate, and for one of many."""
MANY = 8
"""More gates than this stand closer together."""


def score_panels(
    comparison: Comparison,
    objective: str = Metrics.VAL_LOSS,
    width: float = WIDTH,
    asked: Sequence[str] = (),
) -> Figure | None:
    """Draw metrics by gate, by default the test loss and the main metric.

    The gate of the lowest value of the first is on top.

    Args:
        comparison: Of the gates.
        objective: As :func:`.headline.main_metric` takes it.
        width: In inches.
        asked: Metrics in place of these two.
    """
    default = filter(None, (Metrics.TEST_LOSS, main_metric(comparison, objective)))
    known = list(asked) or list(default)
    values = {metric: _values(comparison, metric) for metric in known}
    gates = by_mean(comparison, known[0])
    if not gates:
        return None
    titles = {metric: metric.replace("/", " ") for metric in values}
    return panels_by_gate(
        comparison, {titles[m]: found for m, found in values.items()}, gates, width
    )


def panels_by_gate(
    comparison: Comparison,
    values: Mapping[str, GateValues],
    gates: Sequence[str],
    width: float = WIDTH,
) -> Figure:
    """Draw a panel for everything that gates have values of, by its title, a row a gate."""
    return _panels(comparison, values, {title: title for title in values}, gates, width)


def difference_panels(comparison: Comparison) -> Figure | None:
    """Draw how much higher every gate's test loss is than the best gate's, unit by unit.

    As the tests have it: over the searches and splits that both have.
    """
    best, values = comparison.leader(Metrics.TEST_LOSS), comparison.values(Metrics.TEST_LOSS)
    gates = [g for g in by_mean(comparison, Metrics.TEST_LOSS) if g in values and g != best]
    if best is None or not gates:
        return None
    apart = {gate: _apart(values[gate], values[best]) for gate in gates}
    title = f"test loss, minus that of {best} with the same {comparison.unit}"
    figure = _panels(comparison, {Metrics.TEST_LOSS: apart}, {Metrics.TEST_LOSS: title}, gates)
    (axes,) = figure.axes
    axes.set_xscale("linear")  # 0, which an interval may reach, is on no other
    fit(axes, "x", [0.0], 7)
    axes.axvline(0, color=INK, linewidth=0.8)
    return figure


def _set_apart(panels: Sequence[Axes], comparison: Comparison, gates: Sequence[str]) -> None:
    """Draw a line between gates, rows and baselines."""
    subjects = [comparison.subject(gate) for gate in gates]
    for place, (above, below) in enumerate(pairwise(subjects)):
        if above.role != below.role:
            for axes in panels:
                axes.axhline(place + 0.5, color=GREY, linewidth=0.8, linestyle="dotted")


def cost_panels(comparison: Comparison) -> Figure | None:
    """Draw what a gate costs: seconds of training, and parameters."""
    values = costs(comparison)
    known = {gate for found in values.values() for gate in found}
    gates = [gate for gate in comparison.tested if gate in known]
    if not gates:
        return None
    figure = _panels(comparison, values, COSTS, gates)
    for axes, metric in zip(figure.axes, values, strict=True):
        if axes.get_xscale() == "linear":
            highest = max(v for seeds in values[metric].values() for v in seeds.values())
            axes.set_xlim(0, 1.08 * highest or 1)  # from 0, so that lengths compare
            axes.locator_params("x", integer=metric.startswith("model/"))
        if metric.startswith("model/"):
            axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    return figure


def _values(comparison: Comparison, metric: str) -> GateValues:
    return {s.gate: s.values for s in comparison.scores if s.metric == metric}


def _apart(first: UnitValues, second: UnitValues) -> dict[str, float]:
    """Return the differences of two gates by unit."""
    units = paired(first, second)
    return dict(zip(units, differences(*common(first, second)).tolist(), strict=True))


def _panels(
    comparison: Comparison,
    values: Mapping[str, GateValues],
    titles: Mapping[str, str],
    gates: Sequence[str],
    width: float = WIDTH,
) -> Figure:
    """Draw a panel a metric, a row a gate, which has a label."""
    labels, count = [comparison.subject(gate).label for gate in gates], len(values)
    row_height = max(ROW if len(gates) <= MANY else MANY_ROW, LINE * lines(labels) + 0.03)
    figure, panels = grid(count, count, width / count, 0.6 + row_height * len(gates), sharey=True)
    ticks = 3 if count > 1 and width < WIDTH else 4 if count > 1 else 7
    for axes, (metric, by_gate) in zip(panels, values.items(), strict=True):
        _panel(axes, comparison, {gate: [*by_gate.get(gate, {}).values()] for gate in gates}, ticks)
        axes.set_xlabel(titles[metric])
    panels[0].set_yticks(range(len(gates)), map(wrapped, labels))
    panels[0].set_ylim(len(gates) - 0.5, -0.5)
    _set_apart(panels, comparison, gates)
    return figure


def _panel(axes: Axes, comparison: Comparison, rows: Drawn, ticks: int) -> None:
    """Draw the rows of gates; a constant prediction that is far off is said at the edge."""
    look, share = looks_of(comparison), comparison.test_to_train
    drawn = {gate: [*values, *_ends(values, share)] for gate, values in rows.items()}
    away = far_off(comparison, drawn)
    for place, (gate, values) in enumerate(rows.items()):
        _row(axes, place, [] if gate in away else values, look[gate], share)
    fit(axes, "x", [v for gate, found in drawn.items() if gate not in away for v in found], ticks)
    axes.grid(axis="x")
    for gate in away:
        point_to(axes, [*rows].index(gate), float(np.mean(rows[gate])))


def _ends(values: Sequence[float], test_to_train: float) -> Sequence[float]:
    """Return where an interval ends: one that reaches 0 is on no logarithmic axis."""
    return mean_interval(values, test_to_train=test_to_train)[1:] if values else ()


def _row(axes: Axes, row: int, values: Sequence[float], look: Look, test_to_train: float) -> None:
    """Draw a gate's seeds below each other, always in the same order, and their mean on top."""
    if not values:
        return
    mean, low, high = mean_interval(values, test_to_train=test_to_train)
    if len(set(values)) > 1:
        heights = row + np.linspace(-0.24, 0.24, len(values))
        axes.plot(values, heights, ".", color=look.color, alpha=0.7, markersize=6, mew=0)
        axes.plot([low, high], [row, row], color=INK, linewidth=1)
    axes.plot(mean, row, look.marker, color=look.color, markersize=6, mec=INK, mew=0.6)
