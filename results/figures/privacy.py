"""What privacy costs: test loss against the epsilon that was spent."""

from __future__ import annotations

import math

from matplotlib.figure import Figure

from gatelab.results.comparison import Comparison, Score
from gatelab.results.comparison.tables import listed
from gatelab.results.figures.panels import legend, legend_columns, legend_height
from gatelab.results.figures.style import WIDTH, fit, grid
from gatelab.results.figures.tradeoff import cross, looks_of
from gatelab.tracking.schema import Metrics

SPENT_EPSILON, STATED_DELTA = "learner/epsilon_pld", "learner/delta"
SPREAD = "learner/spread"
"""What a learner tells by which copies stay near, private or not."""


def privacy(comparison: Comparison) -> Figure | None:
    """Draw gates by epsilon and test loss; as a line those that learn so and publish all."""
    private, public = _private(comparison), without_privacy(comparison)
    if not private:
        return None
    names = {gate: comparison.subject(gate).label for gate in private}
    names |= {gate: f"{comparison.subject(gate).label}, not private" for gate in public}
    columns = legend_columns([*names.values()], WIDTH)
    figure, (axes,) = grid(1, 1, WIDTH, 2.6 + legend_height([*names.values()], columns))
    look = looks_of(comparison)
    for gate, scores in private.items():
        cross(axes, scores, look[gate], comparison.subject(gate), names[gate])
    for gate, loss in public.items():
        axes.axhline(loss.mean, color=look[gate].color, linestyle="dashed", label=names[gate])
    losses = [*(loss for _, loss in private.values()), *public.values()]
    fit(axes, "x", [epsilon.mean for epsilon, _ in private.values()], 7)
    fit(axes, "y", [end for it in losses for end in (it.low, it.mean, it.high)], 7)
    axes.set(xlabel="epsilon", ylabel="test loss")
    axes.grid()
    legend(figure, axes, columns)
    return figure


def deltas(comparison: Comparison) -> str:
    """Return the deltas of which epsilon is told."""
    found = {
        score.mean for gate in comparison.gates if (score := comparison.score(gate, STATED_DELTA))
    }
    return listed([f"{delta:.3g}" for delta in sorted(found)])


def _private(comparison: Comparison) -> dict[str, tuple[Score, Score]]:
    """Return epsilon and test loss of the gates that have both."""
    found = {}
    for gate in comparison.gates:
        epsilon, loss = (comparison.score(gate, m) for m in (SPENT_EPSILON, Metrics.TEST_LOSS))
        if epsilon and loss and math.isfinite(epsilon.mean) and math.isfinite(loss.mean):
            found[gate] = (epsilon, loss)
    return found


def without_privacy(comparison: Comparison) -> dict[str, Score]:
    """Return the test loss of gates that learn by the same learner without privacy."""
    found = {}
    for gate in comparison.gates:
        near, epsilon = (comparison.score(gate, metric) for metric in (SPREAD, SPENT_EPSILON))
        loss = comparison.score(gate, Metrics.TEST_LOSS)
        if near and not epsilon and loss and math.isfinite(loss.mean):
            found[gate] = loss
    return found
