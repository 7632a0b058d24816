"""What a gate costs: training time and parameters, from the runs of the evaluation."""

from __future__ import annotations

from collections.abc import Mapping

from gatelab.results.comparison import Comparison
from gatelab.tracking.runs import SweepRecord
from gatelab.tracking.schema import Metrics

COSTS = {
    Metrics.TRAIN_SECONDS: "training seconds a seed",
    Metrics.GATE_PARAMETERS: "parameters of the gates",
    Metrics.PARAMETERS: "parameters in all",
    Metrics.ACTIVE_PARAMETERS: "active parameters",
}

GateValues = Mapping[str, Mapping[str, float]]
"""Gate to seed, split or repeat to value."""


def trained_seconds(record: SweepRecord, gate: str | None = None) -> float | None:
    """Return for how long networks were trained in search and evaluation, one after another.

    ``None`` where no run tells it. What is recorded of a trial is the mean over its members.

    Args:
        record: A sweep's, with its trials.
        gate: By default all.
    """
    members = {"search": int(record.run.params.get("search.seeds", 1)) if record.run else 1}
    seconds = [
        run.metrics[Metrics.TRAIN_SECONDS] * members.get(stage, 1)
        for stage in ("search", "evaluate")
        for run in record.of(stage, gate)
        if Metrics.TRAIN_SECONDS in run.metrics
    ]
    return sum(seconds) if seconds else None


def costs(comparison: Comparison) -> dict[str, GateValues]:
    """Return what is recorded of ``COSTS``, by the comparison's units, rows left out."""
    found = {metric: comparison.values(metric) for metric in COSTS}
    return {metric: values for metric, values in found.items() if values}
