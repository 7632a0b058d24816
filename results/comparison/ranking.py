"""Ranking: gates over several tasks, by mean rank, and whether their ranks differ."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from gatelab.results.comparison.differences import RESOLUTION, Array, levelled
from gatelab.results.comparison.statistics import ALPHA

if TYPE_CHECKING:
    import pandas as pd

LEAST_TASKS, LEAST_GATES = 2, 3
"""Friedman's test needs at least so many."""


@dataclass(frozen=True)
class Apart:
    """Two gates' mean ranks."""

    first: str
    second: str
    difference: float
    """Of the mean ranks: first - second."""
    p: float
    """Nemenyi's, which allows for all pairs."""


@dataclass(frozen=True)
class Ranking:
    """Gates by their mean rank over tasks; 1 is best, level gates share the mean of their ranks."""

    metric: str
    values: Mapping[str, Mapping[str, float]]
    """Task to gate to mean."""
    ranks: Mapping[str, Mapping[str, float]]
    """Task to gate to rank, among the gates that all tasks have; not of a task without scores."""
    mean_ranks: Mapping[str, float]
    """By gate, the best first."""
    friedman: float = math.nan
    """Friedman's p that all gates rank alike; NaN with too few tasks or gates to test."""
    critical_difference: float = math.nan
    """Mean ranks further apart than this differ significantly (Nemenyi)."""
    pairs: tuple[Apart, ...] = ()

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks' titles."""
        return tuple(self.values)

    @property
    def gates(self) -> tuple[str, ...]:
        """Every gate: by mean rank, then those that not every task has."""
        found = dict.fromkeys(gate for values in self.values.values() for gate in values)
        return tuple(self.mean_ranks) + tuple(gate for gate in found if gate not in self.mean_ranks)

    @property
    def tested(self) -> bool:
        """Whether there were enough tasks and gates to test their ranks."""
        return not math.isnan(self.friedman)

    @property
    def decidable(self) -> bool:
        """Whether so few tasks could show any difference."""
        return self.critical_difference <= len(self.mean_ranks) - 1

    @property
    def significant(self) -> list[Apart]:
        """The pairs that differ, where Friedman's test finds that any do."""
        return [pair for pair in self.pairs if pair.p < ALPHA] if self.friedman < ALPHA else []

    def rank(self, task: str, gate: str) -> float | None:
        """Return a gate's rank on a task, if it has any."""
        return self.ranks.get(task, {}).get(gate)

    def to_frame(self) -> pd.DataFrame:
        """Return a row for each task and gate."""
        import pandas as pd  # here: it takes a third of a second

        rows = [
            (task, self.metric, gate, value, self.rank(task, gate), self.mean_ranks.get(gate))
            for task, values in self.values.items()
            for gate in self.gates
            if (value := values.get(gate)) is not None
        ]
        return pd.DataFrame(
            rows, columns=["task", "metric", "gate", "mean", "rank", "mean_rank"]
        ).astype({"rank": float, "mean_rank": float})


def rank_gates(values: Mapping[str, Mapping[str, float]], metric: str, direction: int) -> Ranking:
    """Rank gates by a metric's mean on every task.

    Friedman's test and Nemenyi's need two tasks and three gates that all tasks have.

    Args:
        values: Task to gate to mean; what is not finite is no score.
        metric: Its key.
        direction: 1 where more of it is better, -1 where less is.

    Source: Demšar, Statistical Comparisons of Classifiers over Multiple Data Sets, 2006.
    """
    finite = {
        task: {gate: mean for gate, mean in means.items() if math.isfinite(mean)}
        for task, means in values.items()
    }
    scored = {task: means for task, means in finite.items() if means}
    gates = dict.fromkeys(gate for means in scored.values() for gate in means)
    common = [gate for gate in gates if all(gate in means for means in scored.values())]
    ranks = {
        task: _ranks({gate: means[gate] for gate in common}, direction)
        for task, means in scored.items()
        if common
    }
    mean_ranks = {gate: float(np.mean([r[gate] for r in ranks.values()])) for gate in common}
    best_first = dict(sorted(mean_ranks.items(), key=lambda item: item[1]))
    ranking = Ranking(metric, finite, ranks, best_first)
    return _tested(ranking) if len(ranks) >= LEAST_TASKS and len(common) >= LEAST_GATES else ranking


def critical_difference(gates: int, tasks: int, alpha: float = ALPHA) -> float:
    """Return the least difference of mean ranks that is significant.

    Source: Demšar 2006, ``q sqrt(k (k + 1) / 6 N)`` with q the upper quantile of the studentized
    range of k over the square root of 2, for k gates and N tasks.
    """
    from scipy import stats  # here: it takes half a second to import

    q = float(stats.studentized_range.isf(alpha, gates, np.inf)) / math.sqrt(2)
    return q * math.sqrt(gates * (gates + 1) / (6 * tasks))


def _ranks(means: Mapping[str, float], direction: int) -> dict[str, float]:
    """Return ranks, in which gates are level that would lead a comparison together."""
    from scipy import stats  # here: it takes half a second to import

    worse: Array = -direction * np.array([*means.values()], dtype=np.float64)
    ranks = stats.rankdata(levelled(worse, RESOLUTION * np.abs(worse)))
    return dict(zip(means, map(float, ranks), strict=True))


def _tested(ranking: Ranking) -> Ranking:
    ranks = np.array([[r[gate] for gate in ranking.mean_ranks] for r in ranking.ranks.values()])
    return replace(
        ranking,
        friedman=_friedman(ranks),
        critical_difference=critical_difference(ranks.shape[1], len(ranks)),
        pairs=_nemenyi(ranks, list(ranking.mean_ranks)),
    )


def _friedman(ranks: Array) -> float:
    if (np.ptp(ranks, axis=1) == 0).all():  # every gate level on every task
        return 1.0
    from scipy import stats  # here: it takes half a second to import

    return float(stats.friedmanchisquare(*ranks.T).pvalue)


def _nemenyi(ranks: Array, gates: list[str]) -> tuple[Apart, ...]:
    from scikit_posthocs import posthoc_nemenyi_friedman  # here: it takes a second to import

    p = posthoc_nemenyi_friedman(ranks).to_numpy()
    means = ranks.mean(axis=0)
    first, second = np.triu_indices(len(gates), 1)
    return tuple(
        Apart(gates[i], gates[j], float(means[i] - means[j]), float(p[i, j]))
        for i, j in zip(first, second, strict=True)
    )
