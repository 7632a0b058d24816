"""The sweeps of this machine, by the folder where they lie: found without a long import."""

from __future__ import annotations

import os
from pathlib import Path

from gatelab.durable import DRAFT


def local_sweeps(folder: Path) -> list[str]:
    """Return the names of the sweeps in a folder, sorted, and of what else lies there.

    There are none in one that is not there, is none, or may not be read.
    """
    try:
        found = os.listdir(folder / "sweeps")
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return []
    return sorted(name for name in found if not name.startswith(DRAFT))
