"""The journal: records that wait on disk until they have been delivered."""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from gatelab.tracking.lines import FULL, LOG, Entry, Lines, parsed, whole_lines


class Journal(Lines):
    """A file of records, and beside it the position up to which they are delivered.

    What was delivered after the last commit is delivered again after a kill, which the reader must
    not mind; all of it where the position is not one of this file. One thread may read and commit
    while another appends.
    """

    def __init__(self, path: str | Path) -> None:
        """Open a journal, or make it."""
        super().__init__(path)
        position = position_file(self.path)
        self._position_file = os.open(position, os.O_RDWR | os.O_CREAT, 0o666)
        self._close_position = weakref.finalize(self, os.close, self._position_file)
        self._damaged: set[int] = set()
        self.commit(self._kept_position())  # has its place on the disk

    def _kept_position(self) -> int:
        text = os.pread(self._position_file, 20, 0)
        if not text or (text.isdigit() and self.begins_at(int(text))):
            return int(text or 0)
        message = "%s was cut or replaced since %s: what it holds is delivered again"
        LOG.warning(message, self.path, f"byte {int(text)}" if text.isdigit() else "its last use")
        return 0

    def records(self, start: int = 0) -> Iterator[tuple[Entry, int]]:
        """Yield every record from a position on, with the position after it; empty if damaged."""
        for line, position in self.lines(start):
            record = parsed(line)
            if record is None and position not in self._damaged:
                self._damaged.add(position)
                begin = position - len(line)
                LOG.warning("%s: the line at byte %d is damaged, and lost", self.path, begin)
            yield record or {}, position

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
        super().close()
        self._close_position()


def position_file(path: Path) -> Path:
    """Return the file of a journal's position."""
    return path.with_suffix(".position")


def delivered(path: Path) -> bool:
    """Return whether anything of a journal was ever delivered."""
    try:
        return int(position_file(path).read_bytes() or 0) > 0
    except (FileNotFoundError, ValueError):
        return False


def has_started(path: Path, identity: str) -> bool:
    """Return whether a journal, which need not be there, has the start of a run."""
    if not path.exists():
        return False
    records = (parsed(line) or {} for line in whole_lines(path))
    return any(it.get("kind") == "start" and it.get("identity") == identity for it in records)
