"""Pooling: sweeps that differ only in the draws of their search, or in the split, as one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import yaml

from gatelab.results.comparison.conditions import (
    PLACE_OPTION,
    SPLIT_OPTION,
    data_of,
    options_of,
)
from gatelab.results.comparison.merging import same_task
from gatelab.tracking.runs import RunRecord, SweepRecord
from gatelab.tracking.schema import Tags

SEARCH_SEED = "search.seed"


def sweep_titles(records: Sequence[SweepRecord]) -> list[str]:
    """Return the sweeps' names, numbered where two stores have the same one."""
    names = [record.sweep for record in records]
    return [
        name if names.count(name) == 1 else f"{name} {names[: i + 1].count(name)}"
        for i, name in enumerate(names)
    ]


def pooled(records: Sequence[SweepRecord]) -> dict[str, SweepRecord]:
    """Return sweeps on one task by title, as one those whose gates are the same gates.

    Every repeat is told from the others' by its search seed and split seed.
    """
    titled = dict(zip(sweep_titles(records), records, strict=True))
    return {", ".join(group): _as_one(list(group.values())) for group in repeats_of_one(titled)}


def repeats_of_one(records: Mapping[str, SweepRecord]) -> list[dict[str, SweepRecord]]:
    """Return sweeps by title, together those that are repeats of one.

    They are where everything that is recorded of the specs is the same (gates, search spaces,
    budgets, model, code of the user's own) but the search seed, the option ``split_seed`` of the
    task, and names; and where one of these two differs, as else they are the same search twice.
    """
    groups: list[dict[str, SweepRecord]] = []
    for title, record in records.items():
        for group in groups:
            if all(_poolable(record, other) for other in group.values()):
                group[title] = record
                break
        else:
            groups.append({title: record})
    return groups


def _poolable(one: SweepRecord, other: SweepRecord) -> bool:
    seeds = [_search_seed(record) for record in (one, other)]
    data = [data_of(record) or options_of(record).get(SPLIT_OPTION) for record in (one, other)]
    if one.unread or other.unread:  # nobody knows what was searched
        return False
    other_draws = all(seeds) and (seeds[0] != seeds[1] or data[0] != data[1])
    return other_draws and same_task(one, other) and _settings(one) == _settings(other)


def _search_seed(record: SweepRecord) -> str:
    """Return the seed of a sweep's search; empty where it is not recorded."""
    return record.run.params.get(SEARCH_SEED, "") if record.run else ""


def _settings(record: SweepRecord) -> list[object]:
    """Return everything that must be the same for two sweeps' gates to be the same."""
    run, gates = record.run, record.of("gate")
    params = dict(run.params) if run else {}
    for free in (SEARCH_SEED, f"task.{SPLIT_OPTION}", f"task.{PLACE_OPTION}"):
        params.pop(free, None)
    code = {
        k: v for one in record.of("gate") for k, v in one.tags.items() if k.startswith(Tags.CODE)
    }
    keys = {one.gate: one.params.get("gate") for one in gates if not one.row_of}
    return [params, keys, code, _spaces(record.spec)]


def _spaces(spec: str) -> Any:
    """Return what a spec says of its gates; the text of one that cannot be read."""
    try:
        found = yaml.safe_load(spec)
    except yaml.YAMLError:
        return spec
    return found.get("gates") if isinstance(found, dict) else spec


def _as_one(records: Sequence[SweepRecord]) -> SweepRecord:
    runs = tuple(run for record in records for run in _told_apart(record))
    return replace(records[0], runs=runs)


def _told_apart(record: SweepRecord) -> list[RunRecord]:
    """Return the runs of a sweep with repeats that no other sweep of a pool has."""
    parts = [_search_seed(record), options_of(record).get(SPLIT_OPTION, "")]
    names = [part for part in parts if part]
    return [
        replace(run, tags={**run.tags, Tags.REPEAT: "/".join([*names, run.repeat])})
        if run.stage in ("search", "evaluate")
        else run
        for run in record.runs
    ]
