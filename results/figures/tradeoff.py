"""The trade-off: test loss against the experts that run for a row."""

from __future__ import annotations

import math
from collections.abc import Mapping

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gatelab.results.comparison import Comparison, Score
from gatelab.results.comparison.differences import RESOLUTION
from gatelab.results.comparison.subjects import Subject
from gatelab.results.figures.labels import shortened
from gatelab.results.figures.notes import Note, write_notes
from gatelab.results.figures.panels import legend, legend_columns, legend_height
from gatelab.results.figures.style import GREY, INK, WIDTH, Look, fit, grid, looks
from gatelab.tracking.schema import Metrics

Place = tuple[float, float]
"""Experts a row, and test loss: of both less is better."""


def tradeoff(comparison: Comparison, width: float = WIDTH) -> Figure | None:
    """Draw every gate by its experts a row and its test loss, and the Pareto front.

    Args:
        comparison: Of the gates.
        width: In inches.
    """
    drawn = _scored(comparison)
    if not drawn:
        return None
    places = {gate: (x.mean, y.mean) for gate, (x, y) in drawn.items()}
    names = _named(comparison, {g: at for g, at in places.items() if g in comparison.tested})
    columns = legend_columns([*names.values()], width)
    figure, (axes,) = grid(1, 1, width, 3.0 + legend_height([*names.values()], columns))
    look = looks_of(comparison)
    for gate, scores in drawn.items():
        cross(axes, scores, look[gate], comparison.subject(gate), names.get(gate, ""))
    notes: list[Note] = []
    for gate in comparison.of_role("gate"):
        notes += _join(axes, comparison, gate, places, look[gate])
    ceilings = comparison.of_role("ceiling")
    front = pareto_front({g: place for g, place in places.items() if g not in ceilings})
    course = list(zip(*(places[g] for g in front), strict=True))
    axes.plot(*course, "o-", color=GREY, markersize=14, markerfacecolor="none", zorder=1.0)
    costs, losses = zip(*drawn.values(), strict=True)
    fit(axes, "x", [end for it in costs for end in (it.low, it.mean, it.high)], 7)
    axes.set_xlim(left=max(0.0, axes.get_xlim()[0]))  # an interval may reach below, experts do not
    fit(axes, "y", [end for it in losses for end in (it.low, it.mean, it.high)], 7)
    axes.set(xlabel="experts a row, over all targets", ylabel="test loss")
    axes.grid()
    legend(figure, axes, columns)
    if notes:
        write_notes(figure, axes, notes, [*places.values()])
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


def looks_of(comparison: Comparison) -> dict[str, Look]:
    """Return every gate's look in a comparison; a row has that of its gate."""
    found = looks(comparison.tested)
    for row in (one for one in comparison.subjects if one.role == "row"):
        found[row.gate] = found.get(row.row_of) or Look(INK, "o")
    return found


def _named(comparison: Comparison, places: Mapping[str, Place]) -> dict[str, str]:
    """Return what a legend calls gates: one that is hidden by another says by which."""
    found: dict[str, str] = {}
    for gate, place in places.items():
        above = next((it for it in found if _level(place, places[it])), None)
        under = "" if above is None else f", under {shortened(comparison.subject(above).label)}"
        found[gate] = f"{comparison.subject(gate).label}{under}"
    return found


def _level(one: Place, other: Place) -> bool:
    return all(math.isclose(*ends, rel_tol=RESOLUTION) for ends in zip(one, other, strict=True))


def cross(axes: Axes, scores: tuple[Score, Score], look: Look, subject: Subject, name: str) -> None:
    """Draw a gate's means, under those that were drawn before, and the intervals of both."""
    (x, y), hollow = scores, subject.role in ("baseline", "ceiling")
    width = 0.6 if subject.role == "row" else 1
    axes.plot([x.low, x.high], [y.mean, y.mean], color=look.color, linewidth=width)
    axes.plot([x.mean, x.mean], [y.low, y.high], color=look.color, linewidth=width)
    axes.plot(
        x.mean,
        y.mean,
        look.marker,
        color=look.color,
        markerfacecolor="none" if hollow else look.color,
        markersize=4 if subject.role == "row" else 6,
        mec=look.color if hollow else INK,
        mew=1.2 if hollow else 0.6,
        label=name,
        zorder=2 + 1 / (1 + len(axes.lines)),
    )


def _join(
    axes: Axes, comparison: Comparison, gate: str, places: Mapping[str, Place], look: Look
) -> list[Note]:
    """Join a gate and its rows by a line, and return the k of each."""
    rows = [one for one in comparison.subjects if one.row_of == gate or one.gate == gate]
    drawn = [one for one in rows if one.gate in places]
    if len(drawn) < 2:
        return []
    course = zip(*sorted(places[one.gate] for one in drawn), strict=True)
    axes.plot(*course, color=look.color, linewidth=0.8, linestyle="dotted", zorder=1.5)
    return [(f"k = {one.k}", places[one.gate]) for one in drawn if one.k is not None]
