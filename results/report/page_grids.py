"""The tables of a report's page."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from gatelab.gates.meanings import MEANINGS
from gatelab.results.comparison import Comparison, Score
from gatelab.results.comparison.evidence import plural
from gatelab.results.comparison.inference import pairwise
from gatelab.results.comparison.score_grids import (
    MOST_COLUMNS,
    corrected_for,
    defined_on,
    pair_grid,
    score_grid,
)
from gatelab.results.comparison.tables import Grid, number
from gatelab.results.costs import COSTS, costs, trained_seconds
from gatelab.results.report.conditions_grid import duration
from gatelab.tracking.runs import SweepRecord
from gatelab.tracking.schema import Metrics

PAIR_COLUMNS = (
    *("pair", "difference (95%)", "p, paired t", "p, Wilcoxon", "p, sign flips", "p, Welch"),
    "smallest found",
)
"""The columns of what is said of pairs."""
IN_TRAINING = {"settled_epoch", "rise_while_dense", "weight_change", "support_flips"}
"""What tells of epochs, after each of which gates are seen on the val split alone."""
A_BLOCK = 6
"""Of many gates' metrics, so many stand side by side."""


def predictive_grids(comparison: Comparison) -> list[Grid]:
    """Return the test metrics by gate: loss, means over targets, and targets."""
    names = {m: m.split("/", 1)[1] for m in comparison.metrics() if m.startswith("test/")}
    names = {m: name.replace("/", ": ") + defined_on(comparison, m) for m, name in names.items()}
    grid = Grid(
        "Test metrics",
        _gates(comparison),
        _scores(comparison, names),
        f"Mean over the evaluation's {plural(comparison.unit)} ± half its 95% interval (Student's "
        f"t). Bold: the best mean. *: better than every other gate (paired t-tests by "
        f"{comparison.unit}, Holm's correction for the tested pairs within a metric, p < 0.05)."
        f"{_rows_said(comparison)}",
    )
    return _blocks(grid)


def selection_grids(comparison: Comparison, record: SweepRecord) -> list[Grid]:
    """Return how gates select experts, over all targets."""
    names = {m: m.split("/", 1)[1] for m in comparison.metrics() if m.startswith("gate/")}
    order = {name: index for index, name in enumerate(MEANINGS)}
    names = {metric: name for metric, name in names.items() if "/" not in name}
    names = dict(sorted(names.items(), key=lambda item: order.get(item[1], len(order))))
    grid = Grid(
        "Expert selection",
        _gates(comparison),
        [*_scores(comparison, names), *_agreement(comparison, record)],
        f"Mean over the evaluation's {plural(comparison.unit)} ± half its 95% interval, on the "
        f"test split{_not_tested(names.values())}. No value is better as such, so none is bold.",
    )
    return _blocks(_filled(grid))


def _not_tested(names: Iterable[str]) -> str:
    """Return which of a table's columns are not of the test split, where it has any."""
    found = [name for name in names if name in IN_TRAINING]
    return f", but of val in training: {', '.join(found)}" if found else ""


def learner_grids(comparison: Comparison) -> list[Grid]:
    """Return what learners tell of their models, where any does."""
    start = "learner/"
    names = {m: m.removeprefix(start) for m in comparison.metrics() if m.startswith(start)}
    if not names:
        return []
    grid = Grid(
        "Learners",
        _gates(comparison),
        _scores(comparison, names),
        f"Mean over the evaluation's {plural(comparison.unit)} ± half its 95% interval, on the "
        "test split, where a gate's learner tells it. No value is better as such, so none is bold.",
    )
    return _blocks(_filled(grid))


def _filled(grid: Grid) -> Grid:
    """Return a grid without the columns that say nothing: a constant prediction has no experts."""
    columns = list(zip(grid.columns, *grid.rows, strict=True))
    kept = [c for i, c in enumerate(columns) if i == 0 or any(cell != "-" for cell in c[1:])]
    names, *rows = zip(*kept, strict=True)
    return replace(grid, columns=names, rows=rows)


def _rows_said(comparison: Comparison) -> str:
    """Return what rows are, where there are any."""
    if not comparison.of_role("row"):
        return ""
    return " At k = ...: the best of a gate's search at that k, shown and not tested."


def _gates(comparison: Comparison) -> Sequence[str]:
    """Return the columns of scores: the gates, many of them from the best to the worst."""
    return _by_metric(score_grid(comparison)).columns


