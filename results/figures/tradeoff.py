"""The trade-off: test loss against the experts that run for a row."""

from __future__ import annotations

import math
from collections.abc import Mapping

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gatelab.results.comparison import Comparison, Score
from gatelab.results.figures.panels import legend
from gatelab.results.figures.style import GREY, INK, WIDTH, Look, fit, grid, looks
from gatelab.tracking.schema import Metrics

Place = tuple[float, float]
"""Experts a row, and test loss: of both less is better."""


def tradeoff(comparison: Comparison) -> Figure | None:
    """Draw every gate by its experts a row and its test loss, and the Pareto front."""
    drawn = _scored(comparison)
    if not drawn:
        return None
    figure, (axes,) = grid(1, 1, WIDTH, 3.4)
    look = looks(comparison.gates)
    for gate, scores in drawn.items():
        subject = comparison.subject(gate)
        _cross(axes, scores, look[gate], subject.label, hollow=subject.role != "gate")
    places = {gate: (x.mean, y.mean) for gate, (x, y) in drawn.items()}
    ceilings = comparison.of_role("ceiling")
    front = pareto_front({g: place for g, place in places.items() if g not in ceilings})
    course = list(zip(*(places[g] for g in front), strict=True))
    axes.plot(*course, "o-", color=GREY, markersize=14, markerfacecolor="none", zorder=1.0)
    costs, losses = zip(*places.values(), strict=True)
    fit(axes, "x", costs, 7)
    fit(axes, "y", losses, 7)
    axes.set(xlabel="experts a row, over all targets", ylabel="test loss")
    axes.grid()
    legend(figure, axes)
    return figure


def pareto_front(places: Mapping[str, Place]) -> list[str]:
    """Return whom nobody beats in both, the cheapest first: less of one costs more of the other."""
    front: list[str] = []
    best = math.inf
    for gate in sorted(places, key=places.__getitem__):
        if places[gate][1] < best:
            best = places[gate][1]
            front.append(gate)
    return front


def _scored(comparison: Comparison) -> dict[str, tuple[Score, Score]]:
    """Return the gates whose both means are numbers, with their scores."""
    found = {}
    for gate in comparison.gates:
        x, y = (comparison.score(gate, m) for m in (Metrics.EXPERTS_PER_ROW, Metrics.TEST_LOSS))
        if x and y and math.isfinite(x.mean) and math.isfinite(y.mean):
            found[gate] = (x, y)
    return found


def _cross(
    axes: Axes, scores: tuple[Score, Score], look: Look, label: str, *, hollow: bool
) -> None:
    """Draw a gate's means, and the intervals of both."""
    x, y = scores
    axes.plot([x.low, x.high], [y.mean, y.mean], color=look.color, linewidth=1)
    axes.plot([x.mean, x.mean], [y.low, y.high], color=look.color, linewidth=1)
    axes.plot(
        x.mean,
        y.mean,
        look.marker,
        color=look.color,
        markerfacecolor="none" if hollow else look.color,
        markersize=6,
        mec=look.color if hollow else INK,
        mew=1.2 if hollow else 0.6,
        label=label,
    )
