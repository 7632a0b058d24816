"""Grids of a comparison: its scores and budgets, and the pairs of gates on a metric."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

from gatelab.results.comparison import Comparison
from gatelab.results.comparison.budgets import Budget
from gatelab.results.comparison.evidence import counts, plural
from gatelab.results.comparison.inference import Pair
from gatelab.results.comparison.statistics import ALPHA
from gatelab.results.comparison.subjects import ROLES
from gatelab.results.comparison.tables import Grid, metric_title, number, p_value
from gatelab.tracking.schema import Metrics

MOST_METRICS = 12
SHOWN_METRICS = (
    "gate/experts_per_example",
    Metrics.EXPERTS_PER_ROW,
    Metrics.AT_MOST_K,
    "gate/entropy",
    "gate/load_cv2",
    "gate/pooled_load_cv2",
    "gate/dead_experts",
    "gate/jaccard",
    "gate/group_agreement",
    "gate/f1",
    Metrics.TRAIN_SECONDS,
)
"""The gates' metrics in the table; all of them are in the CSV file."""
MOST_COLUMNS = 5
"""With more gates than this, they are the rows."""
LOSSES = (Metrics.TEST_LOSS, Metrics.TEST_UNWEIGHTED)
SHOWN_OF_MANY = (*LOSSES, Metrics.EXPERTS_PER_ROW, Metrics.TRAIN_SECONDS)
"""What the table shows of many gates, beside the means over targets."""


def score_grid(comparison: Comparison, metrics: Sequence[str] = ()) -> Grid:
    """Return scores and budgets: a row a metric, a column a gate; turned for many gates.

    Args:
        comparison: What to show.
        metrics: Which; by default those that matter most.
    """
    turned = len(comparison.gates) > MOST_COLUMNS
    gates = _ordered(comparison, [*metrics, Metrics.TEST_LOSS][0]) if turned else comparison.gates
    shown = metrics or shown_metrics(comparison)
    if turned and not metrics:
        shown = [m for m in shown if m in SHOWN_OF_MANY or m.startswith("test/mean/")]
    rows = [
        [
            metric_title(m) + defined_on(comparison, m),
            *(_cell(comparison, gate, m) for gate in gates),
        ]
        for m in shown
    ]
    rows += _budget_rows(comparison, gates)
    if turned:  # with spaces a narrow column breaks its title instead of cutting it
        rows = [[row[0].replace("_", " ").replace("/", " / "), *row[1:]] for row in rows]
    grid = Grid(
        f"{comparison.sweep}: {comparison.task}",
        ("metric", *(comparison.subject(gate).label for gate in gates)),
        rows,
        f"mean ± half the 95% interval over {plural(comparison.unit)}; bold: best; "
        f"*: better than every other gate (paired t, Holm, p < {ALPHA})" + said_of_weights(shown),
    )
    return grid.turned("gate") if turned else grid


def said_of_weights(shown: Collection[str]) -> str:
    """Return that the loss is weighted, for a table that has the unweighted one too."""
    if Metrics.TEST_UNWEIGHTED not in shown:
        return ""
    return "; loss: weighted by rows or classes, which unweighted_loss counts alike"


def defined_on(comparison: Comparison, metric: str) -> str:
    """Return of how many targets a mean over targets is, where that is not all that have it.

    From how many to how many in single evaluations: one that says no number has all.
    """
    key = metric.replace("/mean/", "/", 1)
    defined, targets, means = (
        _single(comparison, name)
        for name in (f"{Metrics.DEFINED}{key}", f"{Metrics.TARGETS}{key}", metric)
    )
    if "/mean/" not in metric or not targets:
        return ""
    most = max(targets) if len(means) > len(defined) else max(defined)
    few = f"{min(defined):g}" + (f" to {most:g}" if min(defined) < most else "")
    return f" ({few} of {max(targets):g} targets)"


def _single(comparison: Comparison, metric: str) -> list[float]:
    """Return what all evaluations of all gates gave."""
    return [v for s in comparison.scores if s.metric == metric for v in s.values.single]


def shown_metrics(comparison: Comparison) -> list[str]:
    """Return what the table shows: losses, then a few targets or means, then the gates'."""
    metrics = comparison.metrics()
    tests = [metric for metric in metrics if metric.startswith("test/")]
    if len(tests) > MOST_METRICS:
        tests = [m for m in tests if m in LOSSES or m.startswith("test/mean/")]
    return tests + [metric for metric in SHOWN_METRICS if metric in metrics]


