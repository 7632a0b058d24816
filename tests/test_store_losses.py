"""Stores that lost what they were given: told before anything runs, and nothing is dropped."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow.exceptions import RestException
from mlflow.tracking._tracking_service import utils

from gatelab.tracking.mlflow_client import open_client
from gatelab.tracking.mlflow_read import history, read_artifact, read_sweep, sweep_links
from gatelab.tracking.mlflow_rejected import rejected
from gatelab.tracking.mlflow_store import Store
from gatelab.tracking.recorder import Recorder
from gatelab.tracking.sqlite import default_uri
from gatelab.tracking.store_errors import StoreRefuses
from tests.small_disk import read_only


@pytest.fixture
def uri(empty_store: Path, tmp_path: Path) -> str:
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    return default_uri(tmp_path)


@pytest.fixture
def taken(uri: str, tmp_path: Path) -> Iterator[Recorder]:
    """A recorder whose sweep and one run of it are delivered."""
    recorder = Recorder(tmp_path / "s.jsonl", uri=uri, experiment="e", sweep="s")
    for identity, parent in (("s", None), ("s/a", "s")):
        tags = {"sweep": "s", "stage": "evaluate"}
        recorder.start_run(identity, parent=parent, name=identity, tags=tags, params={"k": 2})
    recorder.log_metrics("s/a", 1, {"loss": 1.0})
    assert recorder.flush()
    yield recorder
    recorder.close()


def ids(uri: str) -> dict[str, str]:
    return {run.name: run.run_id for run in read_sweep(uri, "s", trials=True).runs}


def test_records_wait_while_the_experiment_is_deleted(uri: str, taken: Recorder) -> None:
    client = open_client(uri)
    experiment = client.get_experiment_by_name("e").experiment_id
    run = ids(uri)["s/a"]
    client.delete_experiment(experiment)
    taken.log_metrics("s/a", 2, {"loss": 2.0})
    taken.end_run("s/a", "FINISHED", {"end": "finished"})
    assert not taken.flush(30.0)
    assert f"restore --experiment-id {experiment}" in taken.problem
    client.restore_experiment(experiment)
    assert taken.flush(30.0)
    assert history(uri, run, "loss") == [(1, 1.0), (2, 2.0)]


@pytest.mark.parametrize("identity", ["s", "s/a"])
def test_records_wait_while_a_run_is_deleted(identity: str, uri: str, taken: Recorder) -> None:
    client, run = open_client(uri), ids(uri)[identity]
    client.delete_run(run)
    taken.set_tags(identity, {"end": "finished"})
    assert not taken.flush(30.0)
    assert f"`mlflow runs restore --run-id {run}`" in taken.problem
    assert "`gatelab resume s --redeliver`" in taken.problem
    client.restore_run(run)
    assert taken.flush(30.0)
    assert client.get_run(run).data.tags["end"] == "finished"


@pytest.mark.parametrize("taken_again", [False, True])
def test_an_experiment_that_was_renamed_is_not_made_anew(
    taken_again: bool, uri: str, taken: Recorder, tmp_path: Path
) -> None:
    """Nor is its sweep written into another that has its name since."""
    client = open_client(uri)
    experiment = client.get_experiment_by_name("e").experiment_id
    taken.close()
    client.rename_experiment(experiment, "mine")
    if taken_again:
        client.create_experiment("e")
    again = Recorder(tmp_path / "s.jsonl", uri=uri, experiment="e", sweep="s")
    again.log_metrics("s/a", 3, {"loss": 3.0})
    assert not again.flush(30.0)
    assert "the experiment 'e', which has the run 's', is called 'mine' now" in again.problem
    assert f"`mlflow experiments rename --experiment-id {experiment} --new-name e`" in again.problem
    assert (client.get_experiment_by_name("e") is not None) is taken_again
    if not taken_again:
        client.rename_experiment(experiment, "e")
        assert again.flush(60.0)
    again.close()


def test_what_was_delivered_and_is_gone_is_told(uri: str, taken: Recorder) -> None:
    """Also of a run to which nothing is written any more."""
    taken.check_all_there()
    client, run = open_client(uri), ids(uri)["s/a"]
    client.delete_run(run)
    with pytest.raises(StoreRefuses, match=f"`mlflow runs restore --run-id {run}`"):
        taken.check_all_there()
    client.restore_run(run)
    taken.check_all_there()
    client.delete_tag(run, "sweep")  # as good as gone: no comparison would find it
    with pytest.raises(StoreRefuses, match="does not have the run 's/a'"):
        taken.check_all_there()


def test_records_wait_while_artifacts_are_read_only(uri: str, tmp_path: Path) -> None:
    """It is said at once, not after five minutes in which nothing could have come of waiting."""
    (tmp_path / "a.txt").write_text("one")
    artifacts = tmp_path / "artifacts"
    with read_only(artifacts):
        recorder = Recorder(
            tmp_path / "s.jsonl", uri=uri, experiment="e", sweep="s", artifacts=artifacts
        )
        tags = {"sweep": "s", "stage": "sweep"}
        recorder.start_run("s", parent=None, name="s", tags=tags, params={})
        recorder.log_artifact("s", tmp_path / "a.txt")
        recorder.end_run("s", "FINISHED", {})
        assert not recorder.flush(30.0) and recorder.refused
        assert "artifacts cannot be written (Read-only file system: /" in recorder.problem
    assert recorder.flush(60.0) and recorder.close()
    assert read_artifact(uri, ids(uri)["s"], "a.txt") == b"one"


def test_a_copy_writes_nothing_into_what_it_was_copied_from(uri: str, tmp_path: Path) -> None:
    def recorded(folder: Path, *files: str) -> None:
        utils._artifact_repos_cache.clear()  # as in a process of its own
        recorder = Recorder(
            folder / "s.jsonl",
            uri=default_uri(folder),
            experiment="e",
            sweep="s",
            artifacts=folder / "artifacts",
        )
        recorder.start_run("s", parent=None, name="s", tags={"sweep": "s"}, params={})
        for name in files:
            (tmp_path / name).write_text(name)
            recorder.log_artifact("s", tmp_path / name)
        assert recorder.close()

    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    shutil.move(tmp_path / "mlflow.db", first)
    recorded(first, "one")
    shutil.copytree(first, second)
    recorded(second, "two")
    found = [sorted(p.name for p in f.glob("artifacts/*/*/*")) for f in (first, second)]
    assert found == [["one"], ["one", "two"]]


def test_a_bad_value_alone_is_dropped_and_named(
    uri: str, taken: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    taken.log_params("s/a", {"k": 3})  # MLflow changes no param
    taken.log_metrics("s/a", 2, {"loss": 2.0})
    assert taken.flush(30.0)
    assert "MLflow refused params of s/a" in caplog.text
    assert history(uri, ids(uri)["s/a"], "loss") == [(1, 1.0), (2, 2.0)]


def test_halves_of_characters_and_nul_are_replaced(uri: str, taken: Recorder) -> None:
    """As texts of a user's errors have: no database takes the one, PostgreSQL not the other."""
    bad, kept = "a\udcffb\0c", "a?b?c"
    tags = {"sweep": "s", "stage": "evaluate", "what": bad}
    taken.start_run("s/b", parent="s", name="s/b", tags=tags, params={"own": bad})
    taken.set_tags("s/a", {"end_reason": bad})
    assert taken.flush(30.0)
    found = {run.name: run for run in read_sweep(uri, "s", trials=True).runs}
    assert found["s/b"].tags["what"] == found["s/b"].params["own"] == kept
    assert found["s/a"].tags["end_reason"] == kept


