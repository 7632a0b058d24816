"""What was read of a SQLite store is kept beside it: asked again, an unchanged one needs no MLflow.

MLflow takes more than a second to import, and what it is asked for is mostly what it was asked for
before. SQLite tells of every commit: in its file's header, or by the log that is written ahead.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import asdict, fields, replace
from hashlib import sha256
from pathlib import Path

from gatelab.durable import write_settled
from gatelab.tracking.runs import RunRecord, SweepRecord
from gatelab.tracking.sqlite import sqlite_path

FORM = [1, *(field.name for kind in (SweepRecord, RunRecord) for field in fields(kind))]
"""What is kept is of no use to a gatelab that has another form; the number tells of meanings."""
HEADER = 100
"""Bytes at the beginning of SQLite's file, a counter of commits among them."""
LOG_HEADER = 32
"""Bytes at the beginning of a log that is written ahead: its salt is new when it is used again."""


def sweep_record(uri: str, sweep: str, *, trials: bool = False, spec: bool = False) -> SweepRecord:
    """Read the runs of a sweep, as :func:`gatelab.tracking.mlflow_read.read_sweep` does.

    Args:
        uri: MLflow's tracking URI.
        sweep: Its name.
        trials: Whether to read the trials too.
        spec: Whether to read its spec too.

    Raises:
        LookupError: If the store knows no such sweep.
        StoreUnavailable: If the store cannot be used.
    """
    store = sqlite_path(uri)
    before = state(store) if store else None
    if store is None or before is None:
        return _asked(uri, sweep, trials, spec)
    place = _place(store, sweep, trials, spec)
    if kept := _kept(place, before):
        return replace(kept, uri=uri)  # the folder may have moved
    record = _asked(uri, sweep, trials, spec)
    if not record.running:
        _keep(place, before, record)
    return record


def keep_read(uri: str, sweep: str) -> None:
    """Read a sweep that has ended, so that who asks for it next need not wait.

    Raises:
        StoreUnavailable: If the store cannot be used.
    """
    if sqlite_path(uri):
        sweep_record(uri, sweep)


def state(store: Path) -> str | None:
    """Return what differs after any commit to a SQLite file; ``None`` while that cannot be told.

    Source: SQLite, Database File Format, sections 1.3 (file change counter) and 4.1 (WAL header).
    """
    log = store.with_name(f"{store.name}-wal")
    try:
        told = [*_beginning(store, HEADER), *(_beginning(log, LOG_HEADER) if log.exists() else ())]
    except OSError:
        return None
    return None if store.with_name(f"{store.name}-journal").exists() else json.dumps(told)


def _beginning(path: Path, size: int) -> tuple[str, int, int, int]:
    """Return a file's first bytes, which file it is, its size, and when it was written.

    Raises:
        OSError: If it is no file: to open a pipe would never end.
    """
    if not path.is_file():
        raise FileNotFoundError(path)
    with path.open("rb") as file:
        found = os.fstat(file.fileno())
        return file.read(size).hex(), found.st_ino, found.st_size, found.st_mtime_ns


def _asked(uri: str, sweep: str, trials: bool, spec: bool) -> SweepRecord:
    from gatelab.tracking import mlflow_read  # here: it takes more than a second

    record = mlflow_read.read_sweep(uri, sweep, trials=trials)
    return mlflow_read.with_spec(record) if spec else record


def _place(store: Path, sweep: str, trials: bool, spec: bool) -> Path:
    name = sha256(json.dumps([sweep, trials, spec]).encode()).hexdigest()[:32]
    return store.with_name(f"{store.name}.reads") / f"{name}.json"


def _kept(place: Path, state: str) -> SweepRecord | None:
    """Return what was kept of a store in this state; nothing where that is not whole."""
    with suppress(OSError, ValueError, TypeError, LookupError):  # or it is somebody else's
        if not place.is_file():
            return None
        found = json.loads(place.read_bytes())
        if found["form"] == FORM and found["state"] == state:
            runs = tuple(RunRecord(**run) for run in found["record"].pop("runs"))
            return SweepRecord(runs=runs, **found["record"])
    return None


def _keep(place: Path, state: str, record: SweepRecord) -> None:
    """Keep a record, whole or not at all; not where nothing can be written."""
    plain = {name: value for name, value in asdict(record).items() if name != "uri"}
    with suppress(OSError):
        place.parent.mkdir(exist_ok=True)
        write_settled(place, json.dumps({"form": FORM, "state": state, "record": plain}))
