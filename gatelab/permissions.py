"""What a user may not read or write: said with whose it is, for nothing is wrong with it."""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterable
from pathlib import Path

READING, WRITING = os.R_OK, os.W_OK
WORDS = {READING: "read", WRITING: "written"}


def closed(paths: Iterable[Path], how: int) -> str:
    """Return the first path that this user may not use, and why; empty where there is none.

    Args:
        paths: Of files and folders; what is not there is left out.
        how: ``READING`` or ``WRITING``.
    """
    for path in paths:
        wanted = how | os.X_OK if os.path.isdir(path) else how  # its files are reached through it
        if os.path.exists(path) and not os.access(path, wanted, effective_ids=True):
            return f"{path} cannot be {WORDS[how]} {_why(path)}"
    return ""


def _why(path: Path) -> str:
    if os.statvfs(path).f_flag & os.ST_RDONLY:
        return "by anybody: its disk is read-only."
    user, owner = user_name(os.geteuid()), user_name(path.stat().st_uid)
    if user == owner:
        return f"by the user {user!r}, whose it is: see its mode (`chmod`)."
    return f"by the user {user!r}: it belongs to {owner!r}, who can permit it (`chmod`, `chown`)."


def user_name(number: int) -> str:
    """Return what a user is called; the number, where the system has no name for it."""
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)
