"""Lines: an append-only file of JSON objects of which no kill and no full disk spoils one."""

from __future__ import annotations

import errno
import json
import logging
import os
import threading
import weakref
from collections import deque
from collections.abc import Iterator
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any

from gatelab.durable import settle

Entry = dict[str, Any]

LOG = logging.getLogger(__name__)
FULL = (errno.ENOSPC, errno.EDQUOT)
"""Errors of a disk, or of a share of it, that has no room."""


class Lines:
    """A file to which one process appends; a torn last line is cut off when it is opened.

    While the disk is full, lines wait in memory behind those of the file: they are read like them,
    and follow them when there is room. One thread may read while another appends.
    """

    def __init__(
        self, path: str | Path, *, sync: bool = False, behind: Lines | None = None
    ) -> None:
        """Open a file, or make it.

        Args:
            path: The file.
            sync: Whether a line must survive the machine's end too, not only the process's.
            behind: What must be on the disk before any line of this file is.
        """
        self.path, self.sync, self.behind = Path(path), sync, behind
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        self._close = weakref.finalize(self, os.close, self._file)
        self._cut_torn_line()
        self._size = os.fstat(self._file).st_size
        if not self._size:
            settle(self.path.parent)  # its name, where it is new
        self._waiting: deque[bytes] = deque()
        self._lock, self._settling = threading.Lock(), threading.Lock()
        self._settled = True
        self.end = self._size
        """Bytes of all lines, of those that wait too."""

    def _cut_torn_line(self) -> None:
        size = os.fstat(self._file).st_size
        if size == 0:  # which cannot be mapped
            return
        with mmap(self._file, 0, access=ACCESS_READ) as text:
            whole = text.rfind(b"\n") + 1
        if whole < size:
            os.ftruncate(self._file, whole)

    def append(self, *records: Entry) -> None:
        """Write records; they survive the death of this process, unless the disk is full."""
        lines = [json.dumps(record).encode() + b"\n" for record in records]
        with self._lock:
            had_room = not self._waiting
            self._waiting.extend(lines)
            self.end += sum(map(len, lines))
            self._write_waiting()
            if had_room and self._waiting:
                LOG.warning("%s: no room on the disk; what follows waits in memory", self.path)

    def retry(self) -> None:
        """Write what waits in memory, if there is room again."""
        with self._lock:
            self._write_waiting()

    def settle(self) -> None:
        """Have all that was written on the disk; not what waits in memory."""
        with self._settling:  # who comes second waits until it is there
            if not self._settled:
                self._settled = True  # before: what is written meanwhile is for the next time
                try:
                    os.fsync(self._file)
                except OSError:
                    self._settled = False
                    raise

    @property
    def waits(self) -> bool:
        """Whether anything waits in memory."""
        return bool(self._waiting)

    def _write_waiting(self) -> None:
        if self.behind is not None:
            self.behind.retry()
        while self._waiting and self._write(self._waiting[0]):
            self._waiting.popleft()

    def _write(self, line: bytes) -> bool:
        """Write a line whole, or nothing of it; return whether."""
        if self.behind is not None and self.behind.waits:
            return False
        try:
            if self.behind is not None:
                self.behind.settle()
            whole = os.write(self._file, line) == len(line)
            self._settled = False
            if whole and self.sync:
                self.settle()
        except OSError as error:
            if error.errno not in FULL:
                raise
            whole = False
        if whole:
            self._size += len(line)
        else:
            os.ftruncate(self._file, self._size)
        return whole

    def lines(self, start: int = 0) -> Iterator[tuple[bytes, int]]:
        """Yield every line from a position on, with the position after it."""
        with self._lock:  # what is written from here on is left for the next time
            size, waiting = self._size, list(self._waiting)
        with open(self.path, "rb") as file:
            position = file.seek(min(start, size))
            while position < size and (line := file.readline()):
                position += len(line)
                yield line, position
        for line in waiting:
            position += len(line)
            if position > start:
                yield line, position

    def begins_at(self, position: int) -> bool:
        """Return whether a line that is on the disk, or the next one, begins at a position."""
        before = os.pread(self._file, 1, position - 1) if 0 < position <= self._size else b""
        return position == 0 or before == b"\n"

    def close(self) -> None:
        """Close the file."""
        self._close()


def whole_lines(path: Path) -> list[bytes]:
    """Return the lines of a file in which another process may be writing."""
    return path.read_bytes().split(b"\n")[:-1]


def parsed(line: bytes) -> Entry | None:
    """Return the JSON object of a line; ``None`` where it is damaged."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
