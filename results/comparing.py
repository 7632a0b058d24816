"""Comparing: sweeps of one store or several, read and put side by side."""

from __future__ import annotations

from pathlib import Path

from gatelab.results.comparison import compare_runs
from gatelab.results.comparison.gone_on import check_apart
from gatelab.results.comparison.merging import by_task
from gatelab.results.shown import ShownComparison
from gatelab.tracking.kept_reads import sweep_record
from gatelab.tracking.masking import masked
from gatelab.tracking.named_store import store_of
from gatelab.tracking.runs import SweepRecord
from gatelab.tracking.schema import FOLDER
from gatelab.tracking.sqlite import default_uri
from gatelab.tracking.store_errors import check_there


def compare(*sweeps: str, folder: str | Path = FOLDER, uri: str | None = None) -> ShownComparison:
    """Return the comparison of a sweep from MLflow's record alone, or of several on one task.

    Args:
        sweeps: ``NAME``, or ``NAME@STORE`` for one in another store: a tracking URI, or a folder
            as below.
        folder: Of the store.
        uri: MLflow's tracking URI; by default what the sweep's launch in the folder named, or the
            SQLite store there.

    Raises:
        LookupError: If the store knows no such sweep.
        StoreUnavailable: If a store cannot be used.
        ValueError: If a sweep is named twice, or goes on from another of them, or if they are on
            several tasks, which :func:`gatelab.results.overview.overview` takes.
    """
    records = read_sweeps(*sweeps, folder=folder, uri=uri)
    tasks = by_task(records)
    if len(tasks) > 1:
        raise ValueError(f"Sweeps must be on one task, but got {', '.join(tasks)}.")
    return ShownComparison.of(compare_runs(*records))


def report(
    sweep: str, to: str | Path, *, folder: str | Path = FOLDER, uri: str | None = None
) -> Path:
    """Write a sweep's report, with its figures and tables, into a folder; return its page.

    Args:
        sweep: As :func:`compare` takes it; it may be running.
        to: The folder, made if missing.
        folder: Of the store.
        uri: MLflow's tracking URI; by default what the sweep's launch in the folder named, or the
            SQLite store there.

    Raises:
        LookupError: If the store knows no such sweep.
        StoreUnavailable: If the store cannot be used.
    """
    from gatelab.results.report.files import (
        write_report,  # here: matplotlib takes a second to import
    )
    from gatelab.results.review import read_review

    name, store = _place(sweep, folder, uri)
    check_there(store)
    return write_report(read_review(store, name), to)[0]


def read_sweeps(
    *sweeps: str, folder: str | Path = FOLDER, uri: str | None = None, trials: bool = False
) -> list[SweepRecord]:
    """Return the records of sweeps, each named as :func:`compare` takes it; several with specs.

    Raises:
        LookupError: If the store knows no such sweep.
        StoreUnavailable: If a store cannot be used.
        ValueError: If there is no sweep, or one is named twice, or goes on from another of them.
    """
    if not sweeps:
        raise ValueError("At least one sweep must be named, but got none.")
    places = [_place(sweep, folder, uri) for sweep in sweeps]
    for index, (name, store) in enumerate(places):
        if (name, store) in places[:index]:
            raise ValueError(f"sweep {name!r} is named twice, but it has one record.")
        check_there(store)
        if not name or "'" in name:  # which MLflow's queries do not take, and no spec either
            raise LookupError(f"no sweep {name!r} in {masked(store)}.")
    several = len(places) > 1
    records = [sweep_record(store, name, trials=trials, spec=several) for name, store in places]
    check_apart(records)
    return records


def _place(sweep: str, folder: str | Path, uri: str | None) -> tuple[str, str]:
    """Return a sweep's name, and the URI of its store."""
    name, _, store = sweep.partition("@")
    if not store:
        return name, uri or store_of(folder, name)
    return name, store if "://" in store else default_uri(store)
