"""``gatelab compare`` on a large store: 10,000 finished trials of 50 epochs and 20 metrics."""

from __future__ import annotations

import random
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from benchmarks.clock import report
from gatelab.tracking.recorder import Recorder
from gatelab.tracking.sqlite import default_uri

TRIALS, EPOCHS, SEEDS = 10_000, 50, 5
SWEEP, GATES = "large", ("dselect_k", "softmax", "top_k")
TARGETS = ("age", "income", "left", "right")
SELECTION = ("at_most_k", "entropy", "experts_per_example", "jaccard", "load_cv2", "support_flips")
KEYS = (
    "train/loss",
    "val/loss",
    "val/mean/accuracy",
    *(f"val/{target}/{metric}" for target in TARGETS for metric in ("loss", "accuracy")),
    "val/mean/auc",
    *(f"gate/{metric}" for metric in (*SELECTION, "dead_experts", "weight_change")),
)
"""What an epoch records: 20 metrics."""
MEASURED = """
import resource, subprocess, sys, time
started = time.perf_counter()
status = subprocess.call(sys.argv[1:])
seconds = time.perf_counter() - started
print(seconds, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024, file=sys.stderr)
sys.exit(status)
"""
"""Runs in a small process of its own: a child's peak begins with what its parent holds."""


