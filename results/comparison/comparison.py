"""The comparison of gates, from the records of their sweeps alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import pandas as pd

from gatelab.results.comparison.budgets import Budget, budget
from gatelab.results.comparison.conditions import Conditions, conditions
from gatelab.results.comparison.merging import directions_of, side_by_side, sweep_titles
from gatelab.results.comparison.plain import plain, to_json
from gatelab.results.comparison.statistics import ALPHA, RESOLUTION, holm, mean_interval, paired_t
from gatelab.tracking.runs import RunRecord, SweepRecord
from gatelab.tracking.schema import Directions, Metrics


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
    values: Mapping[str, float]
    """By seed."""


@dataclass(frozen=True)
class Test:
    """A paired t-test between two gates on one metric."""

    __test__ = False  # no test class of pytest's

    metric: str
    first: str
    second: str
    n: int
    """Seeds that both have; with none there is no test, and everything else is NaN."""
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

    def other(self, gate: str) -> str:
        """Return which gate this one is tested against."""
        return self.second if gate == self.first else self.first

    def lead(self, gate: str) -> float:
        """Return the mean difference as one of the gates sees it: its own minus the other's."""
        return self.difference if gate == self.first else -self.difference


@dataclass(frozen=True)
class Comparison:
    """Scores, tests and budgets of gates on one task, from one sweep or several."""

    sweep: str
    """Its name; of several, their names with commas."""
    task: str
    gates: tuple[str, ...]
    scores: tuple[Score, ...]
    tests: tuple[Test, ...]
    budgets: tuple[Budget, ...]
    conditions: tuple[Conditions, ...]
    """Of each sweep."""
    directions: Directions
    """Of the metrics."""

    @property
    def running(self) -> bool:
        """Whether results are still to come."""
        return any(sweep.running for sweep in self.conditions)

    @property
    def ignored(self) -> int:
        """Runs of other programs in the sweeps' experiments."""
        return sum(sweep.ignored for sweep in self.conditions)

    def score(self, gate: str, metric: str) -> Score | None:
        """Return one gate's score, if it has any."""
        found = (s for s in self.scores if s.gate == gate and s.metric == metric)
        return next(found, None)

    def metrics(self) -> list[str]:
        """Return every metric: losses first, then means over targets, targets, and gates."""
        return sorted({score.metric for score in self.scores}, key=_rank)

    def leaders(self, metric: str) -> list[str]:
        """Return the gates with the best mean: one, or several that are level.

        None where the metric has no direction, or nobody has a score.
        """
        means = {s.gate: s.mean for s in self.scores if s.metric == metric}
        means = {gate: mean for gate, mean in means.items() if not math.isnan(mean)}
        if not means or not (direction := self.directions.of(metric)):
            return []
        best = max(means.values(), key=lambda mean: direction * mean)
        return [g for g, mean in means.items() if math.isclose(mean, best, rel_tol=RESOLUTION)]

    def best(self, metric: str) -> str | None:
        """Return the gate with the best mean, where the metric has a direction."""
        return next(iter(self.leaders(metric)), None)

    def against(self, metric: str, gate: str) -> list[Test]:
        """Return the tests of one gate against the others on a metric."""
        return [t for t in self.tests if t.metric == metric and gate in (t.first, t.second)]

    def beats_all(self, metric: str, gate: str) -> bool:
        """Return whether a gate is significantly better than every other one that has a score."""
        direction, tests = self.directions.of(metric), self.against(metric, gate)
        return bool(tests) and all(t.significant and direction * t.lead(gate) > 0 for t in tests)

    def to_frame(self) -> pd.DataFrame:
        """Return the scores, a row for each metric and gate."""
        order = {metric: i for i, metric in enumerate(self.metrics())}
        scores = sorted(self.scores, key=lambda score: order[score.metric])
        rows = [(s.metric, s.gate, s.n, s.mean, s.low, s.high) for s in scores]
        return pd.DataFrame(rows, columns=["metric", "gate", "n", "mean", "low", "high"])

    def to_csv(self, path: str | Path) -> None:
        """Write the scores, a line for each metric and gate."""
        self.to_frame().to_csv(path, index=False)

    def to_dict(self) -> dict[str, object]:
        """Return everything as JSON can hold it; what is not a number becomes null."""
        return {**plain(self), "running": self.running, "ignored": self.ignored}

    def to_json(self, path: str | Path) -> None:
        """Write everything."""
        Path(path).write_text(to_json(self.to_dict()))


def compare_runs(*records: SweepRecord) -> Comparison:
    """Compare the gates of a sweep, or of several on one task: finished evaluation runs by seed.

    Gates are paired where their seeds are equal. Holm's correction is over the pairs of gates
    within one metric.
    """
    gates = side_by_side(records)
    values = {
        title: _values(record.of("evaluate", gate)) for title, (record, gate) in gates.items()
    }
    metrics = sorted({metric for found in values.values() for metric in found}, key=_rank)
    scores = [
        Score(gate, metric, len(found), *mean_interval(list(found.values())), found)
        for metric in metrics
        for gate in gates
        if (found := values[gate].get(metric))
    ]
    tests = [
        test
        for metric in metrics
        if metric.startswith("test/")
        for test in paired_tests(metric, {g: v[metric] for g, v in values.items() if metric in v})
    ]
    budgets = [budget(record, gate, title) for title, (record, gate) in gates.items()]
    sweeps = [_conditions(record) for record in records]
    return Comparison(
        ", ".join(sweep_titles(records)),
        next((sweep.task for sweep in sweeps if sweep.task), ""),
        tuple(gates),
        tuple(scores),
        tuple(tests),
        tuple(budgets),
        tuple(sweeps),
        directions_of(records),
    )


def _conditions(record: SweepRecord) -> Conditions:
    return conditions(record, sum(budget(record, gate, gate).trials for gate in record.gates))


def _values(runs: Sequence[RunRecord]) -> dict[str, dict[str, float]]:
    """Return metric to seed to value, by seed."""
    finished = {run.seed: run for run in runs if run.end == "finished"}
    values: dict[str, dict[str, float]] = {}
    for seed in sorted(finished, key=lambda seed: (len(seed), seed)):  # as the numbers they are
        for metric, value in finished[seed].metrics.items():
            if metric.startswith(_PARTS):
                values.setdefault(metric, {})[seed] = value
    return values


def paired_tests(metric: str, values: Mapping[str, Mapping[str, float]]) -> list[Test]:
    """Return the test of every pair of gates on a metric, given by gate and seed."""
    found = []
    for first, second in combinations(values, 2):
        ours, theirs = common(values[first], values[second])
        found.append((first, second, len(ours), paired_t(ours, theirs)))
    corrected = holm([result.p for *_, result in found])
    return [
        Test(metric, first, second, n, *result, p_holm)
        for (first, second, n, result), p_holm in zip(found, corrected, strict=True)
    ]


def common(
    first: Mapping[str, float], second: Mapping[str, float]
) -> tuple[list[float], list[float]]:
    """Return the values of two gates on the seeds that both have."""
    seeds = [seed for seed in first if seed in second]
    return [first[seed] for seed in seeds], [second[seed] for seed in seeds]


_PARTS = (
    *(Metrics.TEST_LOSS, "test/mean/", "test/", "gate/", "time/", "model/"),
    *(Metrics.DEFINED, Metrics.TARGETS),
)


def _rank(metric: str) -> tuple[int, int, str]:
    part = next((i for i, start in enumerate(_PARTS) if metric.startswith(start)), len(_PARTS))
    return part, metric.count("/"), metric
