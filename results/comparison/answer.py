"""The answer: a comparison's result in a line, and what it is worth against baselines."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

from gatelab.results.comparison import Comparison
from gatelab.results.comparison.equivalence import Equivalence, equivalences
from gatelab.results.comparison.subjects import ROLES, Role
from gatelab.results.comparison.tables import listed, metric_title, p_words
from gatelab.tracking.schema import Metrics

SPARSE = 0.99
"""A gate keeps its k if this share of its examples or more uses at most k experts."""
MOST_RIVALS = 5
"""More gates than this are counted instead of named."""


def answer(comparison: Comparison, metric: str, margin: float | None = None) -> list[str]:
    """Return who wins, or that nobody does, or who is as good as whom; the first line says it.

    Before it stands only that a gate is not what it says it is: one that states a k and did not
    keep it. A gate that is not significantly better than a baseline does not win.

    Args:
        comparison: Of gates that have the metric, which has better and worse.
        metric: Its key.
        margin: Within which gates are as good as each other, a share of the better one's mean.
    """
    alike = [] if margin is None else _alike(comparison, metric, margin)
    first = _winner(comparison, metric) or (alike[0] if alike else _undecided(comparison, metric))
    others = [line for line in alike if line != first]
    if margin is not None and not alike:
        others = _none_alike(comparison, metric, margin)
    return [*dense(comparison), first, *others, *_not_above(comparison, metric, first)]


def dense(comparison: Comparison) -> list[str]:
    """Return which gates state a k and did not keep it."""
    said = []
    for gate in comparison.of_role("gate"):
        kept = comparison.score(gate, Metrics.AT_MOST_K)
        used = comparison.score(gate, Metrics.EXPERTS_PER_EXAMPLE)
        if kept is None or used is None or not kept.mean < SPARSE:
            continue
        k = comparison.subject(gate).k
        its = f"and {1 - kept.mean:.1%} of the examples use more than its k"
        if k is not None and used.mean > k:
            its = f"its k is {k}"
        said.append(f"{gate} did not become sparse: {used.mean:.1f} experts an example, {its}.")
    return said


def better(comparison: Comparison, metric: str, role: Role = "gate") -> list[str]:
    """Return the gates of a role that have a score, from the best to the worst."""
    means = {s.gate: s.mean for s in comparison.scores if s.metric == metric}
    found = [g for g in comparison.of_role(role) if not math.isnan(means.get(g, math.nan))]
    return sorted(found, key=lambda gate: -comparison.directions.of(metric) * means[gate])


def everyone(comparison: Comparison, gate: str, others: Collection[str]) -> str:
    """Return in words that all others are meant that a gate is tested against, by their roles."""
    own, roles = comparison.subject(gate).role, {comparison.subject(g).role for g in others}
    kinds = [f"other {role}" if role == own else role for role in ROLES if role in roles]
    return f"every {' and '.join(kinds)}"


def _winner(comparison: Comparison, metric: str) -> str:
    """Return that a gate wins, or that a baseline is better than all; empty if neither."""
    title, lower = metric_title(metric), _lower(comparison, metric)
    winners = [gate for gate in comparison.gates if comparison.beats_all(metric, gate)]
    if not winners:
        return ""
    gate = next((lead for lead in comparison.leaders(metric) if lead in winners), winners[0])
    if gate in comparison.of_role("baseline"):
        return f"No gate wins: the baseline {gate} has a significantly {lower} {title}."
    rivals = [test.other(gate) for test in comparison.rivals(metric, gate)]
    others = everyone(comparison, gate, rivals)
    return f"{gate} wins: its {title} is significantly {lower} than that of {others}."


def _undecided(comparison: Comparison, metric: str) -> str:
    title, lower = metric_title(metric), _lower(comparison, metric)
    gates, lead = better(comparison, metric), comparison.leader(metric)
    baselines = comparison.of_role("baseline")
    if lead in baselines and gates:
        return f"No gate wins: the baseline {lead} has the {_extreme(lower)} {title}."
    if not gates:
        return f"Undecided: no gate that selects has a {title}."
    rivals = level(comparison, metric, gates[0])
    if not rivals:  # whom it has it would have beaten
        return f"Undecided: {gates[0]} is the only gate with a {title}."
    whom = [rival for rival in rivals if rival in comparison.of_role("gate")] or rivals
    who = listed(whom) if len(whom) <= MOST_RIVALS else f"{len(whom)} others"
    return f"Undecided: {gates[0]}'s {title} is not significantly {lower} than that of {who}."


def level(comparison: Comparison, metric: str, gate: str) -> list[str]:
    """Return than which gates and baselines a gate is not significantly better."""
    tests, direction = comparison.rivals(metric, gate), comparison.directions.of(metric)
    return [t.other(gate) for t in tests if not (t.significant and direction * t.lead(gate) > 0)]


def _not_above(comparison: Comparison, metric: str, first: str) -> list[str]:
    """Return than which baselines the best gate is not better, where the answer does not say so."""
    gates, baselines = better(comparison, metric), comparison.of_role("baseline")
    if not gates or first.startswith("No gate wins"):
        return []
    below = [rival for rival in level(comparison, metric, gates[0]) if rival in baselines]
    if not below or first.endswith(f"than that of {listed(below)}."):
        return []
    kind = "baseline" if len(below) == 1 else "baselines"
    return [f"{gates[0]} is not significantly better than the {kind} {listed(below)}."]


def _alike(comparison: Comparison, metric: str, margin: float) -> list[str]:
    """Return which gates are as good as the best one within the margin, in a line or none."""
    gates = better(comparison, metric, _compared(comparison))
    tests = equivalences(comparison, metric, margin)
    found = [e for e in tests if e.equivalent and e.reference == gates[0] and e.gate in gates]
    return [_as_good(found, margin)] if found else []


def _none_alike(comparison: Comparison, metric: str, margin: float) -> list[str]:
    """Return that none is as good as the best one; of others that are level it says nothing."""
    what = _compared(comparison)
    best = better(comparison, metric, what)
    who, whom = (f"other {what}", best[0]) if best else (what, "another")
    return [f"No {who} is shown to be as good as {whom} within {_percent(margin)}."]


def _compared(comparison: Comparison) -> Role:
    """Return what is compared: baselines where nobody is a gate."""
    return "gate" if comparison.of_role("gate") else "baseline"


def _as_good(found: Sequence[Equivalence], margin: float) -> str:
    names, reference = listed([e.gate for e in found]), found[0].reference
    verb = "is" if len(found) == 1 else "are"
    worst = max(e.p_holm for e in found)
    return (
        f"{names} {verb} as good as {reference} within {_percent(margin)}: the difference in "
        f"{metric_title(found[0].metric)} is less than {found[0].margin:.2g} (two one-sided "
        f"t-tests, {p_words(worst)} after Holm's correction)."
    )


def _percent(margin: float) -> str:
    return f"{100 * margin:.6g}%"


def _lower(comparison: Comparison, metric: str) -> str:
    return "lower" if comparison.directions.of(metric) < 0 else "higher"


def _extreme(lower: str) -> str:
    return "lowest" if lower == "lower" else "highest"
