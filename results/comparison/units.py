"""Units: what repeats an evaluation, seeds on one split or several splits of the rows."""

from __future__ import annotations

from collections.abc import Sequence

from gatelab.tracking.runs import RunRecord, SweepRecord
from gatelab.tracking.schema import Tags

ByUnit = dict[str, dict[str, float]]
"""Metric to unit to value."""


def evaluated_splits(records: Sequence[SweepRecord]) -> list[str]:
    """Return the split seeds that any gate was evaluated on; of old sweeps none is recorded."""
    found = {run.tags.get(Tags.SPLIT_SEED, "") for run in _finished(records)} - {""}
    return sorted(found, key=_as_numbers)


def split_ratio(records: Sequence[SweepRecord]) -> float:
    """Return the test split's rows over the train split's where splits are of the same rows.

    0 where it is not recorded: then splits are independent draws, or there is one.
    """
    shares = (run.tags.get(Tags.TEST_TO_TRAIN, "") for run in _finished(records))
    return max((float(share) for share in shares if share), default=0.0)


def by_unit(runs: Sequence[RunRecord], several_splits: bool) -> ByUnit:
    """Return the metrics of finished runs by seed, or by split.

    Runs on one split share its test rows, so that with several splits the split is what repeats
    the evaluation: its value is the mean over its seeds.
    """
    finished = {(run.seed, run.tags.get(Tags.SPLIT_SEED, "")): run for run in runs}
    found: dict[str, dict[str, list[float]]] = {}
    for (seed, split), run in finished.items():
        unit = split if several_splits else seed
        for metric, value in run.metrics.items():
            found.setdefault(metric, {}).setdefault(unit, []).append(value)
    return {
        metric: {u: sum(values[u]) / len(values[u]) for u in sorted(values, key=_as_numbers)}
        for metric, values in found.items()
    }


def _finished(records: Sequence[SweepRecord]) -> list[RunRecord]:
    return [r for record in records for r in record.of("evaluate") if r.end == "finished"]


def _as_numbers(name: str) -> tuple[int, str]:
    return len(name), name
