"""The published summary of a search: the best 5% of each gate's trials."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from gatelab.registry import near_misses
from gatelab.results.comparison.budgets import budget
from gatelab.results.comparison.differences import RESOLUTION, deviation
from gatelab.results.comparison.merging import directions_of, side_by_side
from gatelab.results.comparison.pooling import pooled
from gatelab.results.comparison.statistics import ALPHA, welch
from gatelab.results.comparison.subjects import Family, Role, Subject, family, subject
from gatelab.tracking.runs import RunRecord, SweepRecord
from gatelab.tracking.schema import Metrics

if TYPE_CHECKING:
    import pandas as pd

SHARE = 0.05
"""Of the trials of a gate: as many are summarised."""


@dataclass(frozen=True)
class Summary:
    """A metric over the best trials of one gate."""

    gate: str
    trials: int
    """All that ended."""
    n: int
    """Those that are summarised."""
    mean: float
    """NaN if no trial finished."""
    error: float
    """The mean's standard error; NaN for one trial."""
    values: tuple[float, ...]
    role: Role
    label: str
    """The gate's title, with its role where it is no gate that selects."""


@dataclass(frozen=True)
class Better:
    """Welch's one-sided test that one gate's best trials are better than another's."""

    first: str
    """The better gate."""
    second: str
    p: float
    """Not corrected."""

    @property
    def significant(self) -> bool:
        """Whether p is under 0.05."""
        return self.p < ALPHA


@dataclass(frozen=True)
class BestTrials:
    """The published summary of gates on one task."""

    metric: str
    direction: int
    """1 where more of the metric is better, -1 where less is, 0 where neither is known."""
    share: float
    summaries: tuple[Summary, ...]
    """In the gates' order."""
    tests: tuple[Better, ...]
    objectives: tuple[str, ...]
    """The keys of the metrics by which the trials were chosen, one unless sweeps differ."""

    @property
    def able(self) -> list[Summary]:
        """Those of gates and baselines: a ceiling, which is told the truth, is never the best."""
        return [summary for summary in self.summaries if summary.role != "ceiling"]

    def best(self) -> list[Summary]:
        """Return those of gates and baselines that have a mean, the best first."""
        found = [summary for summary in self.able if not math.isnan(summary.mean)]
        return sorted(found, key=lambda summary: -self.direction * summary.mean)

    def to_frame(self) -> pd.DataFrame:
        """Return a row for each gate."""
        import pandas as pd  # here: it takes a third of a second

        rows = [(self.metric, s.gate, s.trials, s.n, s.mean, s.error) for s in self.summaries]
        columns = ["metric", "gate", "trials", "n", "mean", "standard_error"]
        return pd.DataFrame(rows, columns=columns)


def best_trials(
    records: Sequence[SweepRecord], share: float = SHARE, metric: str = Metrics.VAL_LOSS
) -> BestTrials:
    """Summarise the best trials of every gate, by the objective of their search.

    Their number is this share of all trials that ended, rounded, and at least one: the same for
    gates with the same budget. They are chosen among those that finished.

    Args:
        records: Of sweeps on one task, with their trials.
        share: Above 0, at most 1.
        metric: Of the trials; by default the loss that they are chosen by.

    Raises:
        LookupError: If no finished trial has the metric, or nothing says which trials are best.

    Source: the protocol of COMET's experiments (Ibrahim et al. 2023), which reports the test
    loss of these trials.
    """
    gates = searched(records)
    _check_objective(records)
    _check_metric(records, metric)
    subjects = {title: subject(*of, title) for title, of in gates.items()}
    summaries = [_summary(*gates[t], one, share, metric) for t, one in subjects.items()]
    direction = directions_of(records).of(metric)
    tests = _tests(summaries, direction, family(subjects.values())) if direction else []
    objectives = tuple(dict.fromkeys(record.objective for record in records))
    return BestTrials(metric, direction, share, tuple(summaries), tuple(tests), objectives)


def searched(records: Sequence[SweepRecord]) -> dict[str, tuple[SweepRecord, str]]:
    """Return the gates that have a search of their own, by title."""
    found = side_by_side(pooled(records))
    return {
        title: (record, gate)
        for title, (record, gate) in found.items()
        if not any(run.row_of for run in record.of("gate", gate))
        and budget(record, gate, title).searched
    }


def objective(run: RunRecord) -> float:
    """Return what a trial is chosen by; NaN where it has none."""
    return run.metrics.get(Metrics.OBJECTIVE, run.metrics.get(Metrics.VAL_LOSS, math.nan))


def _value(record: SweepRecord, run: RunRecord, metric: str) -> float:
    return objective(run) if metric == record.objective else run.metrics.get(metric, math.nan)


def finished(record: SweepRecord, trials: Sequence[RunRecord]) -> list[RunRecord]:
    """Return those of a sweep's trials that finished, the best first by its objective."""
    ended = [run for run in trials if run.end == "finished" and math.isfinite(objective(run))]
    found = sorted(ended, key=objective)
    return found[::-1] if record.directions.of(record.objective) > 0 else found


def _check_objective(records: Sequence[SweepRecord]) -> None:
    """Check that of each search's objective more or less is known to be better."""
    for record in records:
        if not record.directions.of(record.objective):
            raise LookupError(
                f"of {record.objective!r}, by which sweep {record.sweep!r} chose its trials, it is "
                "not recorded whether more or less is better: no trial is the best."
            )


def _check_metric(records: Sequence[SweepRecord], metric: str) -> None:
    runs = [run for record in records for run in finished(record, record.of("search"))]
    known = {key for run in runs for key in run.metrics if key.startswith("val/")} | {
        Metrics.VAL_LOSS
    }
    if metric not in known:
        raise LookupError(f"no metric {metric!r} of finished trials; {near_misses(metric, known)}")


def _summary(record: SweepRecord, gate: str, of: Subject, share: float, metric: str) -> Summary:
    trials = budget(record, gate, of.gate).trials
    chosen = finished(record, record.of("search", gate))[: max(1, round(share * trials))]
    values = np.array([_value(record, run, metric) for run in chosen])
    values = values[np.isfinite(values)]
    n = len(values)
    mean = float(values.mean()) if n else math.nan
    error = deviation(values) / math.sqrt(n) if n > 1 else math.nan
    return Summary(of.gate, trials, n, mean, error, tuple(values.tolist()), of.role, of.label)


def _tests(summaries: Sequence[Summary], direction: int, asked: Family) -> list[Better]:
    """Return the tests of the pairs that are asked for."""
    found = []
    for pair in combinations((s for s in summaries if s.n), 2):
        low, high = sorted(pair, key=lambda summary: summary.mean)
        if {low.gate, high.gate} not in asked:
            continue
        if math.isclose(low.mean, high.mean, rel_tol=RESOLUTION):
            continue
        first, second = (low, high) if direction < 0 else (high, low)
        found.append(Better(first.gate, second.gate, welch(low.values, high.values)))
    return found
