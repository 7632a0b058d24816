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
from gatelab.results.comparison.statistics import (
    ALPHA,
    RESOLUTION,
    Interval,
    holm,
    mean_interval,
    paired_t,
)
from gatelab.results.comparison.subjects import ROLES, Role, Subject, subject
from gatelab.results.comparison.units import ByUnit, by_unit, evaluated_splits, split_ratio
from gatelab.tracking.runs import RunRecord, SweepRecord
from gatelab.tracking.schema import Directions, Metrics


@dataclass(frozen=True)
class Score:
    """A metric of one gate over its evaluation's seeds, or its splits where there are several."""

    gate: str
    metric: str
    n: int
    mean: float
    low: float
    """Of the 95% interval, as ``high``; NaN with one seed."""
    high: float
    values: Mapping[str, float]
    """By seed; with several splits by split, the mean over its seeds."""


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
    subjects: tuple[Subject, ...]
    """What every gate is, in their order: gates, then baselines, then ceilings."""
    splits: int = 1
    """On how many splits gates were evaluated."""
    test_to_train: float = 0.0
    """With several splits of the same rows the test rows over the train rows, else 0."""

    @property
    def running(self) -> bool:
        """Whether results are still to come."""
        return any(sweep.running for sweep in self.conditions)

    @property
    def ignored(self) -> int:
        """Runs of other programs in the sweeps' experiments."""
        return sum(sweep.ignored for sweep in self.conditions)

    def subject(self, gate: str) -> Subject:
        """Return what a gate is."""
        return next(subject for subject in self.subjects if subject.gate == gate)

    def of_role(self, role: Role) -> list[str]:
        """Return the gates of a role."""
        return [subject.gate for subject in self.subjects if subject.role == role]

    def score(self, gate: str, metric: str) -> Score | None:
        """Return one gate's score, if it has any."""
        found = (s for s in self.scores if s.gate == gate and s.metric == metric)
        return next(found, None)

    def metrics(self) -> list[str]:
        """Return every metric: losses first, then means over targets, targets, and gates."""
        return sorted({score.metric for score in self.scores}, key=_rank)

    def leaders(self, metric: str) -> list[str]:
        """Return the gates with the best mean: one, or several that are level.

        A ceiling is none of them. None where the metric has no direction, or nobody has a score.
        """
        means = {s.gate: s.mean for s in self.scores if s.metric == metric}
        out = {*self.of_role("ceiling"), *(gate for gate, mean in means.items() if mean != mean)}
        means = {gate: mean for gate, mean in means.items() if gate not in out}
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
        """Return whether a gate is significantly better than every other one that has a score.

        Baselines count among the others, ceilings do not, and never beat anybody.
        """
        ceilings, direction = self.of_role("ceiling"), self.directions.of(metric)
        tests = [t for t in self.against(metric, gate) if t.other(gate) not in ceilings]
        if gate in ceilings:
            return False
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

    Gates are paired where their seeds are equal, or their splits where there are several. Holm's
    correction is over the pairs of gates within one metric.
    """
    gates, subjects = _in_order(side_by_side(records))
    splits, share = len(evaluated_splits(records)), split_ratio(records)
    share = share if splits > 1 else 0.0
    values = {
        title: _values(record.of("evaluate", gate), splits > 1)
        for title, (record, gate) in gates.items()
    }
    metrics = sorted({metric for found in values.values() for metric in found}, key=_rank)
    scores = [
        Score(gate, metric, len(found), *_interval(found, share), found)
        for metric in metrics
        for gate in gates
        if (found := values[gate].get(metric))
    ]
    tests = [
        test
        for metric in metrics
        if metric.startswith("test/")
        for test in paired_tests(
            metric, {g: v[metric] for g, v in values.items() if metric in v}, share
        )
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
        subjects,
        max(1, splits),
        share,
    )


def _in_order(
    gates: Mapping[str, tuple[SweepRecord, str]],
) -> tuple[dict[str, tuple[SweepRecord, str]], tuple[Subject, ...]]:
    """Return gates before baselines before ceilings, and what each is."""
    found = [subject(record, gate, title) for title, (record, gate) in gates.items()]
    subjects = tuple(sorted(found, key=lambda one: ROLES.index(one.role)))
    return {one.gate: gates[one.gate] for one in subjects}, subjects


def _interval(values: Mapping[str, float], share: float) -> Interval:
    return mean_interval(list(values.values()), test_to_train=share)


def _conditions(record: SweepRecord) -> Conditions:
    return conditions(record, sum(budget(record, gate, gate).trials for gate in record.gates))


def _values(runs: Sequence[RunRecord], several_splits: bool) -> ByUnit:
    """Return metric to seed, or split, to value."""
    found = by_unit([run for run in runs if run.end == "finished"], several_splits)
    return {metric: values for metric, values in found.items() if metric.startswith(_PARTS)}


def paired_tests(
    metric: str, values: Mapping[str, Mapping[str, float]], test_to_train: float = 0.0
) -> list[Test]:
    """Return the test of every pair of gates on a metric, given by gate and seed or split."""
    found = []
    for first, second in combinations(values, 2):
        ours, theirs = common(values[first], values[second])
        found.append((first, second, len(ours), paired_t(ours, theirs, test_to_train)))
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