def main() -> None:
    """Print the seconds and the memory that the command takes in a process of its own."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        started = time.perf_counter()
        make_store(folder)
        made = time.perf_counter() - started
        runs = [_compare(folder) for _ in range(3)]
        gibibytes = (folder / "mlflow.db").stat().st_size / 2**30
    first, *others = (seconds for seconds, _ in runs)
    again, store = f"{min(others):.2f} s", f"{TRIALS} trials, {gibibytes:.1f} GiB"
    report("store: seconds to compare", first, "<= 5", again=again)
    memory = max(mebibytes for _, mebibytes in runs)
    report("store: MiB to compare", memory, "<= 1024", store=store, made=f"in {made:.0f} s")


def make_store(folder: Path, trials: int = TRIALS) -> None:
    """Record a sweep of one trial a gate, and copy the trials in the database."""
    uri = default_uri(folder)
    recorder = Recorder(folder / "journal.jsonl", uri=uri, experiment=SWEEP, sweep=SWEEP)
    _record(recorder, trials)
    if not recorder.close():
        sys.exit(f"the small sweep did not arrive: {recorder.problem}")
    with closing(sqlite3.connect(folder / "mlflow.db", isolation_level=None)) as database:
        _multiply(database, trials)


def _record(recorder: Recorder, trials: int) -> None:
    """Record what a sweep records, under the tags and keys of ``driver/record/record.py``."""
    tags = {"sweep": SWEEP, "task": "census", "stage": "sweep", "gates": ",".join(GATES)}
    recorder.start_run(SWEEP, parent=None, name=SWEEP, tags=tags, params={"task": "census"})
    for index, gate in enumerate(GATES):
        identity, tags = f"{SWEEP}/{gate}", {**tags, "stage": "gate", "gate": gate}
        recorder.start_run(identity, parent=SWEEP, name=gate, tags=tags, params={"gate": gate})
        _record_run(recorder, gate, "search", 0)
        for seed in range(SEEDS):
            _record_run(recorder, gate, "evaluate", seed)
        finished = len(range(index, trials, len(GATES)))
        counts = {"search/finished": finished, "search/pruned": 0, "search/failed": 0}
        recorder.log_metrics(identity, finished, counts)
        recorder.end_run(identity, "FINISHED", {"end": "finished", "end.reason": "evaluated"})
    recorder.end_run(SWEEP, "FINISHED", {"end": "finished"})


def _record_run(recorder: Recorder, gate: str, stage: str, number: int) -> None:
    """Record one trial, or one seed of the evaluation, to its end."""
    for _ in run_steps(recorder, gate, stage, number):
        pass


def run_steps(recorder: Recorder, gate: str, stage: str, number: int) -> Iterator[None]:
    """Record a run, and stop after its start and after each epoch, so that runs can take turns."""
    identity, final = f"{SWEEP}/{gate}/{stage}/{number}", _final_keys(stage)
    tags = {"sweep": SWEEP, "task": "census", "stage": stage, "gate": gate, "seed": str(number)}
    if stage == "search":
        tags["trial"] = str(number)
    recorder.start_run(
        identity,
        parent=f"{SWEEP}/{gate}",
        name=f"{gate}-{stage}-{number:03}",
        tags=tags,
        params={"gate": gate, **{f"{part}.{n}": 0.1 for part in ("gate", "model") for n in "abcd"}},
    )
    yield
    for epoch in range(1, EPOCHS + 1):
        recorder.log_metrics(identity, epoch, {key: random.random() for key in KEYS})
        yield
    recorder.log_metrics(identity, EPOCHS + 1, {key: random.random() for key in final})
    reason = f"all {EPOCHS} epochs"
    end = {"end": "finished", "end.reason": reason, "end.epoch": str(EPOCHS)}
    recorder.end_run(identity, "FINISHED", end)


def _final_keys(stage: str) -> list[str]:
    """Return what a run records at its end."""
    split = "test" if stage == "evaluate" else "val"
    scores = [key.replace("val/", f"{split}/", 1) for key in KEYS[1:]]
    return [*dict.fromkeys([*scores, "val/loss"]), "objective", "time/train_seconds"]


def _multiply(database: sqlite3.Connection, trials: int) -> None:
    """Copy the rows of the search's runs until there are so many, each at a time of its own.

    Indexes are made anew afterwards, and the metrics come in the order of their primary key:
    both spare the disk ten million jumps.
    """
    for pragma in ("journal_mode = OFF", "synchronous = OFF", "cache_size = -200000"):
        database.execute(f"PRAGMA {pragma}")
    sources = database.execute("SELECT run_uuid FROM tags WHERE key = 'stage' AND value = 'search'")
    uuids = [uuid for (uuid,) in sources]
    database.execute("CREATE TEMP TABLE copies (n INTEGER PRIMARY KEY, source TEXT, uuid TEXT)")
    database.execute("BEGIN")
    database.executemany(
        "INSERT INTO copies VALUES (?, ?, lower(hex(randomblob(16))))",
        ((n, uuids[n % len(uuids)]) for n in range(len(uuids), trials)),
    )
    hour = "* 3600000"
    _copy(database, "runs", start_time=f"start_time + n {hour}", end_time=f"end_time + n {hour}")
    own = "'mlflow.gatelab.identity', 'mlflow.runName', 'trial'"
    _copy(database, "tags", value=f"CASE WHEN key IN ({own}) THEN value || '.' || n ELSE value END")
    _copy(database, "params")
    _copy(database, "latest_metrics", timestamp=f"timestamp + n {hour}")
    _copy(database, "metrics", timestamp=f"timestamp + n {hour}")
    database.execute("COMMIT")
    database.execute("PRAGMA journal_mode = DELETE")


def _copy(database: sqlite3.Connection, table: str, **changes: str) -> None:
    """Insert a table's rows of each copy's source, with changes to some columns."""
    columns = [name for _, name, *_ in database.execute(f"PRAGMA table_info({table})")]
    values = ", ".join({"run_uuid": "uuid", **changes}.get(name, name) for name in columns)
    order = "key, n, step" if table == "metrics" else "n"
    indexes = database.execute(
        "SELECT name, sql FROM sqlite_master WHERE tbl_name = ? AND sql LIKE 'CREATE INDEX%'",
        (table,),
    ).fetchall()
    for name, _ in indexes:
        database.execute(f"DROP INDEX {name}")
    database.execute(
        f"CREATE TEMP TABLE source_{table} AS SELECT * FROM {table} WHERE run_uuid IN "
        "(SELECT source FROM copies)"
    )
    database.execute(
        f"INSERT INTO {table} SELECT {values} FROM copies JOIN source_{table} ON run_uuid = source "
        f"ORDER BY {order}"
    )
    for _, sql in indexes:
        database.execute(sql)


def _compare(folder: Path) -> tuple[float, float]:
    """Return the seconds and the peak memory in MiB of the command."""
    command = [sys.executable, "-m", "gatelab", "compare", SWEEP, "--folder", str(folder)]
    measured = [sys.executable, "-c", MEASURED, *command]
    result = subprocess.run(measured, capture_output=True, text=True, check=False)
    if result.returncode or str(TRIALS // len(GATES)) not in result.stdout:
        sys.exit(f"`{' '.join(command)}` failed:\n{result.stdout}{result.stderr}")
    seconds, mebibytes = result.stderr.split()[-2:]
    return float(seconds), float(mebibytes)
