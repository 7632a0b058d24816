"""Traces: where errors were raised that ended a trial or a seed, in the folder of a sweep."""

from __future__ import annotations

import logging
from contextlib import suppress
from pathlib import Path
from shutil import rmtree

from gatelab.tracking.schema import Artifacts
from gatelab.training.jobs import Job

LOG = logging.getLogger(__name__)


class Traces:
    """Keeps tracebacks in a sweep's folder."""

    def __init__(self, home: Path) -> None:
        """Keep them in the folder of a sweep."""
        self._folder = home / Artifacts.TRACES
        self._told: dict[str, Path] = {}

    def keep(self, job: Job, member: int, trace: str) -> Path | None:
        """Keep a traceback and return where; without one forget what was kept there.

        A resume repeats evaluations that have failed: what has a score has no traceback.
        """
        path = self._folder / f"{job.run.replace('/', '-')}-{job.number + member:03}"
        if not trace:
            self._forget(path)
            return None
        file = path / Artifacts.TRACE
        try:
            path.mkdir(parents=True, exist_ok=True)
            file.write_text(trace, encoding="utf-8", errors="backslashreplace")
        except OSError as error:  # no traceback is worth a sweep's end
            LOG.warning("%s cannot be written: %s", file, error.strerror)
            return None
        if job.stage == "evaluate" or job.label not in self._told:
            self._told[job.label] = file
        return file

    def _forget(self, path: Path) -> None:
        rmtree(path, ignore_errors=True)
        with suppress(OSError):  # others' are there, or none
            self._folder.rmdir()

    def of_gate(self, label: str) -> Path | None:
        """Return the file of what a gate's reason says, if any."""
        return self._told.get(label)
