"""What a user may not read or write: said in one line with whose it is, never as damage."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import mkdtemp

import pytest

from gatelab.sweeps.export.recorded import read_file
from gatelab.sweeps.home.home import ClosedHome, Home
from gatelab.sweeps.home.making import make_home
from gatelab.tracking.kept_reads import sweep_record
from gatelab.tracking.mlflow_client import open_client
from gatelab.tracking.mlflow_experiment import check_experiment
from gatelab.tracking.mlflow_moved import follow_artifacts
from gatelab.tracking.mlflow_read import artifacts_of, read_sweep, sweep_names
from gatelab.tracking.recorder import Recorder
from gatelab.tracking.sqlite import default_uri
from gatelab.tracking.store_errors import StoreRefuses, StoreUnavailable, check_writable
from tests.made_sweeps import MadeSweep
from tests.small_disk import read_only
from tests.test_homes import command, spec

NOBODY = 65534


@pytest.fixture
def shared(empty_store: Path) -> Iterator[Path]:
    """A folder with a sweep and a store of root's, which all can reach."""
    folder = Path(mkdtemp())
    folder.chmod(0o755)
    make_home(folder, spec("a"), None, None)
    shutil.copy(empty_store, folder)
    (folder / "mlflow.db").chmod(0o644)
    yield folder
    shutil.rmtree(folder)


@contextmanager
def as_nobody() -> Iterator[None]:
    if os.geteuid():
        pytest.skip("only root can be another user")
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_sweep_of_another_user_is_not_damaged(shared: Path) -> None:
    (shared / "sweeps" / "a" / "places.json").chmod(0o644)
    with as_nobody():
        assert command(shared, "status")[1].splitlines()[1].startswith("a      stopped")
        code, said = command(shared, "resume", "a")
    assert (code, said.count("\n")) == (2, 1)
    home = shared / "sweeps" / "a"
    assert f"{home} cannot be written by the user 'nobody': it belongs to 'root', who" in said
    assert "damaged" not in said


def test_what_cannot_be_read_either(shared: Path) -> None:
    places = shared / "sweeps" / "a" / "places.json"
    with as_nobody():
        (row,) = command(shared, "status")[1].splitlines()[1:]
        assert row.startswith("a      closed") and f"{places} cannot be read by the user" in row
        with pytest.raises(ClosedHome, match="'nobody': it belongs to 'root'"):
            Home(shared, "a")
    (shared / "sweeps").chmod(0o700)
    with as_nobody(), pytest.raises(ClosedHome, match="sweeps cannot be read by the user 'nobody'"):
        Home(shared, "a")
    with as_nobody():
        code, said = command(shared, "status")
    assert (code, said.count("\n")) == (2, 1)
    assert f"gatelab: {shared / 'sweeps'} cannot be read by the user 'nobody'" in said


def test_a_launch_into_another_user_s_folder(shared: Path) -> None:
    shared.chmod(0o777)  # what is in it is not
    with as_nobody():
        with pytest.raises(StoreUnavailable, match="sweeps cannot be written by the user 'nobody'"):
            check_writable(shared)
        with pytest.raises(
            StoreRefuses, match=r"mlflow\.db cannot be written by the user 'nobody'"
        ):
            check_experiment(default_uri(shared), "e", None)
        assert sweep_names(default_uri(shared)) == []


def test_a_store_that_is_written_no_more_is_told_at_once(shared: Path, tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "s.jsonl", uri=default_uri(shared), experiment="e", sweep="s")
    recorder.start_run("s", parent=None, name="s", tags={"sweep": "s"}, params={})
    assert recorder.flush()
    with as_nobody():
        recorder.log_metrics("s", 1, {"loss": 1.0})
        assert not recorder.flush(20.0) and recorder.refused
        assert "mlflow.db cannot be written by the user 'nobody'" in recorder.problem
    assert recorder.flush() and recorder.close()


def test_a_disk_that_is_read_only(tmp_path: Path) -> None:
    with read_only(tmp_path / "runs"):
        with pytest.raises(StoreUnavailable, match="by anybody: its disk is read-only"):
            check_writable(tmp_path / "runs")


def test_what_another_user_has_kept_of_reads_is_read_anew(shared: Path) -> None:
    MadeSweep(shared, "one", gates=("top_k", "softmax"), seeds=3, trials=4)
    first = sweep_record(default_uri(shared), "one")
    (shared / "mlflow.db.reads").chmod(0o700)
    with as_nobody():
        assert sweep_record(default_uri(shared), "one") == first


def test_a_store_that_was_copied_from_where_this_user_may_not_look(shared: Path) -> None:
    (private := shared / "private").mkdir(0o700)
    store, beside = shared / "mlflow.db", shared / "artifacts"
    beside.mkdir()
    store.chmod(0o666)
    shared.chmod(0o777)
    MadeSweep(shared, "one", gates=("top_k", "softmax"), seeds=3, trials=4)
    with closing(sqlite3.connect(store)) as connection, connection:
        address = (private / "artifacts").as_uri()
        connection.execute("UPDATE experiments SET artifact_location = ?", [address])
    with as_nobody():
        follow_artifacts(store)
    with closing(sqlite3.connect(store)) as connection:
        found = connection.execute("SELECT DISTINCT artifact_location FROM experiments").fetchall()
    assert found == [(beside.resolve().as_uri(),)]


@pytest.mark.parametrize("closed", ["weights.csv", "."])
def test_a_recorded_file_that_this_user_may_not_read(closed: str, shared: Path) -> None:
    MadeSweep(shared, "one", gates=("top_k", "softmax"), seeds=3, trials=4)
    run = read_sweep(default_uri(shared), "one").of("gate", "softmax")[0].run_id
    open_client(default_uri(shared)).log_text(run, "target\n", "weights.csv")
    place = Path(artifacts_of(default_uri(shared), run))
    (place / closed).chmod(0o700)
    with as_nobody(), pytest.raises(ValueError, match="^here: ") as raised:
        read_file("here", default_uri(shared), run, "weights.csv")
    said = f"{place / closed} cannot be read by the user 'nobody': it belongs to 'root'"
    assert said in str(raised.value)
