"""Merging: sweeps on one task side by side, and what tells gates, sweeps and tasks apart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import reduce
from operator import or_

from gatelab.results.comparison.conditions import data_of, options_of, task_of
from gatelab.tracking.runs import SweepRecord
from gatelab.tracking.schema import Directions


def sweep_titles(records: Sequence[SweepRecord]) -> list[str]:
    """Return the sweeps' names, numbered where two stores have the same one."""
    names = [record.sweep for record in records]
    return [
        name if names.count(name) == 1 else f"{name} {names[: i + 1].count(name)}"
        for i, name in enumerate(names)
    ]


def side_by_side(records: Sequence[SweepRecord]) -> dict[str, tuple[SweepRecord, str]]:
    """Return every gate of the sweeps: by its name, or ``gate (sweep)`` if several have it."""
    times = Counter(gate for record in records for gate in record.gates)
    return {
        gate if times[gate] == 1 else f"{gate} ({sweep})": (record, gate)
        for sweep, record in zip(sweep_titles(records), records, strict=True)
        for gate in record.gates
    }


def directions_of(records: Sequence[SweepRecord]) -> Directions:
    """Return the directions of the sweeps' metrics; none of one about which two differ."""
    return reduce(or_, (record.directions for record in records), Directions())


def by_task(records: Sequence[SweepRecord]) -> dict[str, list[SweepRecord]]:
    """Return the sweeps of every task, by a title that tells it from the others.

    A task is the same if its name, options and data are; where no fingerprint of the data is
    recorded, it is taken to be the same.
    """
    groups: list[list[SweepRecord]] = []
    for record in records:
        for group in groups:
            if all(_same_task(record, other) for other in group):
                group.append(record)
                break
        else:
            groups.append([record])
    return dict(zip(_task_titles([group[0] for group in groups]), groups, strict=True))


def _same_task(one: SweepRecord, other: SweepRecord) -> bool:
    known = {data_of(one), data_of(other)} - {""}
    return (task_of(one), options_of(one)) == (task_of(other), options_of(other)) and len(known) < 2


def _task_titles(records: Sequence[SweepRecord]) -> list[str]:
    """Return the tasks' names, with what differs where several have the same name."""
    titles = []
    for record in records:
        alike = [r for r in records if task_of(r) == task_of(record)]
        what = [
            f"{k}={v}" for k, v in _own(options_of(record), [options_of(r) for r in alike]).items()
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
