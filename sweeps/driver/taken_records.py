"""Taken records: what is recorded of a sweep's search, as another sweep's."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from gatelab.tracking.lines import Entry, parsed
from gatelab.tracking.records import is_record
from gatelab.tracking.schema import COUNTS, Metrics, Tags

COUNTED = {*COUNTS.values(), Metrics.SEARCH_EPOCHS}
"""The metrics of a gate's run that tell of its search alone."""


def records_of(spool: Path) -> Iterator[Entry]:
    """Yield the records of a spool, which is only read; empty where it is missing."""
    if spool.exists():
        with spool.open("rb") as lines:
            found = (parsed(line) for line in lines)
            yield from (record for record in found if record and is_record(record))


def search_records(found: Iterable[Entry], before: str, name: str) -> Iterator[Entry]:
    """Yield the records of a sweep's search as those of another's, whose run they begin with.

    Those of trials stay what they are, with the times at which they were trained. Of a gate's run
    the start is taken, and how its trials ended; what was selected, scored and evaluated is not.

    Args:
        found: The sweep's records.
        before: Its name.
        name: The other's.
    """
    gates: dict[str, Entry] = {}
    begun = False
    for record in found:
        of = record["identity"].split("/")[1:]
        if not of and not begun and record["kind"] == "start":
            begun = True
            yield _begun(record, name)
        elif is_trial(of):
            yield _of(name, _marked(record, before))
        elif len(of) == 1 and record["kind"] == "start" and Tags.ROW_OF not in record["tags"]:
            if of[0] not in gates:
                gates[of[0]] = record
                yield _of(name, {**record, "time": _now()})
        elif len(of) == 1 and of[0] in gates and _is_of_search(record):
            yield _of(name, record)


def is_trial(of: list[str]) -> bool:
    """Return whether what follows a sweep's name in an identity is of a trial of its search."""
    return len(of) > 2 and of[-2] == "search"


def _begun(record: Entry, name: str) -> Entry:
    """Return the start of a sweep's run, without the params, which the sweep itself will have."""
    kept = {key: record["tags"][key] for key in (Tags.STAGE, Tags.TASK) if key in record["tags"]}
    tags = {**kept, Tags.SWEEP: name}
    return {**record, "identity": name, "name": name, "tags": tags, "params": {}, "time": _now()}


def _marked(record: Entry, before: str) -> Entry:
    """Return a record of a trial, whose start says where it was trained."""
    if record["kind"] != "start":
        return record
    return {**record, "tags": {Tags.TAKEN_OVER_FROM: before, **record["tags"]}}


def _is_of_search(record: Entry) -> bool:
    what, known = {"metrics": ("values", COUNTED), "tags": ("tags", {Tags.FAILURES})}.get(
        record["kind"], ("", set())
    )
    return bool(what) and {*record[what]} <= known


def _of(name: str, record: Entry) -> Entry:
    """Return a record as one of another sweep."""
    found = dict(record)
    for key in ("identity", "parent"):
        if record.get(key):
            found[key] = "/".join([name, *record[key].split("/")[1:]])
    if Tags.SWEEP in record.get("tags", {}):
        found["tags"] = {**record["tags"], Tags.SWEEP: name}
    return found


def _now() -> int:
    return time.time_ns() // 1_000_000
