"""Durable files: on the disk when the machine ends, not only when the process does."""

from __future__ import annotations

import errno
import os
from pathlib import Path

NO_FSYNC = (errno.EINVAL, errno.ENOTSUP)
"""Errors of file systems that know no fsync of a folder."""


def settle(path: Path) -> None:
    """Have a file, or the names in a folder, on the disk before what relies on it is there."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in NO_FSYNC:
            raise
    finally:
        os.close(handle)


def settle_all(folder: Path) -> None:
    """Have a folder on the disk, with all that is in it."""
    for place, _, names in os.walk(folder, topdown=False):
        for path in (Path(place, name) for name in names):
            if path.is_file():  # a link may lead nowhere
                settle(path)
        settle(Path(place))


def settled_as(draft: Path, path: Path) -> None:
    """Give a draft, once it is on the disk, the name of what it replaces."""
    settle(draft)
    draft.replace(path)
    settle(path.parent)


def write_settled(path: Path, text: str, mode: int = 0o666) -> None:
    """Write a file of a mode, whole or not at all, over one of the same name."""
    draft = path.with_name(f".draft-{path.name}")
    draft.touch(mode)
    draft.write_text(text, encoding="utf-8")
    settled_as(draft, path)
