"""Where the file of a table lies, which is no part of what it is."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from gatelab.data_folder import DATA_FOLDER, in_home
from gatelab.registry import near_misses
from gatelab.tasks.tables.contents import TableError


def places_of(path: str) -> tuple[Path, ...]:
    """Return where a table's file is looked for: below GATELAB_DATA, then from here."""
    folders = (Path(os.environ[DATA_FOLDER]),) if os.environ.get(DATA_FOLDER) else ()
    places = [in_home(folder) / path for folder in (*folders, Path.cwd())]
    return tuple(dict.fromkeys(places))


def no_file(place: Path) -> str:
    """Return the line that says what stands where a file should be, or beside it."""
    if os.path.isdir(place):  # which never raises, as its like in pathlib does
        return f"{place} is a folder, not a file of CSV or Parquet."
    if os.path.exists(place):
        return f"{place} is a pipe or a device, not a file: save what comes of it first."
    if not os.path.isdir(place.parent):
        return f"there is no folder {place.parent}, where {place.name} should be."
    return f"there is no file {place}{_near(place)}"


def _near(place: Path) -> str:
    """Return how a sentence ends that tells of no file: with a like name beside it, if any is."""
    with suppress(OSError):  # the folder is not there, or not ours
        near = near_misses(place.name, [it.name for it in place.parent.iterdir() if it.is_file()])
        if near.startswith("did"):
            return f"; {near}"
    return "."


def found_file(path: str) -> Path:
    """Return a table's file, the first that is there of :func:`places_of`.

    Raises:
        TableError: If there is none.
    """
    places = places_of(path)
    for place in filter(os.path.isfile, places):
        return place
    for place in filter(os.path.exists, places):
        raise TableError(no_file(place))
    near = next((found for found in map(_near, places) if found != "."), ".")
    unset = f"; {DATA_FOLDER}, a folder of data, is not set"
    where = " or ".join(map(str, places))
    raise TableError(
        f"there is no file {where}{'' if os.environ.get(DATA_FOLDER) else unset}{near}"
    )
