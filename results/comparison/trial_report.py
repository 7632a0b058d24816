"""The best trials of a search as a grid and in words."""

from __future__ import annotations

import math

from gatelab.results.comparison.best_trials import BestTrials, Summary
from gatelab.results.comparison.tables import Grid, listed, metric_title, number, p_value, p_words
from gatelab.tracking.schema import Metrics


def trial_grid(found: BestTrials, title: str) -> Grid:
    """Return a row a gate, the best first, and ceilings after those that have a mean."""
    ranked = found.best()
    others = [summary for summary in found.summaries if summary not in ranked]
    others.sort(key=lambda summary: math.isnan(summary.mean))
    p = {test.second: test.p for test in found.tests if ranked and test.first == ranked[0].gate}
    rows = [
        [
            summary.label,
            str(summary.trials),
            str(summary.n),
            "-" if math.isnan(summary.mean) else number(summary.mean, summary.error),
            p_value(p.get(summary.gate, math.nan)),
        ]
        for summary in [*ranked, *others]
    ]
    return Grid(
        f"{title}: the best {100 * found.share:.3g}% of trials",
        ("gate", "trials", "summarised", metric_title(found.metric), "p"),
        rows,
        "mean ± standard error; p: Welch's one-sided t-test that the first gate is better, "
        "not corrected",
    )


def trial_sentences(found: BestTrials) -> list[str]:
    """Return in words which gate's best trials are best, and what that does not say."""
    ranked = found.best()
    if not any(summary.n for summary in found.summaries):
        return ["There is no finished trial to summarise."]
    labels = {summary.gate: summary.label for summary in found.summaries}
    said = [_best(found, ranked)] if len(ranked) > 1 and found.direction else []
    tests = [test for test in found.tests if ranked and test.first == ranked[0].gate]
    said += [
        f"That it is better than {labels[test.second]} "
        + ("is" if test.significant else "is not")
        + f" significant ({p_words(test.p)}, Welch's one-sided t-test)."
        for test in tests
        if not math.isnan(test.p)
    ]
    if any(summary.n == 1 for summary in found.summaries):
        said.append("A single trial has no standard error, and no test.")
    return [*said, _caveat(found)]


def _best(found: BestTrials, ranked: list[Summary]) -> str:
    extreme = "lowest" if found.direction < 0 else "highest"
    first = ranked[0]
    trials = "its best trial" if first.n == 1 else f"its best {first.n} trials"
    return (
        f"{first.label} has the {extreme} {metric_title(found.metric)} over {trials} of "
        f"{first.trials}, {first.mean:.4g}."
    )


def _caveat(found: BestTrials) -> str:
    chose = listed([_shown(key) for key in found.objectives])
    itself = found.objectives == (found.metric,)
    what = chose if itself else f"from the validation split, as {chose}"
    return (
        f"This is {what} that chose these trials, so it flatters every gate; the published "
        "protocol reports their test loss, which a search here never reads."
    )


def _shown(key: str) -> str:
    return "the loss" if key == Metrics.VAL_LOSS else f"the {metric_title(key)}"
