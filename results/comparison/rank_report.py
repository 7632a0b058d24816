"""A ranking over tasks as a grid and in words."""

from __future__ import annotations

import math

from gatelab.results.comparison.evidence import counts
from gatelab.results.comparison.ranking import LEAST_GATES, LEAST_TASKS, Apart, Ranking
from gatelab.results.comparison.statistics import ALPHA
from gatelab.results.comparison.tables import Grid, listed, metric_title, p_words

MOST_TASKS = 5
"""With more tasks than this, and than gates, they are the rows."""


def rank_grid(ranking: Ranking) -> Grid:
    """Return values and ranks, a row a gate, a column a task; turned for many tasks."""
    grid = Grid(
        f"{metric_title(ranking.metric)} by task",
        ("task", *ranking.gates),
        [
            *([task, *(_cell(ranking, task, g) for g in ranking.gates)] for task in ranking.tasks),
            ["mean rank", *(_mean_rank(ranking, gate) for gate in ranking.gates)],
        ],
        "mean (rank among the gates that every task has; 1 is best); bold: best",
    )
    wide = len(ranking.tasks) > max(MOST_TASKS, len(ranking.gates))
    return grid if wide else grid.turned("gate")


def rank_sentences(ranking: Ranking) -> list[str]:
    """Return in words which gate ranks best, and whether that is more than chance."""
    said = [_best(ranking)] if ranking.mean_ranks else []
    said += [
        f"{task} has no {metric_title(ranking.metric)} yet, so the ranks are without it."
        for task, means in ranking.values.items()
        if not means
    ]
    said += [
        f"{gate} has no score on {listed(missing)}, so it has no rank."
        for gate in ranking.gates
        if (missing := [task for task in ranking.ranks if gate not in ranking.values[task]])
    ]
    if not ranking.tested:
        return [*said, _untested(ranking)]
    return [*said, _friedman(ranking), *_apart(ranking)]


def _untested(ranking: Ranking) -> str:
    scored = [task for task, means in ranking.values.items() if means]
    if len(scored) > 1 and not ranking.mean_ranks:
        return f"No gate has a score on each of {listed(scored)}, so none has a rank."
    tasks, gates = len(ranking.ranks), len(ranking.mean_ranks)
    return (
        f"The ranks are not tested: that takes {LEAST_TASKS} tasks and {LEAST_GATES} gates that "
        f"all of them have, but there are {tasks} and {gates}."
    )


def _best(ranking: Ranking) -> str:
    rank = min(ranking.mean_ranks.values())
    best = [gate for gate, mean in ranking.mean_ranks.items() if math.isclose(mean, rank)]
    have = "has" if len(best) == 1 else "have"
    return (
        f"{listed(best)} {have} the best mean rank by {metric_title(ranking.metric)}, "
        f"{rank:.3g} over {counts('task', [len(ranking.ranks)])}."
    )


def _friedman(ranking: Ranking) -> str:
    if ranking.friedman < ALPHA:
        return f"The gates' ranks differ (Friedman's test, {p_words(ranking.friedman)})."
    return (
        f"The gates' ranks do not differ significantly (Friedman's test, "
        f"{p_words(ranking.friedman)}), so no pair is singled out."
    )


def _apart(ranking: Ranking) -> list[str]:
    """Return which gates differ, or that these tasks are too few to say."""
    least, tasks = ranking.critical_difference, len(ranking.ranks)
    if not ranking.decidable:
        widest = len(ranking.mean_ranks) - 1
        return [
            f"{tasks} tasks are too few: mean ranks must be {least:.3g} apart to differ "
            f"significantly (Nemenyi), and those of {widest + 1} gates are never more than "
            f"{widest} apart."
        ]
    if ranking.friedman >= ALPHA:
        return []
    pairs = "; ".join(_pair(pair) for pair in ranking.significant) or "none"
    return [f"Mean ranks more than {least:.3g} apart differ significantly (Nemenyi): {pairs}."]


def _pair(pair: Apart) -> str:
    return f"{pair.first} and {pair.second} ({p_words(pair.p)})"


def _cell(ranking: Ranking, task: str, gate: str) -> str:
    value, rank = ranking.values[task].get(gate), ranking.rank(task, gate)
    if value is None:
        return "-"
    if rank is None:
        return f"{value:.4g}"
    best = rank == min(ranking.ranks[task].values())
    return f"**{value:.4g}** ({rank:g})" if best else f"{value:.4g} ({rank:g})"


def _mean_rank(ranking: Ranking, gate: str) -> str:
    rank = ranking.mean_ranks.get(gate)
    if rank is None:
        return "-"
    return f"**{rank:.3g}**" if rank == min(ranking.mean_ranks.values()) else f"{rank:.3g}"
