"""What a gate costs: training time and parameters, from the runs of the evaluation."""

from __future__ import annotations

from collections.abc import Mapping

from gatelab.results.comparison import Comparison
from gatelab.tracking.schema import Metrics

COSTS = {
    Metrics.TRAIN_SECONDS: "training seconds a seed",
    Metrics.GATE_PARAMETERS: "parameters of the gates",
    Metrics.PARAMETERS: "parameters in all",
    Metrics.ACTIVE_PARAMETERS: "active parameters",
}

GateValues = Mapping[str, Mapping[str, float]]
"""Gate to seed, split or repeat to value."""


def costs(comparison: Comparison) -> dict[str, GateValues]:
    """Return what is recorded of ``COSTS``, by the comparison's units, rows left out."""
    found = {metric: comparison.values(metric) for metric in COSTS}
    return {metric: values for metric, values in found.items() if values}
