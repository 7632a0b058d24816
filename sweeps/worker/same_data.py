"""Same data: what a worker reads of a task is what the driver read when the sweep began."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from typing import Any

from gatelab.sweeps.cluster.provenance import fingerprint
from gatelab.tasks.tables.contents import TableError
from gatelab.tasks.tables.files import found_file
from gatelab.tasks.tables.identity import digest_of_file
from gatelab.tasks.tables.table import Table
from gatelab.tasks.task import Task, tasks

TABLE = "table"
"""The key of the task of which a file is known without reading its rows."""


class ChangedData(Exception):
    """A task's data are others than when the sweep began; its text says which, and where."""

    def __init__(self, what: str) -> None:
        """Say what has changed, on the machine that has found it."""
        super().__init__(f"{what} on {platform.node()}")


def data_id(task: Task, found: str = "") -> str:
    """Return what tells the data of a task from others.

    Of a table that is its file, which has all splits; of other tasks the fingerprint.

    Args:
        task: The task.
        found: Its fingerprint, where that is known.
    """
    return task.contents.digest if isinstance(task, Table) else found or fingerprint(task)


def make_unchanged(name: str, options: Mapping[str, Any], data: str, *, own_split: bool) -> Task:
    """Return a task with options, if its data are what they were.

    Args:
        name: Its key.
        options: Of it.
        data: Its :func:`data_id` when the sweep began; empty where any are welcome.
        own_split: Whether its rows are divided as they were then. On another split only a table
            is known to be the same.

    Raises:
        ChangedData: If they are others.
    """
    try:
        task: Task = tasks.get(name)(**options)
    except Exception as error:  # another file may be one that cannot be read or divided so
        if data and name == TABLE and _file_id(options) != data:
            raise ChangedData(str(options["path"])) from error
        raise
    known = own_split or isinstance(task, Table)
    if data and known and data_id(task) != data:
        raise ChangedData(_what(task, name, options))
    return task


def _what(task: Task, name: str, options: Mapping[str, Any]) -> str:
    """Return what has changed: a table's file, or whatever another task makes its data of."""
    if isinstance(task, Table) and "path" in options:
        return str(options["path"])
    return f"what task {name!r} reads or draws (see `gatelab check task {name}`)"


def _file_id(options: Mapping[str, Any]) -> str:
    """Return what tells the file of a table from others now; empty where it cannot be read."""
    try:
        return digest_of_file(found_file(options["path"]), options.get("reading") or {})
    except (TableError, OSError):
        return ""
