"""What was read of a store is read again only when the store has changed, and never wrongly."""

from __future__ import annotations

import json
import math
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from gatelab.tracking import mlflow_read
from gatelab.tracking.kept_reads import keep_read, state, sweep_record
from gatelab.tracking.mlflow_read import read_sweep
from gatelab.tracking.runs import SweepRecord
from gatelab.tracking.sqlite import default_uri
from tests.made_sweeps import MadeSweep

COMMAND = """
import sys
from click.testing import CliRunner
from gatelab.sweeps.cli import main
result = CliRunner().invoke(main, sys.argv[1:])
print(result.output, result.exit_code, sorted({'mlflow', 'pandas', 'torch'} & {*sys.modules}))
"""


@pytest.fixture
def folder(put_store: Callable[[Path], Path], tmp_path: Path) -> Path:
    """A store with one finished sweep."""
    made = put_store(tmp_path / "store")
    MadeSweep(made, "one", gates=("top_k", "softmax"), seeds=3, trials=4)
    return made


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The sweeps that the store was asked for."""
    found: list[str] = []

    def told(uri: str, sweep: str, *, trials: bool) -> SweepRecord:
        found.append(sweep)
        return read_sweep(uri, sweep, trials=trials)

    monkeypatch.setattr(mlflow_read, "read_sweep", told)
    return found


def compare(folder: Path, *arguments: str) -> tuple[str, str]:
    """Compare in a process of its own; return what is said, and what heavy it has imported."""
    command = [sys.executable, "-c", COMMAND, "compare", "--folder", str(folder)]
    ended = subprocess.run([*command, *arguments], capture_output=True, text=True, check=True)
    said, code, imported = ended.stdout.rpartition(" 0 ")
    assert code
    return said, imported.strip()


@pytest.mark.parametrize("asked_for", [["one"], ["one", "--stage", "search"], ["one", "two"]])
def test_who_asks_again_waits_for_no_mlflow(folder: Path, asked_for: list[str]) -> None:
    if "two" in asked_for:
        MadeSweep(folder, "two", gates=("top_k", "softmax"), seeds=3, trials=4, spec="name: two")
    first, second = (compare(folder, *asked_for) for _ in range(2))
    assert "top_k" in first[0]
    assert first[0] == second[0]
    assert (first[1], second[1]) == ("['mlflow', 'pandas']", "[]")


def test_a_launch_keeps_what_is_asked_next(small_sweep: Path) -> None:
    kept = list((small_sweep / "gatelab_runs" / "mlflow.db.reads").iterdir())
    assert len(kept) == 1
    assert json.loads(kept[0].read_bytes())["record"]["sweep"] == "small"


def test_what_is_kept_is_what_was_read(folder: Path, asked: list[str]) -> None:
    uri = default_uri(folder)
    with sqlite3.connect(folder / "mlflow.db") as store:
        changed = store.execute("update latest_metrics set value = 1.7976931348623157e308")
        assert changed.rowcount > 0
        store.execute("update latest_metrics set is_nan = 1 where key = 'test/loss'")
    store.close()
    for trials in (False, True):
        first, second = (sweep_record(uri, "one", trials=trials) for _ in range(2))
        assert repr(first) == repr(second) == repr(read_sweep(uri, "one", trials=trials))
    values = [value for run in second.runs for value in run.metrics.values()]
    assert any(map(math.isnan, values)) and any(map(math.isinf, values))
    assert asked == ["one", "one"]


def _tag(store: sqlite3.Connection, value: str) -> None:
    assert store.execute("update tags set value = ? where key = 'role'", [value]).rowcount


def _roles(folder: Path) -> set[str]:
    return {run.tags["role"] for run in sweep_record(default_uri(folder), "one").of("gate")}


@pytest.mark.parametrize("mode", ["delete", "truncate", "persist", "wal"])
def test_any_commit_is_seen(folder: Path, asked: list[str], mode: str) -> None:
    """Also one that leaves the file's size and time as they were, or lies in the log alone."""
    path = folder / "mlflow.db"
    store = sqlite3.connect(path)
    store.execute(f"pragma journal_mode={mode}")
    store.execute("pragma wal_autocheckpoint=0")
    for value in ("first", "other", "third"):
        before = path.stat()
        _tag(store, value)
        store.commit()
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert _roles(folder) == {value}
        assert _roles(folder) == {value}
    if mode in ("delete", "wal"):  # where a journal stays, nothing is kept
        assert asked == ["one"] * 3
    store.close()


