"""Merging: sweeps on one task side by side, and what tells gates and tasks apart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import PurePath

from gatelab.results.comparison.conditions import (
    PLACE_OPTION,
    SPLIT_OPTION,
    data_of,
    options_of,
    task_of,
)
from gatelab.tracking.runs import SweepRecord
from gatelab.tracking.schema import Directions

LONGEST_VALUE = 40
"""Characters of an option's value that a title of a task has room for."""


def side_by_side(pools: Mapping[str, SweepRecord]) -> dict[str, tuple[SweepRecord, str]]:
    """Return every gate of sweeps by title: by its name, or ``gate (sweep)`` if several have it.

    A row is called as its gate is.
    """
    times = Counter(gate for record in pools.values() for gate in record.gates)
    return {
        gate if times[_whose(record, gate)] == 1 else f"{gate} ({sweep})": (record, gate)
        for sweep, record in pools.items()
        for gate in record.gates
    }


def _whose(record: SweepRecord, gate: str) -> str:
    return next((run.row_of for run in record.of("gate", gate) if run.row_of), gate)


def directions_of(records: Sequence[SweepRecord]) -> Directions:
    """Return the directions of the sweeps' metrics; none of one about which two differ."""
    return Directions.of_all(record.directions for record in records)


def by_task(records: Sequence[SweepRecord]) -> dict[str, list[SweepRecord]]:
    """Return the sweeps of every task, by a title that tells it from the others.

    A task is the same if its name, options and data are, whatever the option ``split_seed`` and
    the data that follow from it, and wherever a file of the same data lies; where no fingerprint of
    the data is recorded, it is taken to be the same.
    """
    groups: list[list[SweepRecord]] = []
    for record in records:
        for group in groups:
            if all(same_task(record, other) for other in group):
                group.append(record)
                break
        else:
            groups.append([record])
    return dict(zip(_task_titles([group[0] for group in groups]), groups, strict=True))


def same_task(one: SweepRecord, other: SweepRecord) -> bool:
    """Return whether sweeps are on one task, on any split of it."""
    ours, theirs = options_of(one), options_of(other)
    places = [options.pop(PLACE_OPTION, "") for options in (ours, theirs)]
    same_split = ours.pop(SPLIT_OPTION, None) == theirs.pop(SPLIT_OPTION, None)
    data = [found for found in (data_of(one), data_of(other)) if found]
    known = same_split and len(data) == 2  # of other splits it is another
    same_data = data[0] == data[1] if known else _same_place(*places)
    return (task_of(one), ours) == (task_of(other), theirs) and same_data


def _same_place(one: str, other: str) -> bool:
    """Return whether paths name one file, as far as the shorter of them says."""
    shorter, longer = sorted((PurePath(one).parts, PurePath(other).parts), key=len)
    return shorter == longer[len(longer) - len(shorter) :] and bool(one) == bool(other)


def _task_titles(records: Sequence[SweepRecord]) -> list[str]:
    """Return the tasks' names, with what differs where several have the same name.

    Values that are long, as the kinds of a table, are left out if the others tell tasks apart.
    """
    short = _titles(records, LONGEST_VALUE)
    return short if len({*short}) == len(short) else _titles(records)


def _titles(records: Sequence[SweepRecord], longest: int | None = None) -> list[str]:
    """Return the titles with the values of options up to so many characters."""
    titles = []
    for record in records:
        alike = [r for r in records if task_of(r) == task_of(record)]
        what = [
            f"{k}={v if longest is None or len(v) <= longest else '...'}"
            for k, v in _own(options_of(record), [options_of(r) for r in alike]).items()
        ]
        if sum(options_of(r) == options_of(record) for r in alike) > 1:
            what.append(f"data {data_of(record)[:6] or 'not recorded'}")
        if not what and len(alike) > 1:
            what.append("default options")
        titles.append(task_of(record) + (f" ({', '.join(what)})" if what else ""))
    return titles


def _own(mine: Mapping[str, str], all_of_them: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """Return the options of which others have another value, or none."""
    return {k: v for k, v in mine.items() if any(other.get(k) != v for other in all_of_them)}
