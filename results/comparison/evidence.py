"""Evidence: what stands behind an answer, trials, seeds and splits, and how sure it is."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from itertools import combinations

from gatelab.results.comparison import Comparison, Test
from gatelab.results.comparison.answer import better
from gatelab.results.comparison.cells import over_all
from gatelab.results.comparison.tables import listed
from gatelab.tracking.schema import Metrics

OVERFITTING = 0.1
"""By a larger share of the val loss than the noise of epochs it rises where a network overfits."""
MOST_CHANCES = 3
"""So many gates' chances are told, of those next to the best one."""


def chance_better(test: Test, gate: str, direction: int) -> float:
    """Return the probability that a gate's true mean is better than the other's of a test.

    From a flat prior on the differences' mean and on the logarithm of their deviation the mean's
    posterior is Student's t around the one that was seen, and so its part on the better side
    follows from the two-sided p: 1 - p/2, or p/2 where the gate was worse. NaN without a test.

    Args:
        test: Of two gates.
        gate: One of them.
        direction: 1 where more of the metric is better, -1 where less is.

    Source: Benavoli, Corani, Demšar and Zaffalon, Time for a Change, JMLR 2017, section 3, which
    with test/train as the correlation's share is the correlated t-test.
    """
    return 1 - test.p / 2 if direction * test.lead(gate) >= 0 else test.p / 2


def evidence(comparison: Comparison, metric: str) -> list[str]:
    """Return how sure the answer is, and on how many trials, seeds and splits it rests."""
    return [*_chances(comparison, metric), *_trained(comparison), *_scope(comparison, metric)]


def settled_early(comparison: Comparison) -> list[str]:
    """Return which gates that are to become sparse had chosen before they could know."""
    return [
        f"Warning: {gate} settled before epoch 2 on {where}: it chose its experts before they had "
        "learnt anything to be chosen by."
        for gate, where, _ in _hardening(comparison, Metrics.SETTLED_EPOCH, lambda at: at < 2)
    ]


def sparse_late(comparison: Comparison) -> list[str]:
    """Return which gates became sparse only after their network had begun to overfit."""
    return [
        f"Warning: {gate} became sparse after it had begun to overfit on {where}: before that its "
        f"val loss rose by up to {most:.0%} from its lowest. A lower `training.max_epochs` makes "
        "it sparse sooner."
        for gate, where, most in _hardening(
            comparison, Metrics.RISE_WHILE_DENSE, lambda rise: rise > OVERFITTING
        )
    ]


def _hardening(
    comparison: Comparison, metric: str, odd: Callable[[float], bool]
) -> Iterator[tuple[str, str, float]]:
    """Yield each gate that is to become sparse and has odd values, of how many, and the highest.

    Single evaluations are counted: in a mean over them one that is sound hides the others.
    """
    what = "seed" if comparison.unit == "seed" else "evaluation"
    for gate in comparison.of_role("gate"):
        score = comparison.score(gate, metric)
        if score is None or not comparison.subject(gate).hardens:
            continue
        if found := [value for value in score.values.single if odd(value)]:
            every = counts(what, [_evaluated(comparison, gate)])
            yield gate, f"{len(found)} of {every}", max(found)


def _evaluated(comparison: Comparison, gate: str) -> int:
    """Return how many of a gate's evaluations have any score."""
    found = (len(s.values.single) for s in comparison.scores if s.gate == gate)
    return max(found)


def count(comparison: Comparison, n: int) -> str:
    """Return so many of the comparison's units in words."""
    return counts(comparison.unit, [n])


def counts(unit: str, numbers: Iterable[int]) -> str:
    """Return so many of a unit in words, or from how many to how many."""
    found = range_of(numbers)
    return f"{found} {unit if found == '1' else plural(unit)}"


def agreeing(one: str, many: str, done: int, of: int) -> str:
    """Return the form of a verb for so many of so many: one of three, or none of one, *was*."""
    return one if 1 in (done, of) else many


def plural(unit: str) -> str:
    """Return the plural of a unit's name."""
    return "sets of splits" if unit == "set of splits" else f"{unit}s"


def _chances(comparison: Comparison, metric: str) -> list[str]:
    gates, direction = better(comparison, metric), comparison.directions.of(metric)
    if not gates:
        return []
    chances = {
        t.other(gates[0]): chance_better(t, gates[0], direction)
        for t in comparison.rivals(metric, gates[0])
        if not math.isnan(t.p)
    }
    closest = sorted(chances, key=chances.__getitem__)[:MOST_CHANCES]
    if not closest:
        return []
    words = listed([f"P({gates[0]} better than {g}) {_chance(chances[g])}" for g in closest])
    return [f"{words} (Student's posterior of the mean difference, flat prior)."]


