"""The file of a sweep's studies, as Optuna reads and writes it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import BaseJournalBackend

from gatelab.tracking.lines import Lines, parsed, whole_lines


class DamagedFile(Exception):
    """A file holds what was never written there; its one line says where."""


class StudyFile(BaseJournalBackend):
    """Optuna's journal in a file of whole lines, for the one driver that a sweep has.

    Optuna's own backend makes a lock at each note, which outlives a driver that is killed with it,
    and reads no file with a torn line. Optuna and optuna-dashboard read this one as theirs.
    """

    def __init__(self, path: Path, behind: Lines | None = None) -> None:
        """Open the file, or make it; a torn last line is cut off.

        Args:
            path: The file.
            behind: The record: what the studies know to be done must not be lost there.
        """
        self.lines = Lines(path.resolve(), sync=True, behind=behind)
        self._read, self._position = 0, 0

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        """Yield the notes from a number on: Optuna asks for those that it has not read."""
        if log_number_from != self._read:
            self._read, self._position = 0, 0
        for line, position in self.lines.lines(self._position):
            note = _note(line, self.lines.path, self._read + 1)
            self._read, self._position = self._read + 1, position
            if self._read > log_number_from:
                yield note

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Write notes; while the disk is full they wait in memory."""
        self.lines.append(*logs)


class _ReadOnly(BaseJournalBackend):
    """The whole lines of a file that another process may be writing."""

    def __init__(self, path: Path) -> None:
        found = enumerate(whole_lines(path), start=1)
        self.notes = [_note(line, path, number) for number, line in found]

    def read_logs(self, log_number_from: int) -> list[dict[str, Any]]:
        """Return the notes from a number on."""
        return self.notes[log_number_from:]

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Write nothing."""
        raise NotImplementedError("these studies are only read.")


def read_studies(path: Path) -> dict[str, optuna.Study]:
    """Return the studies of a file by their names, without writing; none where it is missing.

    Raises:
        DamagedFile: If the file cannot be read.
    """
    if not path.exists():
        return {}
    with damages(path):
        storage = JournalStorage(_ReadOnly(path))
        names = optuna.get_all_study_names(storage)
        return {name: optuna.load_study(study_name=name, storage=storage) for name in names}


def _note(line: bytes, path: Path, number: int) -> dict[str, Any]:
    note = parsed(line)
    if note is None:
        raise DamagedFile(f"{path}: line {number} is damaged.")
    return note


@contextmanager
def damages(path: Path) -> Iterator[None]:
    """Turn whatever Optuna raises on notes that it never wrote into one line.

    Raises:
        DamagedFile: If anything inside raises an error.
    """
    try:
        yield
    except (DamagedFile, OSError):
        raise
    except Exception as error:  # KeyError, AssertionError, ...: Optuna checks nothing
        reason = f"{type(error).__name__}: {error}"[:200]
        raise DamagedFile(f"{path} holds no studies of Optuna's ({reason}).") from error