@pytest.mark.parametrize(
    ("code", "text", "expected"),
    [
        ("BAD_REQUEST", "(psycopg.errors.StringDataRightTruncation) value too long", True),
        ("BAD_REQUEST", "(pymysql.err.DataError) (1406, 'Data too long for column')", True),
        ("BAD_REQUEST", "QueuePool limit of size 5 overflow 10 reached", False),
        ("INVALID_PARAMETER_VALUE", "Changing param values is not allowed", True),
        ("INTERNAL_ERROR", "(psycopg.errors.StringDataRightTruncation) value too long", False),
        ("TEMPORARILY_UNAVAILABLE", "(sqlite3.OperationalError) database is locked", False),
    ],
)
def test_what_a_server_will_never_take(code: str, text: str, expected: bool) -> None:
    assert rejected(RestException({"error_code": code, "message": text})) is expected


def test_a_store_that_is_another_one(
    uri: str, taken: Recorder, tmp_path: Path, empty_store: Path
) -> None:
    taken.log_metrics("s/a", 2, {"loss": 2.0})
    assert taken.flush()
    taken.close()
    (tmp_path / "b").mkdir()
    shutil.copy(empty_store, tmp_path / "b" / "mlflow.db")
    other = default_uri(tmp_path / "b")
    again = Recorder(tmp_path / "s.jsonl", uri=other, experiment="e", sweep="s")
    again.log_metrics("s/a", 3, {"loss": 3.0})
    assert not again.flush(30.0)
    assert "does not have the run 's', which was delivered" in again.problem
    again.close()
    anew = Recorder(tmp_path / "s.jsonl", uri=other, experiment="e", sweep="s", redeliver=True)
    assert anew.close()
    assert history(other, ids(other)["s/a"], "loss") == [(e, float(e)) for e in (1, 2, 3)]


