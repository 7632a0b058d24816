"""The comparison of a sweep's gates, from its record alone."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import pandas as pd

from tracking.mlflow_store import RunRecord, SweepRecord
from tracking.statistics import holm, mean_interval, paired_t

ALPHA = 0.05
LOWER_IS_BETTER = ("loss", "mse", "mae", "rmse", "error")


@dataclass(frozen=True)
class Score:
    """A metric of one gate over its evaluation's seeds."""

    gate: str
    metric: str
    n: int
    mean: float
    low: float
    """Of the 95% interval, as ``high``; NaN with one seed."""
    high: float


@dataclass(frozen=True)
class Test:
    """A paired test between two gates on one metric."""

    __test__ = False  # no test class of pytest's

    metric: str
    first: str
    second: str
    n: int
    """Seeds that both have."""
    difference: float
    """The mean of first - second."""
    low: float
    high: float
    p: float
    p_holm: float
    """Corrected for all pairs of gates on this metric."""

    @property
    def significant(self) -> bool:
        """Whether the corrected p-value is under 0.05."""
        return self.p_holm < ALPHA


@dataclass(frozen=True)
class Budget:
    """What became of one gate's search and evaluation."""

    gate: str
    finished: int
    pruned: int
    failed: int
    evaluated: int
    reasons: Mapping[str, int]
    """Why trials failed."""
    note: str
    """Why there is no evaluation, if there is none."""

    @property
    def trials(self) -> int:
        """All trials that ended."""
        return self.finished + self.pruned + self.failed


@dataclass(frozen=True)
class Comparison:
    """Scores, tests and budgets of a sweep's gates."""

    sweep: str
    task: str
    gates: tuple[str, ...]
    scores: tuple[Score, ...]
    tests: tuple[Test, ...]
    budgets: tuple[Budget, ...]

    def score(self, gate: str, metric: str) -> Score | None:
        """Return one gate's score, if it has any."""
        found = (s for s in self.scores if s.gate == gate and s.metric == metric)
        return next(found, None)

    def metrics(self) -> list[str]:
        """Return every metric: losses first, then means over targets, targets, and gates."""
        return sorted({score.metric for score in self.scores}, key=_rank)

    def best(self, metric: str) -> str | None:
        """Return the gate with the best mean, where the metric has a direction."""
        scores = [s for s in self.scores if s.metric == metric and not math.isnan(s.mean)]
        if not scores or not metric.startswith("test/"):
            return None
        pick = min if lower_is_better(metric) else max
        return pick(scores, key=lambda score: score.mean).gate

    def against(self, metric: str, gate: str) -> list[Test]:
        """Return the tests of one gate against the others on a metric."""
        return [t for t in self.tests if t.metric == metric and gate in (t.first, t.second)]

    def beats_all(self, metric: str, gate: str) -> bool:
        """Return whether a gate's difference from every other one is significant."""
        tests = self.against(metric, gate)
        return bool(tests) and all(test.significant for test in tests)

    def to_frame(self) -> pd.DataFrame:
        """Return the scores, a row for each metric and gate."""
        frame = pd.DataFrame([asdict(score) for score in self.scores])
        if frame.empty:
            return pd.DataFrame(columns=["metric", "gate", "n", "mean", "low", "high"])
        frame["order"] = frame["metric"].map({m: i for i, m in enumerate(self.metrics())})
        frame = frame.sort_values("order", kind="stable")
        return frame[["metric", "gate", "n", "mean", "low", "high"]].reset_index(drop=True)

    def to_csv(self, path: str | Path) -> None:
        """Write the scores, a line for each metric and gate."""
        self.to_frame().to_csv(path, index=False)

    def to_json(self, path: str | Path) -> None:
        """Write everything; what is not a number becomes null."""
        Path(path).write_text(json.dumps(_strict(asdict(self)), indent=2) + "\n")


