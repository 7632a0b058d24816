"""What could be seen of a sweep by whoever looks at process lists."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cluster.sweeping import Account


@dataclass(frozen=True)
class Watched:
    """What could be seen while a sweep ran."""

    commands: frozenset[str]
    """Every command line of this machine, the hosts' and the user's own."""
    said: str
    """What the user was told."""
    account: Account
    """What MLflow holds of it."""


@contextmanager
def watched_commands() -> Iterator[set[str]]:
    """Collect the command lines of all processes until the end of the context."""
    seen: set[str] = set()
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.1):
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    seen.add(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
                except OSError:
                    continue  # it has just ended

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()
