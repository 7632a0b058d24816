"""Where the file of a table lies, which is no part of what it is."""

from __future__ import annotations

import os
from pathlib import Path

from gatelab.tasks.data_sets.data_set import DATA_FOLDER
from gatelab.tasks.tables.contents import TableError


def found_file(path: str) -> Path:
    """Return a table's file: a relative path is looked for below GATELAB_DATA, then from here.

    Raises:
        TableError: If there is none.
    """
    folders = [Path(os.environ[DATA_FOLDER])] if os.environ.get(DATA_FOLDER) else []
    places = [folder.expanduser() / path for folder in (*folders, Path.cwd())]
    for place in places:
        if place.is_file():
            return place
    unset = "" if folders else f"; {DATA_FOLDER}, a folder of data, is not set"
    where = " or ".join(dict.fromkeys(str(place) for place in places))
    raise TableError(f"there is no file {where}{unset}.")
