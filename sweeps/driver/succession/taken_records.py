"""Taken records: what is recorded of a sweep's trials and seeds, as another sweep's."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from gatelab.sweeps.driver.record.run_words import run_title
from gatelab.sweeps.driver.succession.taken_evaluations import Taken
from gatelab.tracking.known import attempt_of, last_attempts
from gatelab.tracking.lines import Entry, parsed
from gatelab.tracking.records import is_record
from gatelab.tracking.schema import COUNTS, Metrics, Params, Tags

COUNTED = {*COUNTS.values(), Metrics.SEARCH_EPOCHS}
"""The metrics of a gate's run that tell of its search alone."""


def records_of(spool: Path) -> Iterator[Entry]:
    """Yield the records of a spool, which is only read, of runs that began anew those since then.

    Empty where it is missing.
    """
    if spool.exists():
        last = last_attempts(_all_of(spool))
        for record in _all_of(spool):
            if attempt_of(record) == last.get(record["identity"], 0):
                yield record


def _all_of(spool: Path) -> Iterator[Entry]:
    with spool.open("rb") as lines:
        found = (parsed(line) for line in lines)
        yield from (record for record in found if record and is_record(record))


def taken_records(
    found: Iterable[Entry], before: str, name: str, evaluations: Taken, home: str
) -> Iterator[Entry]:
    """Yield the records of a sweep's search as those of another's, whose run they begin with.

    Those of trials stay what they are, with the times at which they were trained, and so do those
    of evaluations that are taken over. Of a gate's run its start is taken, and how its trials
    ended; what was selected and scored is not, but follows again.

    Args:
        found: The sweep's records.
        before: Its name.
        name: The other's.
        evaluations: What is taken over beside the search.
        home: The id of the other's home, by which its run is told from one of that name elsewhere.
    """
    begun: set[str] = set()
    for record in found:
        run = record["identity"].partition("/")[2]
        if record["kind"] == "start" and "/" not in run:
            if run not in begun and (evaluations.runs or Tags.ROW_OF not in record["tags"]):
                begun.add(run)
                now = {**record, "time": _now()}
                yield _of(name, now) if run else _begun(now, name, home)
        elif is_trial(run):
            yield _of(name, _marked(record, before))
        elif is_evaluation(run) and evaluations.holds(run):
            yield _renumbered(_of(name, _marked(record, before)), evaluations.renamed(run))
        elif run in begun and _is_kept(record, run):
            yield _of(name, record)


def is_trial(run: str) -> bool:
    """Return whether a run, named by what follows a sweep's name, is of a trial of its search."""
    return run.split("/")[-2:-1] == ["search"]


def is_evaluation(run: str) -> bool:
    """Return whether a run is of a seed of an evaluation."""
    return run.split("/")[-2:-1] == ["evaluate"]


def _renumbered(record: Entry, run: str) -> Entry:
    """Return a record of an evaluation's run with another number."""
    label, *_, number = run.split("/")
    found = {**record, "identity": f"{record['identity'].partition('/')[0]}/{run}"}
    if record["kind"] == "start":
        found["name"] = run_title(label, "evaluate", int(number))
    return found


def _begun(record: Entry, name: str, home: str) -> Entry:
    """Return the start of a sweep's run, without the params, which the sweep itself will have."""
    kept = {key: record["tags"][key] for key in (Tags.STAGE, Tags.TASK) if key in record["tags"]}
    tags = {**kept, Tags.SWEEP: name, Tags.HOME: home}
    return {**record, "identity": name, "name": name, "tags": tags, "params": {}}


def _marked(record: Entry, before: str) -> Entry:
    """Return a record of a trial or a seed, whose start says where it was trained."""
    if record["kind"] != "start":
        return record
    return {**record, "tags": {Tags.TAKEN_OVER_FROM: before, **record["tags"]}}


def _is_kept(record: Entry, run: str) -> bool:
    """Return whether a record of the sweep's run or a gate's tells of data or search alone."""
    kind, what = record["kind"], {"metrics": "values", "tags": "tags", "params": "params"}
    known = {"metrics": COUNTED, "tags": {Tags.FAILURES}} if run else {"params": {Params.TEST_ROWS}}
    keys = {*record[what[kind]]} if kind in known else set()
    return bool(keys) and keys <= known[kind]


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
