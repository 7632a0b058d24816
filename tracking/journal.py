"""The journal: records that wait on disk until they have been delivered."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any

Record = dict[str, Any]


class Journal:
    """An append-only file of JSON lines, and beside it the position up to which it is delivered.

    After a kill both are whole: a torn last line is cut off, and what was delivered after the last
    commit is delivered again, which the reader must not mind.
    """

    def __init__(self, path: str | Path) -> None:
        """Open a journal, or make it."""
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._position_path = self.path.with_suffix(".position")
        self._file = open(self.path, "ab")  # noqa: SIM115 - closed in close()
        self._cut_torn_line()
        self.position = self._read_position()
        self.end = self.path.stat().st_size

    def _cut_torn_line(self) -> None:
        size = self.path.stat().st_size
        if size == 0:  # which cannot be mapped
            return
        with open(self.path, "rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as text:
            whole = text.rfind(b"\n") + 1
        if whole < size:
            os.truncate(self.path, whole)

    def _read_position(self) -> int:
        try:
            return int(self._position_path.read_text())
        except FileNotFoundError:
            return 0

    def append(self, record: Record) -> None:
        """Write a record; it survives the death of this process."""
        line = json.dumps(record).encode() + b"\n"
        self._file.write(line)
        self._file.flush()
        self.end += len(line)

    def records(self, start: int = 0) -> Iterator[tuple[Record, int]]:
        """Yield every whole record from a position on, with the position after it."""
        with open(self.path, "rb") as file:
            file.seek(start)
            position = start
            for line in file:
                if not line.endswith(b"\n"):
                    return
                position += len(line)
                yield json.loads(line), position

    def commit(self, position: int) -> None:
        """Note that everything before a position is delivered."""
        draft = self._position_path.with_suffix(".draft")
        draft.write_text(str(position))
        os.replace(draft, self._position_path)
        self.position = position

    def close(self) -> None:
        """Close the file."""
        self._file.close()
