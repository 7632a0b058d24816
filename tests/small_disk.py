"""A disk that is soon full, and one that is read-only."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk(folder: Path, size: str = "16k") -> Iterator[Path]:
    """Mount a disk of a size, or skip the test where that is not permitted."""
    disk = folder / "disk"
    disk.mkdir()
    with _mounted(disk, f"size={size}"):
        yield disk


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Let a folder be one that not even root can write in, or skip the test."""
    folder.mkdir(exist_ok=True)
    with _mounted(folder, "ro"):
        yield


@contextmanager
def _mounted(folder: Path, options: str) -> Iterator[None]:
    mount = ["mount", "-t", "tmpfs", "-o", options, "test", str(folder)]
    made = subprocess.run(mount, capture_output=True, text=True)
    if made.returncode:
        pytest.skip(f"no disk can be mounted: {made.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(disk: Path) -> Path:
    """Leave no room on a disk, except in the last page of each file; return what fills it."""
    with (disk / "other").open("wb", buffering=0) as file, pytest.raises(OSError, match="space"):
        while True:
            file.write(bytes(4096))
    return disk / "other"