def _chance(chance: float) -> str:
    if not 0.001 <= chance <= 0.999:
        return "> 0.999" if chance > 0.5 else "< 0.001"
    return f"= {chance:.3f}" if chance > 0.99 or chance < 0.01 else f"= {chance:.2f}"


def _trained(comparison: Comparison) -> list[str]:
    """Return how many trials were trained to the end, of how many; of many gates in ranges."""
    by_number: dict[tuple[int, int], list[str]] = {}
    tested = comparison.tested
    for budget in (b for b in comparison.budgets if b.trials and b.gate in tested):
        by_number.setdefault((budget.finished, budget.trials), []).append(budget.gate)
    if not by_number:
        return []
    if len(by_number) == 1:
        (((finished, trials), gates),) = by_number.items()
        whose = "each gate" if len(gates) > 1 else gates[0]
        words = f"{finished} of {counts('trial', [trials])} of {whose}"
        return [f"{words} {agreeing('was', 'were', finished, trials)} trained to the end."]
    if len(by_number) > MOST_CHANCES:
        totals = sorted({trials for _, trials in by_number})
        some = [f"{range_of(d for d, n in by_number if n == of)} of {of}" for of in totals]
        return [f"{listed(some)} trials a gate were trained to the end."]
    said = [f"{done} of {of} ({', '.join(who)})" for (done, of), who in by_number.items()]
    return [f"Of the trials, {listed(said)} were trained to the end."]


def _scope(comparison: Comparison, metric: str) -> list[str]:
    """Return of what the verdict speaks, on what, and what the t-test counts."""
    gates = comparison.values(metric).values()
    if not gates:
        return []
    seeds = counts("seed", [len(values.seeds) for values in gates])
    repeats = [len(values.repeats) for values in gates]
    splits = [len(values.splits) for values in gates]
    what = f"these gates, over {range_of(repeats)} searches of each"
    if max(repeats) == 1:
        what = "these configurations, found by one search each"
    where = "one split" if max(splits) == 1 else f"{range_of(splits)} splits"
    once = ["searches"] * (max(repeats) == 1) + ["splits"] * (max(splits) == 1)
    unseen = f": how scores vary over {listed(once)} is not seen" if once else ""
    speaks = f"The verdict speaks of {what}, on {where}, with {seeds}{unseen}."
    return [speaks, *_rule(comparison, metric), *_paired(comparison, metric)]


def range_of(numbers: Iterable[int]) -> str:
    """Return a number, or from which to which they are."""
    found = sorted(numbers)
    return f"{found[0]}" if found[0] == found[-1] else f"{found[0]} to {found[-1]}"


def _rule(comparison: Comparison, metric: str) -> list[str]:
    """Return what the t-test counts, where it is not the seeds."""
    unit = comparison.unit
    if comparison.test_to_train:
        paired = {test.n for test in comparison.tests if test.metric == metric and test.n > 1}
        several = len(paired) > 1
        n = "n" if several else f"{max(paired, default=_most(comparison))}"
        of = f", of the n {plural(unit)} that a pair shares" if several else ""
        return [
            f"{plural(unit).capitalize()} of the same rows overlap, so the corrected resampled "
            f"t-test decides (variance x (1/{n} + {comparison.test_to_train:.2g}){of})."
        ]
    same = unit == "repeat" and comparison.splits > 1 and _same_splits(comparison, metric)
    and_splits = ", and the splits are the same for each" if same else ""
    return [] if unit == "seed" else [f"The {unit} is the unit of the t-test{and_splits}."]


def _same_splits(comparison: Comparison, metric: str) -> bool:
    """Return whether every gate has a score on the same splits, in each unit."""
    gates = comparison.values(metric).values()
    return len({frozenset(values.splits_of(unit)) for values in gates for unit in values}) == 1


def _paired(comparison: Comparison, metric: str) -> list[str]:
    """Return over what gates are compared, where that is not all that they have."""
    pairs = combinations(comparison.values(metric).values(), 2)
    if all(over_all(first, second) for first, second in pairs):
        return []
    return ["Two gates are compared over the searches and splits that both have."]


def _most(comparison: Comparison) -> int:
    """Return how many units there are."""
    return len({unit for score in comparison.scores for unit in score.values})
