"""A published data set: its files, whose they are, and where they lie on this machine."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from gatelab.data_folder import DATA_FOLDER, data_folder
from gatelab.registry import near_misses


class DataError(ValueError):
    """What is wrong with a file of a data set, in one line."""


@dataclass(frozen=True)
class DataFile:
    """One file of a data set, as a task reads it."""

    name: str
    """In the data set's folder; one that ends with ``.gz`` may lie there unpacked, without it."""
    url: str
    """Of the file, or of an archive that holds one of this name."""
    sha256: str | None = None
    """Of the unpacked bytes; ``None``: no one has told a hash that could be relied on."""


@dataclass(frozen=True)
class DataSet:
    """Files that a task reads, and whose they are."""

    name: str
    """Also of its folder."""
    files: tuple[DataFile, ...]
    source: str
    """Who made it, and where that is written."""
    licence: str
    """In one line."""
    to_accept: bool = False
    """Whether the licence asks a user to agree before a download."""

    @property
    def folder(self) -> Path:
        """Where its files lie, whether or not they do."""
        return data_folder() / self.name

    def place(self, file: DataFile) -> Path | None:
        """Return where a file lies, packed or unpacked; ``None`` where it is not."""
        places = (self.folder / name for name in (file.name, file.name.removesuffix(".gz")))
        return next((place for place in places if os.path.isfile(place)), None)  # never raises

    @property
    def missing(self) -> tuple[DataFile, ...]:
        """The files that are not on this machine."""
        return tuple(file for file in self.files if self.place(file) is None)

    def found(self, name: str) -> Path:
        """Return where the file of a name lies.

        Raises:
            DataError: If it does not, with where to get it.
        """
        file = next(file for file in self.files if file.name == name)
        place = self.place(file)
        if place is None:
            raise DataError(
                f"there is no file {name} of data set {self.name} in {self.folder}: `gatelab data "
                f"get {self.name}` downloads it from {file.url}; {_told_folder()}."
            )
        return place


def _told_folder() -> str:
    named = os.environ.get(DATA_FOLDER)
    return f"{DATA_FOLDER} {f'is {named}' if named else 'can name another folder'}"


def check_here(data_sets: Iterable[DataSet]) -> None:
    """Check that every file is on this machine.

    Raises:
        DataError: For the first that is not.
    """
    for data_set in data_sets:
        for file in data_set.files:
            data_set.found(file.name)


def named_sets(name: str, data_sets_of: dict[str, tuple[DataSet, ...]]) -> tuple[DataSet, ...]:
    """Return the data set of a name, or those that the task of a name reads.

    Args:
        name: Of a data set or a task.
        data_sets_of: By task the data sets that it reads.

    Raises:
        DataError: If neither has this name, or the task reads no files.
    """
    found = {it.name: it for of_task in data_sets_of.values() for it in of_task}
    if name in found:
        return (found[name],)
    if name not in data_sets_of:
        readers = {task for task, of_task in data_sets_of.items() if of_task}
        raise DataError(f"unknown data set {name!r:.100}; {near_misses(name, {*found, *readers})}")
    if not data_sets_of[name]:
        raise DataError(f"task {name!r} reads no files of a data set: there is nothing to get.")
    return data_sets_of[name]
