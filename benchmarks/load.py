"""Load: many sweeps in one store, many readers of it, and a large sweep resumed.

``python -m benchmarks.load [sweeps] [readers] [resumed]`` runs all three, or those named. Nothing
of Ray's takes part: jobs run in this process, and all else is real.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import statistics
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

from benchmarks.clock import measured, report
from benchmarks.resuming import resumed
from benchmarks.store import GATES, SWEEP, run_steps
from gatelab.sweeps.home.home import Home
from gatelab.tracking.dashboard import serve
from gatelab.tracking.recorder import Recorder
from gatelab.tracking.schema import Artifacts
from gatelab.tracking.sqlite import default_uri

SWEEPS, READERS = 200, 50
FIRST = "sweep-000"
SMALL = f"""
name: {FIRST}
experiment: sweeps
task: {{name: synthetic_groups, num_targets: 2, train_rows: 64, val_rows: 64, test_rows: 64}}
gates: [softmax]
baselines: false
training: {{max_epochs: 2}}
search: {{trials: 4, early_stopping: false}}
evaluation: {{seeds: 2}}
"""


def main(*parts: str) -> None:
    """Print what each part takes."""
    known = {"sweeps": sweeps, "readers": readers, "resumed": resumed}
    for part in parts or known:
        with tempfile.TemporaryDirectory() as folder:
            known[part](Path(folder))


def sweeps(folder: Path, count: int = SWEEPS) -> None:
    """Measure the commands that look at a store of many sweeps, each in a process of its own."""
    names = [f"sweep-{number:03}" for number in range(count)]
    _run_small(folder)
    for name in names[1:]:
        _copy(folder, name)
    for what, arguments in {
        "status": ["status"],
        "compare one": ["compare", names[-1]],
        "compare all": ["compare", *names, "--format", "csv"],
    }.items():
        cpu, said = measured("gatelab", *arguments, "--folder", str(folder))
        lines = f"{said.count(chr(10))} lines"
        report(f"load: seconds of CPU to {what} of {count} sweeps", cpu, "none", said=lines)
    _look(folder, names[-1])


def _run_small(folder: Path) -> None:
    """Run the sweep of which the others are copies."""
    (folder / "spec.yaml").write_text(SMALL)
    from gatelab import launch
    from gatelab.sweeps.spec.reading import load_spec
    from tests.in_process import in_this_process

    with in_this_process():
        launch(load_spec(folder / "spec.yaml"), folder=folder)


def _copy(folder: Path, name: str) -> None:
    """Copy a sweep under another name: its home as files, its record through a recorder."""
    home = Home(folder, FIRST)
    shutil.copytree(home.path, folder / "sweeps" / name)
    for file in (folder / "sweeps" / name / Artifacts.SPEC, folder / "spool" / f"{name}.jsonl"):
        source = home.spool if file.suffix == ".jsonl" else file
        file.write_text(source.read_text().replace(FIRST, name))
    recorder = Recorder(
        folder / "spool" / f"{name}.jsonl",
        uri=home.uri,
        experiment="sweeps",
        sweep=name,
        artifacts=folder / "artifacts",
        home=folder / "sweeps" / name,
    )
    if not recorder.close(600.0):
        sys.exit(f"{name} did not arrive: {recorder.problem}")


def _look(folder: Path, name: str) -> None:
    """Open the dashboard's page of a sweep in a browser, and count what it asks for."""
    from playwright.sync_api import sync_playwright

    from gatelab.tracking.mlflow_read import sweep_links

    page_of, chromium = sweep_links(default_uri(folder), name).page, shutil.which("chromium")
    if chromium is None:
        print("load: there is no chromium to open the dashboard in", flush=True)
        return
    with (
        serve(default_uri(folder), log=folder / "ui.log") as server,
        sync_playwright() as playwright,
    ):
        page = playwright.chromium.launch(executable_path=chromium).new_page()
        sizes: list[int] = []
        page.on("requestfinished", lambda request: sizes.append(_bytes(request)))
        page.set_default_timeout(300_000)
        for what in ("first look", "second look"):
            sizes.clear()
            started = time.perf_counter()
            page.goto(f"{server.address}/{page_of}")
            page.get_by_test_id("note-view-outer-container").first.wait_for()
            seconds, asked = time.perf_counter() - started, f"{len(sizes)} requests"
            got = f"{sum(sizes) / 2**20:.1f} MiB"
            report(f"load: seconds of the page, {what}", seconds, "none", asked=asked, got=got)
            page.goto("about:blank")


def _bytes(request: object) -> int:
    sizes = request.sizes()  # type: ignore[attr-defined]
    return int(sizes["responseBodySize"])


def readers(folder: Path, count: int = READERS, trials: int = 5) -> None:
    """Record trials while so many read what there is, and check that nothing is missing."""
    alone, _ = _record(folder / "alone", trials, 0)
    for name, through in (("beside", False), ("through", True)):
        seconds, reads = _record(folder / name, trials, count, through_server=through)
        lost = _rows(folder / "alone") - _rows(folder / name)
        report(
            f"load: seconds to record {trials} trials {name} a server with {count} readers",
            seconds,
            "none",
            alone=f"{alone:.1f}",
            lost=f"{lost} rows of {_rows(folder / 'alone')}",
            reads=f"{len(reads)}, median {statistics.median(reads):.2f} s, worst {max(reads):.2f}",
        )


def _record(
    folder: Path, trials: int, count: int, *, through_server: bool = False
) -> tuple[float, list[float]]:
    folder.mkdir()
    uri, reads = default_uri(folder), list[float]()
    from gatelab.tracking.mlflow_client import open_client

    open_client(uri)
    with serve(uri, log=folder / "ui.log") as server:
        recorder = Recorder(
            folder / "s.jsonl",
            uri=server.address if through_server else uri,
            experiment=SWEEP,
            sweep=SWEEP,
        )
        tags = {"sweep": SWEEP, "stage": "gate", "gate": GATES[0]}
        recorder.start_run(f"{SWEEP}/{GATES[0]}", parent=None, name="g", tags=tags, params={})
        recorder.flush()
        with _reading(count, partial(_read, server.address), reads):
            started = time.perf_counter()
            for number in range(trials):
                for _ in run_steps(recorder, GATES[0], "search", number):
                    pass
            if not recorder.close(900.0):
                sys.exit(f"the trials did not arrive: {recorder.problem}")
            seconds = time.perf_counter() - started
    return seconds, reads


@contextmanager
def _reading(count: int, read: Callable[[], object], took: list[float]) -> Iterator[None]:
    """Let so many threads read, one time after another."""
    over = threading.Event()

    def work() -> None:
        while not over.is_set():
            started = time.perf_counter()
            read()
            took.append(time.perf_counter() - started)

    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()


def _read(address: str) -> None:
    """Ask for the runs of the experiment, as a page of the dashboard does."""
    asked = json.dumps({"experiment_ids": ["1"], "max_results": 100}).encode()
    request = urllib.request.Request(
        f"{address}/api/2.0/mlflow/runs/search", asked, {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=600) as answer:
        json.load(answer)


def _rows(folder: Path) -> int:
    """Return how many runs and values a store holds."""
    with closing(sqlite3.connect(folder / "mlflow.db")) as database:
        counts = (
            database.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0]
            for table in ("runs", "metrics", "params")
        )
        return sum(counts)


if __name__ == "__main__":
    main(*sys.argv[1:])
