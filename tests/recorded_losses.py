"""Records of sweeps with losses that a test gives, compared, and what is said of them."""

from __future__ import annotations

import io

import numpy as np
from rich.console import Console

from gatelab.results.comparison import Comparison, compare_runs
from gatelab.results.comparison.tables import Grid
from gatelab.results.comparison.verdict import sentences
from gatelab.sweeps.cli.console import show_grid
from gatelab.tracking.runs import RunRecord, SweepRecord

LOSSES = {
    "a": [0.10, 0.12, 0.11, 0.09],
    "b": [0.20, 0.23, 0.22, 0.18],
    "c": [0.21, 0.20, 0.24, 0.19],
}
COUNTED = {"search/finished": 3.0, "search/pruned": 5.0, "search/failed": 2.0}
"""A gate's own count of its trials."""


def run(
    stage: str,
    gate: str = "",
    end: str = "finished",
    metrics: dict[str, float] | None = None,
    params: dict[str, str] | None = None,
    **tags: object,
) -> RunRecord:
    named = {key.replace("_", "."): str(value) for key, value in tags.items()}
    found = {"stage": stage, "gate": gate, "end": end, "task": "t", **named}
    return RunRecord("id", "name", "FINISHED", params or {}, metrics or {}, found)


def record(losses: dict[str, list[float]], name: str = "s", **tags: object) -> SweepRecord:
    """Return a sweep with these losses, and a gate that is dead."""
    tags = {"metrics_higher": "accuracy", **tags}
    runs = [run("sweep", gates=",".join([*losses, "dead"]), **tags)]
    for gate, values in losses.items():
        runs += [run("gate", gate), run("search", gate), run("search", gate, "pruned")]
        for seed, loss in enumerate(values):
            metrics = {"test/loss": loss, "test/mean/accuracy": 1 - loss, "val/loss": 1.0}
            metrics["gate/entropy"] = loss
            runs.append(run("evaluate", gate, seed=seed, metrics=metrics))
    runs.append(run("gate", "dead", "failed", end_reason="no trial finished: boom"))
    runs += [run("search", "dead", "failed", end_reason="boom")] * 2
    return SweepRecord(name, tuple(runs))


def evaluated(losses: dict[str, dict[int, float]], name: str = "s") -> SweepRecord:
    """Return a sweep with these losses by gate and seed, and nothing else."""
    runs = [run("sweep", gates=",".join(losses))]
    for gate, values in losses.items():
        runs += [run("gate", gate)]
        runs += [
            run("evaluate", gate, seed=seed, metrics={"test/loss": loss})
            for seed, loss in values.items()
        ]
    return SweepRecord(name, tuple(runs))


def many() -> Comparison:
    random = np.random.default_rng(0)
    losses = {f"gate{i}": list(0.5 - 0.05 * i + 0.01 * random.normal(size=5)) for i in range(8)}
    return compare_runs(record(losses))


def merged() -> Comparison:
    first = evaluated({"a": {0: 0.1, 1: 0.2, 2: 0.3}, "b": {0: 0.3, 1: 0.4, 2: 0.6}}, "one")
    second = evaluated({"a": {1: 0.5, 2: 0.7, 3: 0.9}, "c": {7: 0.8, 8: 0.9}}, "two")
    return compare_runs(first, second)


def render(grid: Grid, width: int = 100) -> str:
    text = io.StringIO()
    show_grid(Console(width=width, file=text), grid)
    return text.getvalue()


def said(comparison: Comparison, metric: str = "test/loss") -> str:
    return "\n".join(sentences(comparison, metric))
