"""Memory of CPU training: what a step frees, the next step has again."""

from __future__ import annotations

import ctypes
from functools import cache

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
"""Parameters of glibc's ``mallopt``."""
KEPT, LARGEST = 2**30, 2**25
"""Bytes: of freed memory that a process keeps, and of the largest block that it keeps."""


@cache
def keep_freed_memory() -> None:
    """Let this process keep freed memory, where its C library is glibc; else nothing happens.

    By default glibc gives the large tensors of a step back to the system at its end, which then
    clears every page anew for the next: a tenth to a fifth of a step.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(TRIM_THRESHOLD, KEPT)
        mallopt(MMAP_THRESHOLD, LARGEST)
