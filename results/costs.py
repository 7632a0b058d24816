"""What a gate costs: training time and parameters, from the runs of the evaluation."""

from __future__ import annotations

from collections.abc import Mapping

from gatelab.tracking.runs import SweepRecord
from gatelab.tracking.schema import Metrics

COSTS = {
    Metrics.TRAIN_SECONDS: "training seconds a seed",
    Metrics.GATE_PARAMETERS: "parameters of the gates",
    Metrics.PARAMETERS: "parameters in all",
}

GateValues = Mapping[str, Mapping[str, float]]
"""Gate to seed to value."""


def costs(record: SweepRecord) -> dict[str, GateValues]:
    """Return what is recorded of ``COSTS``, over the seeds that finished."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for run in (run for run in record.of("evaluate") if run.end == "finished"):
        for metric in (metric for metric in COSTS if metric in run.metrics):
            seeds = found.setdefault(metric, {}).setdefault(run.gate, {})
            seeds[run.seed] = run.metrics[metric]
    return {metric: found[metric] for metric in COSTS if metric in found}