def test_a_store_that_is_deleted_or_replaced_is_told_at_once(
    uri: str, taken: Recorder, tmp_path: Path, empty_store: Path
) -> None:
    """SQLite calls it read-only, and goes on reading what is no longer there."""
    path, away = tmp_path / "mlflow.db", tmp_path / "away.db"
    path.rename(away)
    taken.log_metrics("s/a", 2, {"loss": 2.0})
    assert not taken.flush(20.0) and taken.refused
    assert f"the store {uri}, which has the record of 's', is gone: restore it" in taken.problem
    assert "`gatelab resume s --redeliver`" in taken.problem and not path.exists()
    shutil.copy(empty_store, path)
    assert not taken.flush(20.0) and taken.refused
    assert "does not have the run 's', which was delivered: it is another" in taken.problem
    shutil.copy(away, tmp_path / "copy.db")
    (tmp_path / "copy.db").replace(path)  # another file than was opened, with all in it
    assert taken.flush(20.0)
    assert history(uri, ids(uri)["s/a"], "loss") == [(1, 1.0), (2, 2.0)]


def test_a_store_that_is_made_again_in_one_process_is_opened_anew(tmp_path: Path) -> None:
    """As in a notebook whose folder was deleted between two launches."""
    uri = default_uri(tmp_path)
    Store(uri, "first")
    (tmp_path / "mlflow.db").unlink()
    Store(uri, "second")
    names = {it.name for it in open_client(uri).search_experiments()}
    assert "second" in names and "first" not in names


def test_a_sweep_that_was_deleted_is_told_by_who_only_reads(uri: str, taken: Recorder) -> None:
    client = open_client(uri)
    experiment = client.get_experiment_by_name("e").experiment_id
    client.delete_experiment(experiment)
    for read_it in (read_sweep, sweep_links):
        with pytest.raises(LookupError, match="since the experiment 'e' was deleted in ") as why:
            read_it(uri, "s")
        assert f"`mlflow experiments restore --experiment-id {experiment}` brings" in str(why.value)
    client.restore_experiment(experiment)
    own = ids(uri)["s"]
    for run in ids(uri).values():
        client.delete_run(run)
    with pytest.raises(LookupError, match=f"`mlflow runs restore --run-id {own}` brings back"):
        read_sweep(uri, "s")
    with pytest.raises(LookupError, match="no sweep 't' in "):
        read_sweep(uri, "t")
    client.restore_run(own)
    assert read_sweep(uri, "s").runs


def test_artifacts_are_not_written_where_a_moved_folder_lay(uri: str, tmp_path: Path) -> None:
    """A store that lies elsewhere, as a PostgreSQL, is not moved with them."""
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()

    def recorder(folder: Path) -> Recorder:
        (folder / "a.txt").write_text("one")
        where = {"uri": uri, "experiment": "e", "sweep": "s", "artifacts": folder / "artifacts"}
        taken = Recorder(folder / "s.jsonl", home=folder, **where)  # type: ignore[arg-type]
        taken.start_run("s", parent=None, name="s", tags={"sweep": "s"}, params={})
        taken.log_artifact("s", folder / "a.txt")
        return taken

    assert recorder(old).close()
    old.rename(new)
    again = recorder(new)
    assert not again.flush(30.0) and again.refused
    assert f"looks for them in {old}/artifacts, which is gone: move it back" in again.problem
    assert not old.exists()
    old.symlink_to(new)
    assert again.flush(30.0) and again.close()
