"""A table as the task of a spec that Python gives: a frame is kept as a file for workers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from gatelab.durable import draft_of
from gatelab.sweeps.spec.given import GivenSpec
from gatelab.sweeps.spec.places import FRAMES, PATH
from gatelab.sweeps.spec.spec import SpecError
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
    columns = _keep(task, file, folder) if task.source_file is None else {}
    try:
        yield {**given, "task": {"name": "table", PATH: str(file), **_options(task, columns)}}
    except (SpecError, StoreUnavailable):
        if ours:
            _take_away(file, folder)
        raise


def _keep(task: Table, file: Path, folder: Path) -> Mapping[str, pa.Array]:
    """Write a frame under its name when it is whole, and return the columns that it has."""
    columns = task.sheet().columns
    if file.exists():
        return columns
    check_writable(folder)
    with writing(folder):
        file.parent.mkdir(parents=True, exist_ok=True)
        with draft_of(file) as draft:
            parquet.write_table(pa.table(dict(columns)), str(draft))
    return columns


def _options(task: Table, columns: Mapping[str, pa.Array]) -> dict[str, Any]:
    """Return what differs from the defaults, without columns that no file has, as one of lists."""
    options = {name: it for name, it in task.options.items() if it not in (None, [], {}, "")}
    if not columns:
        return options
    if "drop" in options:
        options["drop"] = [name for name in options["drop"] if name in columns]
    if isinstance(missing := options.get("missing"), Mapping):
        options["missing"] = {name: it for name, it in missing.items() if name in columns}
    return options


def _take_away(file: Path, folder: Path) -> None:
    file.unlink(missing_ok=True)
    with suppress(OSError):  # they are not empty
        file.parent.rmdir()
        folder.rmdir()
