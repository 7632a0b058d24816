"""Locks of files and folders: who holds one keeps others out, until it ends, whatever ends it."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOOK_SECONDS = 1.0
"""How long the lock of a home may be held by who only looks whether a driver holds it."""


def lock_file(file: int, how: int = fcntl.LOCK_EX) -> bool:
    """Lock a file; return whether nobody else keeps it locked.

    Args:
        file: Its descriptor.
        how: ``LOCK_SH`` holds it beside others who do so.
    """
    deadline = time.monotonic() + LOOK_SECONDS
    while True:
        try:
            fcntl.flock(file, how | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Keep others who ask for the same out of a folder; wait for one who is there."""
    file = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        os.close(file)