def pair_grid(comparison: Comparison, metric: str, pairs: Sequence[Pair]) -> Grid:
    """Return the pairs of gates on a metric; of many gates, those of the best one."""
    best, shown = comparison.leader(metric), pairs
    if best is not None and len(comparison.tested) > MOST_COLUMNS:
        shown = [pair for pair in pairs if best in (pair.first, pair.second)]
    only = "" if len(shown) == len(pairs) else f"; the other pairs than {best}'s: --format json"
    return Grid(
        f"{metric_title(metric)}: pairs",
        ("pair", "difference (BCa 95%)", "t", "Wilcoxon", "flips", "Welch", "smallest"),
        [_pair_row(pair) for pair in shown],
        "p of the paired t, Wilcoxon's and sign-flip tests, Holm's correction for "
        f"{corrected_for(pairs)}; of Welch's test one-sided, not paired, not corrected; smallest: "
        "the true difference that t would find in 4 of 5 repetitions; BCa intervals of few "
        f"{plural(comparison.unit)} are too narrow{only}",
    )


def corrected_for(pairs: Sequence[Pair]) -> str:
    """Return for how many tests p-values are corrected: not for pairs outside of the family."""
    count = sum(not math.isnan(pair.p_holm) for pair in pairs)
    if not count:
        return "no pair, since none can be tested"
    tested = f"that {'is' if count == 1 else 'are'} tested"
    words = counts("pair", [count])
    return words if count == len(pairs) else f"the {words} {tested}"


def _pair_row(pair: Pair) -> list[str]:
    tests = (pair.p_holm, pair.p_wilcoxon_holm, pair.p_permutation_holm, pair.p_welch)
    return [
        f"{pair.first} - {pair.second}",
        _short(pair.difference)
        + ("" if math.isnan(pair.bca_low) else f" ({pair.bca_low:.3g} to {pair.bca_high:.3g})"),
        *map(p_value, tests),
        _short(pair.smallest),
    ]


def _short(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3g}"


def by_mean(comparison: Comparison, metric: str) -> list[str]:
    """Return the gates that have a score, by role and from the best mean to the worst."""
    return [gate for gate in _ordered(comparison, metric) if comparison.score(gate, metric)]


def _ordered(comparison: Comparison, metric: str) -> list[str]:
    """Return the gates of each role by their means, the best first, without a score last."""
    sign = -comparison.directions.of(metric)
    means = {s.gate: sign * s.mean for s in comparison.scores if s.metric == metric}
    means = {gate: mean for gate, mean in means.items() if not math.isnan(mean)}
    place = {subject.gate: ROLES.index(subject.role) for subject in comparison.subjects}
    return sorted(comparison.gates, key=lambda gate: (place[gate], means.get(gate, math.inf)))


def _cell(comparison: Comparison, gate: str, metric: str) -> str:
    score = comparison.score(gate, metric)
    if score is None:
        return "-"
    text = number(score.mean, score.high - score.mean)
    if gate not in comparison.leaders(metric):
        return text
    return f"**{text}**" + ("*" if comparison.beats_all(metric, gate) else "")


def _budget_rows(comparison: Comparison, gates: Sequence[str]) -> list[list[str]]:
    budgets = {budget.gate: budget for budget in comparison.budgets}
    shown = [budgets[gate] for gate in gates]
    ends = [f"{b.finished}/{b.pruned}/{b.failed}" if b.searched else "-" for b in shown]
    done = [str(b.evaluated) if b.evaluated else "none" for b in shown]
    runs = "seeds scored" if comparison.unit == "seed" else "times scored"
    rows = [["finished/pruned/failed", *ends], [runs, *done]]
    if any(b.epochs is not None and b.trials for b in shown):
        rows.insert(1, ["epochs", *map(_epochs, shown)])
    return rows


def _epochs(budget: Budget) -> str:
    """Return how many epochs a gate's search spent, and a trial of it."""
    if budget.epochs is None or not budget.trials:
        return "-"
    return f"{budget.epochs} ({budget.epochs / budget.trials:.1f} a trial)"