def _scores(comparison: Comparison, names: Mapping[str, str]) -> list[list[str]]:
    """Return a row for each of the metrics, which have other names here.

    The budgets are left out: they have a table of their own.
    """
    grid = _by_metric(score_grid(comparison, list(names)))
    found = [dict(zip(grid.columns, row, strict=True)) for row in grid.rows]
    gates = _gates(comparison)[1:]
    return [
        [name, *(row[gate] for gate in gates)]
        for name, row in zip(names.values(), found, strict=False)
    ]


def _by_metric(grid: Grid) -> Grid:
    return grid if grid.columns[0] == "metric" else grid.turned("metric")


def _agreement(comparison: Comparison, record: SweepRecord) -> list[list[str]]:
    """Return the row of the one metric that is not a seed's but of all of them."""
    found = {
        comparison.subject(run.gate).label: run.metrics.get("gate/seed_agreement")
        for run in record.of("gate")
    }
    if all(value is None for value in found.values()):
        return []
    values = [found.get(gate) for gate in _gates(comparison)[1:]]
    return [["seed_agreement", *("-" if value is None else f"{value:.3f}" for value in values)]]


def _blocks(grid: Grid) -> list[Grid]:
    """Return a table, or where gates are many several with gates as rows and few columns each."""
    if not grid.rows or len(grid.columns) - 1 <= MOST_COLUMNS:
        return [grid] if grid.rows else []
    parts = [grid.rows[start : start + A_BLOCK] for start in range(0, len(grid.rows), A_BLOCK)]
    first, *others = (replace(grid, rows=part).turned("gate") for part in parts)
    title = f"{grid.title}, continued"
    return [first, *(replace(part, title=title, caption="") for part in others)]


def pair_grids(comparison: Comparison) -> list[Grid]:
    """Return the pairs of gates on the test loss: of many gates, those of the best one."""
    if Metrics.TEST_LOSS not in comparison.metrics():
        return []
    found = pairwise(comparison, Metrics.TEST_LOSS)
    if not found:
        return []
    grid = pair_grid(comparison, Metrics.TEST_LOSS, found)
    best = comparison.leader(Metrics.TEST_LOSS)
    others = "" if len(grid.rows) == len(found) else f" Only pairs with {best}; all: pairs.csv."
    caption = (
        f"Difference: mean of first - second over the {plural(comparison.unit)} that both have, "
        "with its 95% interval (BCa bootstrap). The paired t-test decides; its p, that of "
        "Wilcoxon's signed-rank test and of the sign-flip permutation test are after Holm's "
        f"correction for {corrected_for(found)}; Welch's is one-sided, not paired, not corrected. "
        "Smallest found: the true difference that the t-test would find in 4 of 5 repetitions."
        + others
    )
    return [replace(grid, title="Test loss, pair by pair", columns=PAIR_COLUMNS, caption=caption)]


def cost_grids(comparison: Comparison, record: SweepRecord) -> list[Grid]:
    """Return time and parameters by gate, as far as they are recorded."""
    found = costs(comparison)
    rows = [
        [
            comparison.subject(gate).label,
            _compute(record, gate),
            *(_mean(comparison.score(gate, metric)) for metric in found),
        ]
        for gate in comparison.gates
        if any(gate in values for values in found.values())
    ]
    caption = (
        f"Mean over the {plural(comparison.unit)} ± half its 95% interval; training in all: the "
        "sum over its search and its evaluation, as far as it is recorded. Training time is a "
        "member's share of the time that it trained together with others; parameters are those "
        "that are learned, and active those that run for a row: without the experts that it does "
        "not use."
    )
    columns = ["gate", "training in all", *(COSTS[metric] for metric in found)]
    return [Grid("Time and parameters", columns, rows, caption)] if rows else []


def _compute(record: SweepRecord, gate: str) -> str:
    """Return for how long all trials and seeds of a gate trained, one after another."""
    seconds = trained_seconds(record, gate)
    return "-" if seconds is None else duration(seconds)


def _mean(score: Score | None) -> str:
    if score is None or math.isnan(score.mean):
        return "-"
    mean, half = score.mean, score.high - score.mean
    alike = math.isnan(half) or half == 0
    return f"{mean:,.0f}" if alike and mean.is_integer() else number(mean, half)
