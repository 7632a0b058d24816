"""Tables among the files of a sweep's home."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from gatelab.sweeps.home.home import Home


def write_table(home: Home, name: str, header: Sequence[str], table: Iterable[Any]) -> Path:
    """Write a table into the files of a home; return where it is."""
    path = home.path / "files" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(table)
    return path
