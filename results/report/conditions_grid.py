"""How a sweep was done: when, on what data and machine, with which settings."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import PurePath
from urllib.parse import urlsplit

from gatelab.results.comparison import Comparison
from gatelab.results.comparison.evidence import counts
from gatelab.results.comparison.tables import Grid
from gatelab.results.costs import trained_seconds
from gatelab.results.report.search_grids import settings_text
from gatelab.tracking.runs import SweepRecord
from gatelab.tracking.schema import Params, Tags
from gatelab.tracking.sqlite import sqlite_path

_PATHS = re.compile(r"(?<![\w/.:~-])(?:/|~/|[A-Za-z]:\\)(?:[^\s/\\'\"`,;:()]+[/\\])+(?=[^\s/\\])")
"""The folders of an absolute path, up to the name of its file."""
_HOME = r"sweeps[/\\][^\s/\\]+[/\\]tracebacks[/\\]"
TRACES = re.compile(rf"(?<=traceback in )(?!{_HOME})(?:\S*[/\\](?={_HOME})|\S*[/\\](?=\S))")
"""The folders of a failed gate's traceback, which may be relative, up to those of its sweep."""
UNITS = ((86400, "d"), (3600, "h"), (60, "min"))
"""Seconds of the units in which durations are said, beside the second."""


def without_folders(text: str) -> str:
    """Return a text without the folders of this machine: a report is sent to others."""
    return _PATHS.sub("", TRACES.sub("", text))


def store_shown(uri: str) -> str:
    """Return where a store is, as others may know it: a server's address, or a file's name."""
    path = sqlite_path(uri)
    if path is not None:
        return f"{PurePath(path).name} (SQLite)"
    return uri if urlsplit(uri).scheme not in ("", "file") else PurePath(urlsplit(uri).path).name


def duration(seconds: float) -> str:
    """Return a duration in two digits or more of the largest unit that it fills."""
    for size, name in UNITS:
        if seconds >= size:
            return f"{seconds / size:.3g} {name}"
    return f"{seconds:.2g} s"


def facts_line(record: SweepRecord) -> list[str]:
    """Return what a reader asks first: when, how long, on which data, on which machine."""
    run = record.run
    params, tags = (run.params, run.tags) if run else ({}, {})
    found = [_date(record), _lasted(record), _kinds(params), _rows(params)]
    return [one for one in (*found, _machine(tags)) if one]


def _machine(tags: Mapping[str, str]) -> str:
    """Return the driver's machine in words."""
    named = {n.removeprefix(Tags.MACHINE): v for n, v in tags.items() if n.startswith(Tags.MACHINE)}
    cpus = named.pop("cpus", "")
    return ", ".join([*named.values(), *([f"{cpus} CPUs"] if cpus else [])])


def _date(record: SweepRecord) -> str:
    start = record.run.started if record.run else None
    return f"{datetime.fromtimestamp(start, UTC):%Y-%m-%d %H:%M} UTC" if start else ""


def _lasted(record: SweepRecord) -> str:
    run = record.run
    return duration(run.ended - run.started) if run and run.started and run.ended else ""


def _rows(params: Mapping[str, str]) -> str:
    found = [(part, params.get(f"{Params.ROWS}{part}")) for part in ("train", "val", "test")]
    said = [f"{int(rows):,} {part}" for part, rows in found if rows]
    return f"{' / '.join(said)} rows" if said else ""


def _kinds(params: Mapping[str, str]) -> str:
    return params.get(Params.KINDS, "")


def conditions_grid(record: SweepRecord, comparison: Comparison) -> Grid:
    """Return what the result depends on beside the spec."""
    run = record.run
    params, tags = (run.params, run.tags) if run else ({}, {})
    (under,) = comparison.conditions
    rows = [
        ("begun", _date(record)),
        ("took", _lasted(record)),
        ("trained", _trained(record)),
        ("task", " ".join([under.task, *(f"{k}={v}" for k, v in under.options.items())])),
        ("targets", _kinds(params)),
        ("rows", _rows(params)),
        ("data", f"{under.data} (fingerprint)" if under.data else ""),
        *(
            (part, settings_text(params, f"{part}."))
            for part in ("search", "training", "evaluation")
        ),
        ("seeds evaluated", ", ".join(under.seeds)),
        ("versions", settings_text(tags, Tags.VERSION)),
        ("git commit", tags.get(Tags.COMMIT, "")),
        ("machine", _machine(tags)),
        ("record", store_shown(under.uri)),
    ]
    if under.before:
        rows.insert(2, ("goes on from", ", ".join(under.before)))
    if comparison.ignored:
        runs = counts("run", [comparison.ignored])
        rows.append(("left out", f"{runs} of other programs in its experiment"))
    said = [[key, value if value not in ("", "-") else "not recorded"] for key, value in rows]
    return Grid("Conditions", ("what", "value"), said)


def _trained(record: SweepRecord) -> str:
    """Return for how long networks were trained, in search and evaluation, of all gates."""
    seconds = trained_seconds(record)
    return "" if seconds is None else f"{duration(seconds)} of training in all"
