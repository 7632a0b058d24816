"""What takes long to make, and many tests only read: made once, whoever needs it first."""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest


def once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """Return the folder of a name, which the first process of a run that asks for it fills."""
    base = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent  # of all workers
    folder = base / f"shared-{name}"
    with (base / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "made").exists():
            folder.mkdir(exist_ok=True)
            make(folder)
            (folder / "made").touch()
    return folder


def make_token() -> None:
    """Make the token by which Ray knows this user, where there is none yet.

    Ray makes it when it is first started on a machine; of two that are first started at once, one
    would be refused with the other's.
    """
    path = Path.home() / ".ray" / "auth_token"
    path.parent.mkdir(exist_ok=True)
    with suppress(FileExistsError), path.open("x") as file:
        path.chmod(0o600)
        file.write(secrets.token_hex(32))
