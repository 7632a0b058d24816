"""Storage: the folder that every node reaches, on a disk or in an object store."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from pyarrow import fs

from gatelab.durable import draft_of
from gatelab.tracking.lines import FULL

T = TypeVar("T")
LOG = logging.getLogger(__name__)
ROOM_SECONDS = 5.0
"""After which a full disk is tried again."""
STATES = "states"
"""The folder of a storage for what is needed only until its sweep has ended."""
AT_RUNGS = "waiting"
"""Another, for the states of trials that wait at a rung; Tune writes in the first."""


def model_name(label: str, number: int) -> str:
    """Return the name in a storage of the model that an evaluation leaves, by its number."""
    return f"models/{label}-{number}.pt"


class Storage:
    """Where workers leave saved states and models.

    The driver's own files (studies, journal) stay on its disk; what a worker on another machine
    writes or reads goes through here.
    """

    def __init__(self, place: str | Path) -> None:
        """Open a folder.

        Args:
            place: A path, or a URI of pyarrow's file systems: ``s3://bucket/folder``, with
                ``?endpoint_override=host:port&scheme=http`` for one that is not Amazon's. Its
                secrets come from the environment, never from here.

        Raises:
            ValueError: If the URI is of no kind that pyarrow knows, or has a key in it.
        """
        check_no_key(place)
        self.place = str(place)
        if "://" in self.place:
            self.files, self.root = fs.FileSystem.from_uri(self.place)
        else:
            self.files, self.root = fs.LocalFileSystem(), str(Path(place).resolve())

    def put(self, path: Path, name: str) -> None:
        """Copy a file here, whole or not at all, over one of the same name.

        On a disk it is there when the machine ends, as what is noted of it is.
        """
        target = f"{self.root}/{name}"
        self.files.create_dir(target.rpartition("/")[0], recursive=True)
        if isinstance(self.files, fs.LocalFileSystem):
            with draft_of(Path(target)) as draft:
                self._copy(path, str(draft))
        else:  # in object stores it appears when it is whole
            self._copy(path, target)

    def _copy(self, path: Path, target: str) -> None:
        with path.open("rb") as source, self.files.open_output_stream(target) as stream:
            shutil.copyfileobj(source, stream)

    def get(self, name: str, path: Path) -> bool:
        """Copy a file from here; return whether there is one."""
        source = f"{self.root}/{name}"
        if self.files.get_file_info(source).type != fs.FileType.File:
            return False
        path.parent.mkdir(parents=True, exist_ok=True)
        with self.files.open_input_stream(source) as stream, path.open("wb") as file:
            shutil.copyfileobj(stream, file)
        return True

    def name(self, path: str) -> str:
        """Return what is called so here wherever the folder is moved; else the path as it is."""
        return path.removeprefix(f"{self.root}/")

    def path(self, name: str) -> str:
        """Return the path of what :meth:`name` has named, or of a path, which older sweeps note."""
        return name if name.startswith(("/", f"{self.root}/")) else f"{self.root}/{name}"

    def remove(self, name: str) -> None:
        """Remove a folder with all that is in it, if it is there and can be removed."""
        with suppress(OSError):  # what stays takes room, and nothing else
            self.files.delete_dir(f"{self.root}/{name}")


def when_there_is_room(write: Callable[[], T]) -> T:
    """Return what a function returns that writes, once the disk has room for it.

    A worker that waits keeps what it has learned; one that fails would begin anew, and fail again.
    """
    told = False
    while True:
        try:
            return write()
        except OSError as error:
            if error.errno not in FULL:
                raise
            if not told:
                LOG.warning("%s: waits until there is room on the disk", error)
            told = True
            time.sleep(ROOM_SECONDS)


def check_no_key(place: str | Path) -> None:
    """Refuse ``s3://KEY:SECRET@bucket``: a place is told to all, in process lists, logs and files.

    Raises:
        ValueError: If there is a key in it.
    """
    if "@" in urlsplit(str(place)).netloc:
        raise ValueError(
            "the storage's address must have no key in it: AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY are where it is looked for."
        )


def outside(place: str) -> str:
    """Return the place in which a place is that :func:`inside` has made."""
    path, mark, options = place.partition("?")
    return f"{path.rpartition('/')[0]}{mark}{options}"


def inside(place: str, name: str) -> str:
    """Return the place of a folder inside a place; a URI's options stay at its end."""
    path, mark, options = place.partition("?")
    return f"{path.rstrip('/')}/{name}{mark}{options}"
