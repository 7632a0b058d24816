"""The journal: records that wait on disk until they have been delivered."""

from __future__ import annotations

import errno
import json
import logging
import os
import threading
from collections import deque
from collections.abc import Iterator
from itertools import islice
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any

Entry = dict[str, Any]

LOG = logging.getLogger(__name__)
FULL = (errno.ENOSPC, errno.EDQUOT)
"""Errors of a disk, or of a share of it, that has no room."""


class Journal:
    """An append-only file of JSON lines, and beside it the position up to which it is delivered.

    After a kill both are whole: a torn last line is cut off, and what was delivered after the last
    commit is delivered again, which the reader must not mind. While the disk is full, lines wait in
    memory behind those of the file: they are read like them, and follow them when there is room.
    One thread may read and commit while another appends.
    """

    def __init__(self, path: str | Path) -> None:
        """Open a journal, or make it."""
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        self._position_file = os.open(
            self.path.with_suffix(".position"), os.O_RDWR | os.O_CREAT, 0o666
        )
        self._cut_torn_line()
        self._size = os.fstat(self._file).st_size
        self._waiting: deque[bytes] = deque()
        self._lock = threading.Lock()
        self.end = self._size
        """Bytes of all lines, of those that wait too."""
        self.commit(int(os.pread(self._position_file, 20, 0) or 0))  # has its place on the disk

    def _cut_torn_line(self) -> None:
        size = os.fstat(self._file).st_size
        if size == 0:  # which cannot be mapped
            return
        with mmap(self._file, 0, access=ACCESS_READ) as text:
            whole = text.rfind(b"\n") + 1
        if whole < size:
            os.ftruncate(self._file, whole)

    def append(self, record: Entry) -> None:
        """Write a record; it survives the death of this process, unless the disk is full."""
        line = json.dumps(record).encode() + b"\n"
        with self._lock:
            had_room = not self._waiting
            self._waiting.append(line)
            self.end += len(line)
            self._write_waiting()
            if had_room and self._waiting:
                LOG.warning("%s: no room on the disk; what follows waits in memory", self.path)

    def retry(self) -> None:
        """Write what waits in memory, if there is room again."""
        with self._lock:
            self._write_waiting()

    def _write_waiting(self) -> None:
        while self._waiting and self._write(self._waiting[0]):
            self._waiting.popleft()

    def _write(self, line: bytes) -> bool:
        """Write a line whole, or nothing of it; return whether."""
        try:
            whole = os.write(self._file, line) == len(line)
        except OSError as error:
            if error.errno not in FULL:
                raise
            whole = False
        if whole:
            self._size += len(line)
        else:
            os.ftruncate(self._file, self._size)
        return whole

    def records(self, start: int = 0) -> Iterator[tuple[Entry, int]]:
        """Yield every record from a position on, with the position after it."""
        position = start
        for line in self._lines(start):
            position += len(line)
            yield json.loads(line), position

    def _lines(self, start: int) -> Iterator[bytes]:
        with self._lock:  # what is written from here on is left for the next time
            size, waiting = self._size, list(self._waiting)
        with open(self.path, "rb") as file:
            position = file.seek(min(start, size))
            while position < size:
                line = file.readline()
                position += len(line)
                yield line
        for line in waiting:
            if position >= start:
                yield line
            position += len(line)

    def read(self, limit: int) -> list[tuple[Entry, int]]:
        """Return the first records that are not delivered, so many at most."""
        return list(islice(self.records(self.position), limit))

    def commit(self, position: int) -> None:
        """Note that everything before a position is delivered."""
        self.position = position
        on_disk = min(position, self._size)  # what waits in memory is not there after a kill
        try:  # in place: a full disk has no room for a draft
            os.pwrite(self._position_file, b"%020d" % on_disk, 0)
        except OSError as error:
            if error.errno not in FULL:
                raise

    def close(self) -> None:
        """Close the files."""
        os.close(self._file)
        os.close(self._position_file)
