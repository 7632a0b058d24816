"""A comparison as a table and as sentences."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.table import Table

from tracking.comparison import ALPHA, Comparison, Score, Test, lower_is_better

MOST_METRICS = 12
SHOWN = (
    "gate/experts_per_example",
    "gate/at_most_k",
    "gate/entropy",
    "gate/load_cv2",
    "gate/dead_experts",
    "gate/jaccard",
    "gate/f1",
    "time/train_seconds",
)
"""The gates' metrics in the table; all of them are in the CSV file."""
MOST_COLUMNS = 5
"""With more gates than this, they are the rows."""
SHOWN_OF_MANY = ("test/loss", "gate/experts_per_example", "time/train_seconds")
"""What the table shows of many gates, beside the means over targets."""


def table(comparison: Comparison) -> Table:
    """Return the table for a terminal: a row a metric, a column a gate; turned for many gates."""
    found = Table(
        title=f"{comparison.sweep}: {comparison.task}",
        caption="mean ± half the 95% interval over seeds; bold: best; "
        f"*: differs from every other gate (paired t, Holm, p < {ALPHA})",
        caption_justify="left",
    )
    columns, rows = _grid(comparison, "[bold green]{}[/]")
    found.add_column(columns[0], no_wrap=True)
    for column in columns[1:]:
        found.add_column(column, justify="right")  # which breaks a line rather than lose a digit
    for row in rows:
        found.add_row(*row)
    return found


def markdown(comparison: Comparison) -> str:
    """Return the same table in Markdown."""
    columns, rows = _grid(comparison, "**{}**")
    lines = ["| " + " | ".join(columns) + " |", "| --- |" + " ---: |" * (len(columns) - 1)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def _grid(comparison: Comparison, bold: str) -> tuple[list[str], list[list[str]]]:
    """Return titles of columns and rows of cells."""
    gates = comparison.gates
    metrics = shown_metrics(comparison)
    turned = len(gates) > MOST_COLUMNS
    if turned:
        metrics = [m for m in metrics if m in SHOWN_OF_MANY or m.startswith("test/mean/")]
    cells = [[_cell(comparison, gate, metric, bold) for gate in gates] for metric in metrics]
    rows = [[_title(metric), *row] for metric, row in zip(metrics, cells, strict=True)]
    rows += [[title, *row] for title, row in _budget_rows(comparison)]
    if not turned:
        return ["metric", *gates], rows
    # With spaces, so that a narrow column breaks its title instead of cutting it.
    titles = [row[0].replace("_", " ").replace("/", " / ") for row in rows]
    columns = ["gate", *titles]
    order = sorted(range(len(gates)), key=lambda index: _loss(comparison, gates[index]))
    return columns, [[gates[i], *(row[1 + i] for row in rows)] for i in order]


def _loss(comparison: Comparison, gate: str) -> float:
    score = comparison.score(gate, "test/loss")
    return score.mean if score is not None and not math.isnan(score.mean) else math.inf


def shown_metrics(comparison: Comparison) -> list[str]:
    """Return what the table shows: losses, then a few targets or means, then the gates'."""
    metrics = comparison.metrics()
    tests = [metric for metric in metrics if metric.startswith("test/")]
    if len(tests) > MOST_METRICS:
        tests = [m for m in tests if m == "test/loss" or m.startswith("test/mean/")]
    return tests + [metric for metric in SHOWN if metric in metrics]


def sentences(comparison: Comparison, metric: str = "test/loss") -> list[str]:
    """Return in words which gate is best, and which differences are real."""
    said = [_missing(budget.gate, budget.note) for budget in comparison.budgets if budget.note]
    best = comparison.best(metric)
    if best is None:
        return [*said, "There is nothing to compare yet."]
    score = comparison.score(best, metric)
    assert score is not None
    extreme = "lowest" if lower_is_better(metric) else "highest"
    first = f"{best} has the {extreme} {metric.replace('/', ' ')}, {_with_interval(score)}"
    said.append(f"{first}, over {score.n} seed{'s' if score.n > 1 else ''}.")
    tests = comparison.against(metric, best)
    if len(tests) > MOST_COLUMNS:
        return said + _verdict_of_many(tests, best)
    return said + [_verdict(test, best) for test in tests]


def _missing(gate: str, note: str) -> str:
    return f"{gate} has no score: {note}."


def _with_interval(score: Score) -> str:
    if math.isnan(score.low):
        return f"{score.mean:.4g}"
    return f"{score.mean:.4g} (95% interval {score.low:.4g} to {score.high:.4g})"


def _verdict(test: Test, best: str) -> str:
    other = test.second if test.first == best else test.first
    if math.isnan(test.p_holm):
        return f"Its difference from {other} cannot be tested with {test.n} seed."
    p = "p < 0.001" if test.p_holm < 0.001 else f"p = {test.p_holm:.2g}"
    kind = "significant" if test.significant else "not significant"
    return f"Its difference from {other} is {kind} ({p} after Holm's correction)."


def _verdict_of_many(tests: Sequence[Test], best: str) -> list[str]:
    """Return which differences from the best gate are significant, in two sentences."""
    said = []
    for significant, word in ((True, "significant"), (False, "not significant")):
        others = [t.second if t.first == best else t.first for t in tests]
        chosen = [o for o, t in zip(others, tests, strict=True) if t.significant == significant]
        if chosen:
            names = ", ".join(chosen)
            said.append(f"After Holm's correction its difference is {word} from {names}.")
    return said


def _title(metric: str) -> str:
    return metric.replace("gate/", "gate ").replace("test/", "test ").replace("time/", "")


def _cell(comparison: Comparison, gate: str, metric: str, bold: str) -> str:
    score = comparison.score(gate, metric)
    if score is None:
        return "-"
    text = _number(score)
    if comparison.best(metric) != gate:
        return text
    star = "*" if comparison.beats_all(metric, gate) else ""
    return bold.format(text) + star


def _number(score: Score) -> str:
    """Return a mean with as many digits as its interval leaves meaning to."""
    half = score.high - score.mean
    if math.isnan(half) or half == 0:
        return f"{score.mean:.4g}"
    digits = min(3, max(0, 1 - math.floor(math.log10(half))))
    return f"{score.mean:.{digits}f} ± {half:.{digits}f}"


def _budget_rows(comparison: Comparison) -> Sequence[tuple[str, list[str]]]:
    budgets = comparison.budgets
    ends = [f"{b.finished}/{b.pruned}/{b.failed}" for b in budgets]
    seeds = [str(b.evaluated) if b.evaluated else "none" for b in budgets]
    return [("finished/pruned/failed", ends), ("seeds evaluated", seeds)]
