"""A constant prediction that is far off: it would take the axis of all that are to be compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes

from gatelab.results.comparison import Comparison
from gatelab.results.comparison.tables import brief
from gatelab.results.figures.style import INK

CONSTANT = "constant"
"""The key of the gate that uses no expert."""
MOST_OF_AN_AXIS = 2
"""How many times the span of all other rows a constant may be away from them, on their axis."""

Drawn = Mapping[str, Sequence[float]]
"""All that is drawn of each gate."""


def constants(comparison: Comparison) -> set[str]:
    """Return the constant predictions of a comparison."""
    return {one.gate for one in comparison.subjects if one.key == CONSTANT}


def far_off(comparison: Comparison, rows: Drawn) -> set[str]:
    """Return the constant predictions whose rows are too far from all others for one axis."""
    known = constants(comparison)
    others = [value for gate, row in rows.items() if gate not in known for value in row]
    if not others:
        return set()
    low, high = min(others), max(others)
    room = MOST_OF_AN_AXIS * (high - low)
    return {
        gate
        for gate, row in rows.items()
        if gate in known and row and max(low - max(row), min(row) - high) > room
    }


def point_to(axes: Axes, row: int, mean: float) -> None:
    """Say a mean at the edge of an axis beyond which it lies."""
    above = mean > axes.get_xlim()[1]
    axes.annotate(
        f"{brief(mean)} →" if above else f"← {brief(mean)}",
        (float(above), row),
        xycoords=("axes fraction", "data"),
        xytext=(-3 if above else 3, 0),
        textcoords="offset points",
        ha="right" if above else "left",
        va="center",
        fontsize=8,
        color=INK,
    )
