"""Going on: what a reader must know of a sweep that goes on from a finished one."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

from gatelab.results.comparison import Comparison
from gatelab.results.comparison.pooling import SEARCH_SEED
from gatelab.results.comparison.tables import listed
from gatelab.tracking.runs import SweepRecord


def gone_on(comparison: Comparison) -> list[str]:
    """Return of every sweep that goes on from others that their results were known by then."""
    return [_line(sweep.sweep, sweep.before) for sweep in comparison.conditions if sweep.before]


def _line(sweep: str, before: Sequence[str]) -> str:
    results = "result was" if len(before) == 1 else "results were"
    return (
        f"{sweep} goes on from {listed(before)}, whose {results} known when more was asked for: "
        "whoever goes on until a difference is significant finds one sooner or later, so its "
        "intervals and p-values are too sure."
    )


def check_apart(records: Sequence[SweepRecord]) -> None:
    """Refuse sweeps that have trials in common: these would count as independent ones.

    Raises:
        ValueError: If one goes on from another, or two from the same.
    """
    for one, other in combinations(records, 2):
        shared = {one.sweep, *one.before} & {other.sweep, *other.before}
        if shared and (one.before or other.before) and _seed(one) == _seed(other):
            raise ValueError(
                f"{_why(one, other)}, so they have trials in common, which count once."
            )


def _seed(record: SweepRecord) -> str:
    """Return the seed of a sweep's search, which no sweep changes that goes on from it."""
    return record.run.params.get(SEARCH_SEED, "") if record.run else ""


def _why(one: SweepRecord, other: SweepRecord) -> str:
    for after, before in ((one, other), (other, one)):
        if before.sweep in after.before:
            return f"compare {after.sweep} alone: it goes on from {before.sweep}"
    last = next(name for name in reversed(one.before) if name in other.before)
    return f"compare one of {one.sweep} and {other.sweep} alone: both go on from {last}"
