"""A table as the task of a spec that Python gives: a frame is kept as a file for workers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from pyarrow import parquet

from gatelab.durable import draft_of
from gatelab.sweeps.spec.given import GivenSpec
from gatelab.sweeps.spec.places import FRAMES, PATH
from gatelab.sweeps.spec.spec import SpecError
from gatelab.tasks.tables.sheet import as_kept
from gatelab.tasks.tables.table import Table
from gatelab.tracking.store_errors import StoreUnavailable, check_writable, writing


@contextmanager
def with_tables_kept(given: GivenSpec, folder: Path) -> Iterator[GivenSpec]:
    """Give a spec whose task is a name with options, where it was a :class:`.Table`.

    The frame of one lies below the folder then, as Parquet, called by what it holds, so that
    several sweeps share it and a resume has it. It is taken away again if nothing begins.

    Raises:
        StoreUnavailable: If it cannot be written.
    """
    task = given.get("task") if isinstance(given, Mapping) else None
    if not isinstance(given, Mapping) or type(task) is not Table:
        yield given
        return
    file = task.source_file or folder.absolute() / FRAMES / f"{task.contents.digest[:12]}.parquet"
    ours = task.source_file is None and not file.exists()  # another sweep may need it already
    if ours:
        _keep(task, file, folder)
    options = {name: it for name, it in task.options.items() if it not in (None, [], {}, "")}
    try:
        yield {**given, "task": {"name": "table", PATH: str(file), **options}}
    except (SpecError, StoreUnavailable):
        if ours:
            _take_away(file, folder)
        raise


def _keep(task: Table, file: Path, folder: Path) -> None:
    """Write a frame under its name when it is whole."""
    check_writable(folder)
    with writing(folder):
        file.parent.mkdir(parents=True, exist_ok=True)
        with draft_of(file) as draft:
            parquet.write_table(as_kept(task.sheet()), str(draft))


def _take_away(file: Path, folder: Path) -> None:
    file.unlink(missing_ok=True)
    with suppress(OSError):  # they are not empty
        file.parent.rmdir()
        folder.rmdir()
