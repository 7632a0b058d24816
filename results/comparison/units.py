"""Units: what repeats an evaluation: repeats of the search, splits of the rows, or seeds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gatelab.results.comparison.cells import Cell, UnitValues, mean
from gatelab.tracking.runs import RunRecord, SweepRecord
from gatelab.tracking.schema import Metrics, Tags

ByUnit = dict[str, UnitValues]
"""By metric."""


@dataclass(frozen=True)
class Units:
    """What a test counts, the same for every gate, and by which gates are paired.

    It is the repeat where a gate was searched several times, else the split where there are
    several, else the seed: runs of one repeat share its configuration, and runs on one split its
    test rows, so that they are no independent repetitions. Repeats on different splits (of sweeps
    that were pooled) count once for each split, for the same reason.

    Gates are paired where search seed and number of the repeat are equal, as then are the draws
    that both gates share and the seeds of training; or where the split is, whose rows both see.
    Nothing is paired by the order in which it was recorded.
    """

    name: str = "seed"
    """``seed``, ``split``, ``set of splits`` or ``repeat``."""
    repeats: int = 1
    """After how many searches the gate was evaluated of which it was after most."""
    splits: int = 1
    """On how many splits all gates together were evaluated: one may have fewer."""
    test_to_train: float = 0.0
    """Where units are splits of the same rows the test rows over the train rows, else 0."""
    sets: Mapping[str, str] = field(default_factory=dict)
    """Every split to all those on which the same searches were evaluated, with commas."""

    def of(self, run: RunRecord) -> str:
        """Return the unit that an evaluation's run belongs to."""
        return {"seed": run.seed, "repeat": run.repeat}.get(self.name, self.sets[run.split])

    def values(self, runs: Sequence[RunRecord]) -> ByUnit:
        """Return the metrics of one gate's finished runs by unit.

        A value is the mean over the unit's repeats and splits of the mean over their seeds, so
        that a seed that failed makes no split weigh less.
        """
        found: dict[str, dict[str, dict[Cell, list[float]]]] = {}
        seeds: dict[str, set[str]] = {}
        single: dict[str, list[float]] = {}
        for run in _once(runs):
            for metric, value in run.metrics.items():
                if metric in Metrics.CHANGES and math.isnan(value):
                    continue
                seeds.setdefault(metric, set()).add(run.seed)
                single.setdefault(metric, []).append(value)
                cells = found.setdefault(metric, {}).setdefault(self.of(run), {})
                cells.setdefault(self._cell(run), []).append(value)
        return {
            metric: UnitValues(
                {
                    unit: {cell: mean(seeds) for cell, seeds in units[unit].items()}
                    for unit in sorted(units, key=_as_numbers)
                },
                seeds[metric],
                single[metric],
            )
            for metric, units in found.items()
        }

    def _cell(self, run: RunRecord) -> Cell:
        """Return of what an evaluation's run is; where there is one split, all are on that."""
        return run.repeat, run.split if self.splits > 1 else ""


def units(records: Sequence[SweepRecord]) -> Units:
    """Return by what the gates of sweeps are compared."""
    runs = [run for record in records for run in record.of("evaluate") if run.end == "finished"]
    repeats = max((_repeats(record) for record in records), default=1)
    splits = {run.split for run in runs if run.split}
    sets = _sets(runs) if repeats > 1 else {run.split: run.split for run in runs}
    if len({sets[split] for split in splits}) < 2:
        return Units("repeat" if repeats > 1 else "seed", repeats, max(1, len(splits)), 0.0, sets)
    name = "split" if all(split == of for split, of in sets.items()) else "set of splits"
    return Units(name, repeats, len(splits), _test_to_train(runs), sets)


def _repeats(record: SweepRecord) -> int:
    """Return how often a sweep's gates were searched; a baseline that is not has one repeat."""
    found: dict[str, set[str]] = {}
    for run in record.of("evaluate"):
        if run.end == "finished":
            found.setdefault(run.gate, set()).add(run.repeat)
    return max(map(len, found.values()), default=1)


def _sets(runs: Sequence[RunRecord]) -> dict[str, str]:
    """Return every split with all those that it shares a repeat with, in the end."""
    by_repeat: dict[str, set[str]] = {}
    for run in runs:
        by_repeat.setdefault(run.repeat, set()).add(run.split)
    sets: list[set[str]] = []
    for splits in by_repeat.values():
        met = [one for one in sets if one & splits]
        sets = [one for one in sets if not one & splits] + [splits.union(*met)]
    return {split: ",".join(sorted(one, key=_as_numbers)) for one in sets for split in one}


def _test_to_train(runs: Sequence[RunRecord]) -> float:
    """Return the test split's rows over the train split's where splits are of the same rows.

    0 where it is not recorded: then splits are independent draws.
    """
    shares = (run.tags.get(Tags.TEST_TO_TRAIN, "") for run in runs)
    return max((float(share) for share in shares if share), default=0.0)


def _once(runs: Sequence[RunRecord]) -> list[RunRecord]:
    """Return the finished runs: of each seed, split and repeat one."""
    finished = [run for run in runs if run.end == "finished"]
    return list({(run.repeat, run.seed, run.split): run for run in finished}.values())


def _as_numbers(name: str) -> tuple[int, str]:
    return len(name), name
