"""Where the file of a table lies, which is no part of what it is."""

from __future__ import annotations

import os
from pathlib import Path

from gatelab.data_folder import DATA_FOLDER
from gatelab.tasks.tables.contents import TableError


def places_of(path: str) -> tuple[Path, ...]:
    """Return where a table's file is looked for: below GATELAB_DATA, then from here."""
    folders = (Path(os.environ[DATA_FOLDER]),) if os.environ.get(DATA_FOLDER) else ()
    places = [folder.expanduser() / path for folder in (*folders, Path.cwd())]
    return tuple(dict.fromkeys(places))


def found_file(path: str) -> Path:
    """Return a table's file, the first that is there of :func:`places_of`.

    Raises:
        TableError: If there is none.
    """
    places = places_of(path)
    for place in places:
        if place.is_file():
            return place
    unset = f"; {DATA_FOLDER}, a folder of data, is not set"
    where = " or ".join(map(str, places))
    raise TableError(f"there is no file {where}{'' if os.environ.get(DATA_FOLDER) else unset}.")
