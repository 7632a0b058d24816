"""The headline: the one metric beside the loss that is told where there is room for one."""

from __future__ import annotations

from collections.abc import Collection

from gatelab.results.comparison.comparison import Comparison
from gatelab.tracking.schema import LOSS, UNWEIGHTED_LOSS, Directions, Metrics

MEANS = "test/mean/"
"""How the keys of means over targets begin."""


def main_metric(comparison: Comparison, objective: str = Metrics.VAL_LOSS) -> str | None:
    """Return the key of the mean over targets that says most beside the test loss.

    Args:
        comparison: Of the gates.
        objective: The key of what the search looked for: its name goes before all others.
    """
    names = [key.removeprefix(MEANS) for key in comparison.metrics() if key.startswith(MEANS)]
    name = preferred(names, comparison.directions, objective)
    return None if name in (None, LOSS) else f"{MEANS}{name}"


def preferred(
    names: Collection[str], directions: Directions, objective: str = Metrics.VAL_LOSS
) -> str | None:
    """Return which of a target's metrics is told: the objective's, else of which more is better.

    Among several the first by name; the loss where there is no other that has a direction.
    """
    found = sorted(set(names) - {LOSS, UNWEIGHTED_LOSS})
    asked = objective.rpartition("/")[2]
    if asked in found:
        return asked
    for sign in (1, -1):
        for name in found:
            if directions.of(f"{MEANS}{name}") == sign:
                return name
    return LOSS if LOSS in names else None
