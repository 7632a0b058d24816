"""The verdict: a comparison in words."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from gatelab.results.comparison import Comparison, Score, Test
from gatelab.results.comparison.answer import answer, dense, everyone
from gatelab.results.comparison.budgets import WAITING, Budget
from gatelab.results.comparison.cells import UnitValues, over_all
from gatelab.results.comparison.equivalence import check_margin
from gatelab.results.comparison.evidence import count, counts, evidence, settled_early, sparse_late
from gatelab.results.comparison.given import given_otherwise
from gatelab.results.comparison.gone_on import gone_on
from gatelab.results.comparison.inference import smallest_difference, testable
from gatelab.results.comparison.statistics import ALPHA, smallest_p
from gatelab.results.comparison.tables import listed, metric_title, p_words
from gatelab.tracking.schema import Metrics

MOST_SENTENCES = 5
"""Of more gates than this, each is named in a list instead of a sentence of its own."""


def sentences(
    comparison: Comparison, metric: str = Metrics.TEST_LOSS, margin: float | None = None
) -> list[str]:
    """Return the answer in words, what it rests on, which differences are real, and their limits.

    Args:
        comparison: Of the gates.
        metric: Its key.
        margin: As :func:`gatelab.results.comparison.answer.answer` takes it.

    Raises:
        ValueError: If the margin is not above 0.
    """
    if margin is not None:
        check_margin(margin)
    if all(budget.note == WAITING for budget in comparison.budgets):
        return ["No gate has been evaluated yet, so there is nothing to compare but the budgets."]
    missing = [line for budget in comparison.budgets for line in _missing(comparison, budget)]
    leaders = comparison.leaders(metric)
    if not leaders:
        return [_no_best(comparison, metric), *missing]
    return [
        *answer(comparison, metric, margin),
        *gone_on(comparison),
        *given_otherwise(comparison),
        *settled_early(comparison),
        *sparse_late(comparison),
        *missing,
        *evidence(comparison, metric),
        *_limits(comparison, metric, leaders[0]),
        *_differences(comparison, metric, leaders),
    ]


def leading(comparison: Comparison, metric: str = Metrics.TEST_LOSS) -> list[str]:
    """Return the first of the sentences, up to the one that is the answer."""
    if not comparison.leaders(metric):
        return sentences(comparison, metric)[:1]
    return [*dense(comparison), answer(comparison, metric)[len(dense(comparison))]]


def _differences(comparison: Comparison, metric: str, leaders: Sequence[str]) -> list[str]:
    """Return which gate has the best mean, and how far the others are from it."""
    best, said = leaders[0], [_best(comparison, metric, leaders)]
    tests = [t for t in comparison.against(metric, best) if t.other(best) not in leaders]
    if len(tests) > MOST_SENTENCES:
        rivals = comparison.rivals(metric, best)
        return said + _verdict_of_many(comparison, [t for t in tests if t in rivals], best)
    return said + [_verdict(comparison, test, best) for test in tests]


def _missing(comparison: Comparison, budget: Budget) -> list[str]:
    """Return what a gate has no score of: of anything, of a search, or of some evaluations."""
    gate = comparison.subject(budget.gate).label
    if not budget.evaluated:
        return [f"{gate} has no score: {budget.note}."]
    said = []
    if few := budget.fruitless:
        said.append(
            f"{gate} has no score after {few} of its {budget.searches} searches: no trial of "
            f"{'it' if few == 1 else 'them'} finished."
        )
    if budget.lost:
        why = f" ({budget.note})" if budget.note else ""
        runs = "seeds" if comparison.unit == "seed" else "evaluations"
        every = budget.evaluated + budget.lost
        said.append(
            f"{gate} is scored on the {budget.evaluated} of {every} {runs} that did not fail{why}."
        )
    return said


def _no_best(comparison: Comparison, metric: str) -> str:
    title = metric_title(metric)
    if metric in comparison.metrics() and not comparison.directions.of(metric):
        return f"{title} has no better and worse, so no gate is best."
    return f"No gate has a {title}, so there is nothing to compare by it."


def _best(comparison: Comparison, metric: str, leaders: Sequence[str]) -> str:
    """Return which gate is best, or which ones are."""
    title = metric_title(metric)
    extreme = "lowest" if comparison.directions.of(metric) < 0 else "highest"
    score = comparison.score(leaders[0], metric)
    assert score is not None
    value = f"{_with_interval(score)}, over {count(comparison, score.n)}"
    if len(comparison.values(metric).keys() & {*comparison.able}) == 1:
        role = comparison.subject(score.gate).role
        return f"{score.gate} is the only {role} with a {title}: {value}."
    if len(leaders) > 1:
        return f"{listed(leaders)} are level with the {extreme} {title}, {score.mean:.4g}."
    return f"{score.gate} has the {extreme} {title}, {value}."


def _with_interval(score: Score) -> str:
    if math.isnan(score.low):
        return f"{score.mean:.4g}"
    return f"{score.mean:.4g} (95% interval {score.low:.4g} to {score.high:.4g})"


def _verdict(comparison: Comparison, test: Test, best: str) -> str:
    """Return how far another gate is from the best one, and whether that is more than chance."""
    other, gap, unit = test.other(best), -test.lead(best), comparison.unit
    if test.n == 0:
        what = "split" if _met(comparison, test) else unit
        return f"{other} has no {what} in common with {best}, so their difference is not tested."
    side = f"{'higher' if gap > 0 else 'lower'} by {abs(gap):.3g}" if gap else "level on average"
    if test.n == 1:
        shared = _shared(comparison, test)
        return f"{other}'s is {side}{shared}; one {unit} cannot tell that from chance."
    if math.isnan(test.p):
        return f"{other}'s cannot be tested: it is not finite on every {unit}."
    half = (test.high - test.low) / 2
    bounds = abs(gap) - half, abs(gap) + half
    where = f" (95% interval {bounds[0]:.3g} to {bounds[1]:.3g}{_shared(comparison, test)})"
    if {best, other} not in comparison.family:
        role = comparison.subject(other).role
        return f"{other}'s is {side}{where}; as a {role} it is not tested against {best}."
    sign = "" if test.significant else "not "
    verdict = f"{sign}significant, {p_words(test.p_holm)} after Holm's correction"
    return f"{other}'s is {side}{where}: {verdict}."


def _shared(comparison: Comparison, test: Test) -> str:
    """Return over what a pair is compared where it is not all that both have."""
    first, second = _values(comparison, test)
    if len(first) == len(second) == test.n:
        what = "searches and splits"
        return "" if over_all(first, second) else f", over the {what} that both have"
    what = comparison.unit if test.n == 1 else count(comparison, test.n)
    return f", over the {what} that both have"


def _met(comparison: Comparison, test: Test) -> bool:
    """Return whether a pair has units in common, be it on other splits."""
    first, second = _values(comparison, test)
    return bool(first.keys() & second.keys())


def _values(comparison: Comparison, test: Test) -> tuple[UnitValues, UnitValues]:
    values = comparison.values(test.metric)
    return values[test.first], values[test.second]


def _verdict_of_many(comparison: Comparison, tests: Sequence[Test], best: str) -> list[str]:
    """Return which differences from the best gate are significant, in two sentences or three."""
    kinds: dict[str, Callable[[Test], bool]] = {
        "is significant": lambda test: test.significant,
        "is not significant": lambda t: not t.significant and not math.isnan(t.p_holm),
        "cannot be tested": lambda test: math.isnan(test.p_holm),
    }
    said = []
    for words, holds in kinds.items():
        names = [test.other(best) for test in tests if holds(test)]
        if names:
            every = len(names) == len(tests)
            whom = everyone(comparison, best, names) if every else listed(names)
            said.append(f"After Holm's correction its difference from {whom} {words}.")
    return said


def _limits(comparison: Comparison, metric: str, best: str) -> list[str]:
    """Return what so few seeds cannot show."""
    tests = [test for test in comparison.rivals(metric, best) if not math.isnan(test.p)]
    if not tests:
        return []
    most, pairs = max(test.n for test in tests), testable(comparison, metric)
    seeds = counts(comparison.unit, [test.n for test in tests])
    hidden = {}
    for test in tests:
        least = smallest_difference(comparison, metric, test.first, test.second)
        if not math.isnan(least):
            hidden[test.other(best)] = least
    return [*([_hidden(hidden, seeds)] if hidden else []), *_powerless(seeds, most, pairs)]


def _powerless(seeds: str, most: int, pairs: int) -> list[str]:
    """Return that ranks and signs cannot decide, where they cannot."""
    least = smallest_p(most)
    if least * pairs < ALPHA:
        return []
    corrected = f", {min(1, least * pairs):.2g} corrected for {pairs} pairs" if pairs > 1 else ""
    return [
        f"With {seeds} the paired t-test decides: tests by ranks and by sign flips can "
        f"never be significant (their smallest p is {least:.3g}{corrected})."
    ]


def _hidden(smallest: dict[str, float], seeds: str) -> str:
    """Return how large a true difference must be to be found with 80% power."""
    sizes = listed([f"{size:.2g} from {gate}" for gate, size in smallest.items()])
    if len(smallest) > MOST_SENTENCES:
        low, high = (pick(smallest, key=smallest.__getitem__) for pick in (min, max))
        sizes = f"{smallest[low]:.2g} (from {low}) to {smallest[high]:.2g} (from {high})"
    return (
        f"With {seeds} a true difference must be {sizes} to be found significant in 4 of "
        "5 repetitions; a smaller one stays hidden more often."
    )