def compare_runs(record: SweepRecord) -> Comparison:
    """Compare a sweep's gates: finished evaluation runs, paired by seed.

    Holm's correction is over the pairs of gates within one metric.
    """
    gates = list(dict.fromkeys(r.gate for r in record.runs if r.gate and r.stage == "gate"))
    gates += [g for g in dict.fromkeys(r.gate for r in record.runs) if g and g not in gates]
    order = _spec_order(record)
    gates.sort(key=lambda gate: order.index(gate) if gate in order else len(order))
    values = {gate: _values(record.of("evaluate", gate)) for gate in gates}
    metrics = sorted({metric for found in values.values() for metric in found}, key=_rank)
    scores = [
        Score(gate, metric, len(found), *mean_interval(list(found.values())))
        for metric in metrics
        for gate in gates
        if (found := values[gate].get(metric))
    ]
    tests = [test for metric in metrics for test in _tests(metric, gates, values)]
    budgets = tuple(_budget(record, gate) for gate in gates)
    tasks = [run.tags["task"] for run in record.runs if "task" in run.tags]
    task = tasks[0] if tasks else ""
    return Comparison(record.sweep, task, tuple(gates), tuple(scores), tuple(tests), budgets)


def lower_is_better(metric: str) -> bool:
    """Return whether less of a metric is better, by the end of its key."""
    return metric.rpartition("/")[2].endswith(LOWER_IS_BETTER)


def _spec_order(record: SweepRecord) -> list[str]:
    for run in record.of("sweep"):
        return run.tags.get("gates", "").split(",")
    return []


def _values(runs: Sequence[RunRecord]) -> dict[str, dict[str, float]]:
    """Return metric to seed to value."""
    values: dict[str, dict[str, float]] = {}
    for run in (r for r in runs if r.end == "finished"):
        for metric, value in run.metrics.items():
            if metric.startswith(("test/", "gate/", "time/")):
                values.setdefault(metric, {})[run.tags.get("seed", run.run_id)] = value
    return values


def _tests(
    metric: str, gates: Sequence[str], values: Mapping[str, Mapping[str, Mapping[str, float]]]
) -> list[Test]:
    if not metric.startswith("test/"):
        return []
    found = []
    for first, second in combinations(gates, 2):
        ours, theirs = values[first].get(metric, {}), values[second].get(metric, {})
        seeds = [seed for seed in ours if seed in theirs]
        if seeds:
            result = paired_t([ours[s] for s in seeds], [theirs[s] for s in seeds])
            found.append((first, second, len(seeds), result))
    corrected = holm([result.p for *_, result in found])
    return [
        Test(metric, first, second, n, *result, p_holm)
        for (first, second, n, result), p_holm in zip(found, corrected, strict=True)
    ]


def _budget(record: SweepRecord, gate: str) -> Budget:
    trials = record.of("search", gate)
    ends = Counter(run.end for run in trials)
    reasons = Counter(r.tags.get("end.reason", "") for r in trials if r.end == "failed")
    evaluated = sum(run.end == "finished" for run in record.of("evaluate", gate))
    notes = [r.tags.get("end.reason", "") for r in record.of("gate", gate) if not evaluated]
    failures = [
        r.tags.get("end.reason", "") for r in record.of("evaluate", gate) if r.end == "failed"
    ]
    note = next((n for n in [*notes, *failures] if n), "" if evaluated else "not evaluated yet")
    return Budget(
        gate, ends["finished"], ends["pruned"], ends["failed"], evaluated, dict(reasons), note
    )


_PARTS = ("test/loss", "test/mean/", "test/", "gate/", "time/")


def _rank(metric: str) -> tuple[int, int, str]:
    part = next((i for i, start in enumerate(_PARTS) if metric.startswith(start)), len(_PARTS))
    return part, metric.count("/"), metric


def _strict(value: Any) -> Any:
    """Return the same with null for what JSON has no word for."""
    if isinstance(value, dict):
        return {key: _strict(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_strict(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
