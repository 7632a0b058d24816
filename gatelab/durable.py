"""Durable files: whole or not there, and on the disk when the machine ends, not only the process.

What is written begins as a draft beside its place and takes its name when it is whole, so that who
is ended in between leaves what was there before.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

DRAFT = ".draft-"
"""How the name of what is being written begins."""
NO_FSYNC = (errno.EINVAL, errno.ENOTSUP)
"""Errors of file systems that know no fsync of a folder."""


@contextmanager
def draft_of(path: Path) -> Iterator[Path]:
    """Give a draft's path, of a file or a folder to be made there, which replaces another at last.

    Each draft has a name of its own, so that two writers of one place do not mix. Nothing of it
    stays after an error, and an ``OSError`` names the place, not the draft.

    Args:
        path: The place, in a folder that is there.

    Raises:
        OSError: If it cannot be written, or a folder with something in it is there.
    """
    draft = path.with_name(f"{DRAFT}{uuid4().hex[:8]}")
    try:
        yield draft
        settled_as(draft, path)
    except OSError as error:
        if str(draft) in str(error.filename):
            error.filename = str(error.filename).replace(str(draft), str(path))
        raise
    finally:
        _remove(draft)


def write_settled(path: Path, text: str, mode: int = 0o666) -> None:
    """Write a file of a mode, whole or not at all, over one of the same name."""
    with draft_of(path) as draft:
        draft.touch(mode)
        draft.write_text(text, encoding="utf-8")


def settled_as(draft: Path, path: Path) -> None:
    """Give a draft, once it is on the disk, the name of what it replaces."""
    settle_all(draft)
    draft.replace(path)
    settle(path.parent)


def settle_all(path: Path) -> None:
    """Have a file on the disk, or a folder with all that is in it."""
    for place, _, names in os.walk(path, topdown=False):
        for file in (Path(place, name) for name in names):
            if file.is_file():  # a link may lead nowhere
                settle(file)
        settle(Path(place))
    if path.is_file():
        settle(path)


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


def _remove(draft: Path) -> None:
    """Remove what is left of a draft, without an error in place of the first one."""
    try:
        draft.unlink(missing_ok=True)
    except OSError:  # a folder
        shutil.rmtree(draft, ignore_errors=True)
