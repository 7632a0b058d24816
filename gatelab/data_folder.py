"""Where data sets lie on this machine."""

from __future__ import annotations

import os
from pathlib import Path

DATA_FOLDER = "GATELAB_DATA"
"""The environment variable that names the folder of data."""


def data_folder() -> Path:
    """Return the folder of data sets: ``GATELAB_DATA``, or the platform's cache folder."""
    named = os.environ.get(DATA_FOLDER)
    return in_home(named) if named else cache_folder()


def in_home(path: str | os.PathLike[str]) -> Path:
    """Return a path with the user's folder in place of ``~``, which stays where it names none."""
    return Path(os.path.expanduser(path))  # pathlib's raises there


def cache_folder() -> Path:
    """Return the platform's folder for what can be got, or made, again."""
    import pooch  # here: a machine that only trains need not have it

    return Path(pooch.os_cache("gatelab"))
