"""Places of a task's file: where it lies says nothing of what the task is, and may change."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

FRAMES = "tables"
"""The folder of frames, beside those of sweeps."""
PATH = "path"
"""The option of a task that is a file."""
_NAME = re.compile(r"[0-9a-f]{12}\.parquet")
"""How a frame's file is called: by what it holds."""


def wherever(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return options of a task with their file's name alone, whatever folder it lies in."""
    return _with(options, lambda path: path.name)


def as_recorded(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return options of a task with the file of a frame as any folder of results has it."""
    return _with(options, lambda path: f"{FRAMES}/{path.name}" if _kept(path) else None)


def found_in(options: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Return options of a task with the file of a frame in a folder of results that was moved."""

    def here(path: Path) -> str | None:
        moved = _kept(path) and not path.is_file()
        return str(folder.absolute() / FRAMES / path.name) if moved else None

    return _with(options, here)


def _with(options: Mapping[str, Any], change: Callable[[Path], str | None]) -> dict[str, Any]:
    """Return options with their file in another way, unless that is none."""
    path = options.get(PATH)
    changed = change(Path(path)) if isinstance(path, str) else None
    return {**options} if changed is None else {**options, PATH: changed}


def _kept(path: Path) -> bool:
    return path.parent.name == FRAMES and bool(_NAME.fullmatch(path.name))