def test_a_log_that_begins_again_is_seen(folder: Path) -> None:
    store = sqlite3.connect(folder / "mlflow.db")
    store.execute("pragma journal_mode=wal")
    for value in ("first", "other", "third"):
        _tag(store, value)
        store.commit()
        assert _roles(folder) == {value}
        store.execute("pragma wal_checkpoint(restart)")
    store.close()


def test_an_older_copy_is_seen(folder: Path, tmp_path: Path) -> None:
    path = folder / "mlflow.db"
    shutil.copy2(path, tmp_path / "older")
    before = _roles(folder)
    with sqlite3.connect(path) as store:
        _tag(store, "newer")
    store.close()
    assert _roles(folder) == {"newer"}
    shutil.copy2(tmp_path / "older", path)
    assert _roles(folder) == before


def test_nothing_is_kept_in_the_middle_of_a_commit(folder: Path, asked: list[str]) -> None:
    uri = default_uri(folder)
    (folder / "mlflow.db-journal").touch()
    assert state(folder / "mlflow.db") is None
    assert sweep_record(uri, "one") == sweep_record(uri, "one")
    assert asked == ["one"] * 2
    assert not (folder / "mlflow.db.reads").exists()


def test_what_changes_while_it_is_read_is_not_kept(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(uri: str, sweep: str, *, trials: bool) -> SweepRecord:
        found = read_sweep(uri, sweep, trials=trials)
        with sqlite3.connect(folder / "mlflow.db") as store:
            _tag(store, "meanwhile")
        store.close()
        return found

    with monkeypatch.context() as patch:
        patch.setattr(mlflow_read, "read_sweep", slow)
        assert _roles(folder) != {"meanwhile"}
    assert _roles(folder) == {"meanwhile"}


@pytest.mark.parametrize("name", ["mlflow.db", "mlflow.db-wal"])
def test_of_a_pipe_nothing_is_told(folder: Path, name: str) -> None:
    """To open one would never end."""
    (folder / name).unlink(missing_ok=True)
    os.mkfifo(folder / name)
    assert state(folder / "mlflow.db") is None


def test_a_sweep_that_runs_is_not_kept(put_store: Callable[[Path], Path], tmp_path: Path) -> None:
    folder = put_store(tmp_path / "store")
    MadeSweep(folder, "one", seeds=1, trials=2, unfinished=("softmax",))
    assert sweep_record(default_uri(folder), "one").running
    assert not (folder / "mlflow.db.reads").exists()


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def _another_form(path: Path) -> None:
    path.write_text(json.dumps({**json.loads(path.read_bytes()), "form": [0]}))


def _another_shape(path: Path) -> None:
    path.write_text(json.dumps([1, 2]))


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("harm", [_cut, _another_form, _another_shape, _pipe, _folder])
def test_what_is_kept_may_be_harmed(folder: Path, harm: Callable[[Path], None]) -> None:
    uri = default_uri(folder)
    whole = sweep_record(uri, "one")
    (kept,) = (folder / "mlflow.db.reads").iterdir()
    harm(kept)
    assert sweep_record(uri, "one") == whole


@pytest.mark.parametrize("harm", [Path.touch, os.mkfifo])
def test_where_nothing_can_be_kept_it_is_read(folder: Path, harm: Callable[[Path], None]) -> None:
    harm(folder / "mlflow.db.reads")
    assert sweep_record(default_uri(folder), "one") == sweep_record(default_uri(folder), "one")
    assert sorted(path.name for path in folder.iterdir() if path.name.startswith("mlflow")) == [
        "mlflow.db",
        "mlflow.db.lock",
        "mlflow.db.reads",
    ]


def test_a_folder_that_moves_is_read_where_it_is(folder: Path, asked: list[str]) -> None:
    before = sweep_record(default_uri(folder), "one")
    moved = folder.rename(folder.with_name("moved"))
    uri = default_uri(moved)
    assert sweep_record(uri, "one") == replace(before, uri=uri)
    assert asked == ["one"]


def test_sweeps_and_forms_are_kept_apart(folder: Path, asked: list[str]) -> None:
    MadeSweep(folder, "two", gates=("top_k",), seeds=2, trials=4)
    uri = default_uri(folder)
    for _ in range(2):
        found = [
            sweep_record(uri, name, trials=t) for name in ("one", "two") for t in (False, True)
        ]
        assert [record.sweep for record in found] == ["one", "one", "two", "two"]
        assert [bool(record.of("search")) for record in found] == [False, True, False, True]
    assert asked == ["one", "one", "two", "two"]


def test_other_stores_are_asked_each_time(asked: list[str]) -> None:
    keep_read("http://127.0.0.1:9/", "one")
    assert asked == []
