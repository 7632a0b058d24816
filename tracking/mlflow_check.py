"""What must be refused before MLflow sees it: it would try for minutes, or write into it."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from typing import NoReturn

import mlflow
import requests
import sqlalchemy
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from mlflow.environment_variables import MLFLOW_ENABLE_WORKSPACES
from mlflow.exceptions import MlflowException
from mlflow.utils.credentials import get_default_host_creds
from mlflow.utils.rest_utils import http_request
from mlflow.utils.workspace_context import get_request_workspace
from sqlalchemy.exc import SQLAlchemyError

from gatelab.tracking.masking import masked
from gatelab.tracking.mlflow_errors import reason, store_errors, why_no_login
from gatelab.tracking.mlflow_tables import EVERY_TABLE, MIGRATIONS, changed_since, half_made
from gatelab.tracking.store_errors import StoreUnavailable, is_database, is_server, is_there

CONNECT_SECONDS, ANSWER_SECONDS = 3.05, 10
"""How long the first request waits for a connection, and for its answer."""
FOR_NOW = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS)
"""What a server or a proxy before it answers that takes the same request later."""
SCRIPTS = ScriptDirectory(str(MIGRATIONS))
HEADS = SCRIPTS.get_heads()
"""The last migration of this MLflow."""
MIGRATING = "_alembic_tmp_"
"""How tables begin in which a migration of SQLite puts rows for a moment."""
OPENING = 0x6761_7465_6C61_6200
"""PostgreSQL's number of the lock that whoever opens a store holds: "gatelab" in bytes."""
REMEDY = (
    "Copy it, and take what you need from the copy; a new store is made where it is moved away, or "
    "in another --folder."
)
TABLES = {"alembic_version", "experiments", "runs"}
"""What every MLflow database has."""


def check_store(uri: str) -> bool:
    """Refuse a store that cannot be used, within seconds and without writing into it.

    Returns:
        Whether it is a database whose tables are still to be made, or to be made anew.

    Raises:
        StoreUnavailable: If a server or a database cannot be used.
    """
    if is_server(uri):
        _check_server(uri)
        return False
    if not is_database(uri):
        return False
    check_workspace(uri)
    return not is_there(uri) or _check_database(uri)


def check_workspace(uri: str) -> None:
    """Refuse a database of which MLflow is told to show no more than one workspace, but not which.

    Raises:
        StoreUnavailable: Such a database, whether or not it is there yet.
    """
    apart = MLFLOW_ENABLE_WORKSPACES.get()  # type: ignore[no-untyped-call]
    if apart and is_database(uri) and get_request_workspace() is None:
        raise StoreUnavailable(
            "MLFLOW_ENABLE_WORKSPACES is set, but MLflow is not told which workspace of "
            f"{masked(uri)} is meant: set MLFLOW_WORKSPACE too (`default` is one), or unset both."
        )


def _check_server(uri: str) -> None:
    """Ask a server what only MLflow can answer."""
    with store_errors(uri):
        login = get_default_host_creds(uri)  # type: ignore[no-untyped-call]
        answer = http_request(  # type: ignore[no-untyped-call]
            login,
            "/api/2.0/mlflow/experiments/search",
            "POST",
            json={"max_results": 1},
            max_retries=0,
            timeout=(CONNECT_SECONDS, ANSWER_SECONDS),
            raise_on_status=False,
        )
    why = _why_no_answer(uri, answer)
    if why:
        raise StoreUnavailable(f"the MLflow server {masked(uri)} {why}")


def _why_no_answer(uri: str, answer: requests.Response) -> str:
    """Return what is wrong with a server's answer; empty where nothing is."""
    code, text = answer.status_code, " ".join(answer.text.split())
    status = f"{code} {answer.reason}"
    if code == HTTPStatus.FORBIDDEN and "Host header" in text:
        return f"knows itself by another name ({status}: {text}); see its --allowed-hosts."
    if code in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return why_no_login(uri, status)
    if code in FOR_NOW or (code >= 500 and code != HTTPStatus.NOT_IMPLEMENTED):
        return f"fails: {status}."
    if not answer.ok or not _is_object(answer.text):
        return f"answers, but not as MLflow does ({status}): is this the address of its first page?"
    return ""


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False


def _check_database(uri: str) -> bool:
    """Look into a database without writing: MLflow adds what tables it misses, and migrates."""
    engine = _engine(uri)
    try:
        with store_errors(uri), engine.connect() as connection:
            tables = set(sqlalchemy.inspect(connection).get_table_names())
            if not tables or half_made(connection):
                return True
            if not tables >= TABLES:
                raise StoreUnavailable(
                    f"{masked(uri)} is no MLflow store: it holds other tables "
                    f"({', '.join(sorted(tables)[:3])}, ...)."
                )
            query = sqlalchemy.text("SELECT version_num FROM alembic_version")
            found = [str(revision) for (revision,) in connection.execute(query) if revision]
            _check_whole(uri, tables, found)
            _check_revision(uri, *found)
            if found[0] not in HEADS:
                _refuse_older(uri, connection, *found)
            return False
    finally:
        engine.dispose()


@contextmanager
def alone_in_postgresql(uri: str) -> Iterator[None]:
    """Let one process at a time make the tables of a PostgreSQL: of two one would fail.

    Raises:
        StoreUnavailable: If it cannot be used.
    """
    if not uri.startswith("postgresql"):
        yield
        return
    engine = _engine(uri)
    try:
        with store_errors(uri):
            held = engine.connect()
            held.execute(sqlalchemy.text(f"SELECT pg_advisory_xact_lock({OPENING})"))
        with held:
            yield
    finally:
        engine.dispose()


@contextmanager
def completing(uri: str) -> Iterator[None]:
    """Say what to do with a half-made database whose tables MLflow cannot complete.

    Raises:
        StoreUnavailable: If what is inside raises, and the database is still half-made.
    """
    try:
        yield
    except (MlflowException, SQLAlchemyError) as error:
        if not _is_half_made(uri):
            raise
        raise StoreUnavailable(
            f"the store {masked(uri)} is half-made: MLflow ended while it made its tables, and "
            f"cannot go on with them ({masked(reason(error))}). There is nothing in them: drop "
            "them, or name another database."
        ) from error


def _is_half_made(uri: str) -> bool:
    engine = _engine(uri)
    try:
        with engine.connect() as connection:
            return half_made(connection)
    except SQLAlchemyError:  # it is the error before that tells
        return False
    finally:
        engine.dispose()


def _engine(uri: str) -> sqlalchemy.Engine:
    patient = uri.startswith(("sqlite", "mssql"))  # these drivers have no such argument
    seconds = {} if patient else {"connect_timeout": round(CONNECT_SECONDS)}
    try:
        return sqlalchemy.create_engine(uri, connect_args=seconds)
    except ModuleNotFoundError as error:
        raise StoreUnavailable(
            f"the store {masked(uri)} needs the Python package {error.name!r}, which is not there."
        ) from error
    except SQLAlchemyError as error:
        raise StoreUnavailable(f"the store {masked(uri)}: {masked(reason(error))}.") from error


def _check_whole(uri: str, tables: Collection[str], revisions: Sequence[str]) -> None:
    """Refuse a database that has runs but is not whole: none that MLflow has made is like it."""
    if not revisions:
        raise StoreUnavailable(
            f"the store {masked(uri)} is half-made: MLflow ended while it made its tables, but "
            f"there are runs in it. {REMEDY}"
        )
    if len(revisions) > 1:
        raise StoreUnavailable(
            f"the store {masked(uri)} is damaged: it says to be of several versions "
            f"({', '.join(revisions)}). {REMEDY}"
        )
    left = sorted(name for name in tables if name.startswith(MIGRATING))
    if left and revisions[0] not in HEADS:
        raise StoreUnavailable(
            f"the store {masked(uri)} is half-migrated (it has {left[0]!r}): restore the copy of "
            f"it that was made before. {REMEDY}"
        )
    lacking = sorted(EVERY_TABLE - set(tables)) if revisions[0] in HEADS else []
    if lacking:
        raise StoreUnavailable(
            f"the store {masked(uri)} is damaged: it lacks the table {lacking[0]!r}. {REMEDY}"
        )


def _check_revision(uri: str, found: str) -> None:
    """Compare the migration that a database is at with the last one of this MLflow."""
    ours = mlflow.__version__
    if found in HEADS:
        return
    try:
        SCRIPTS.get_revision(found)
    except CommandError as error:
        raise StoreUnavailable(
            f"the store {masked(uri)} was written by a newer MLflow than this one, {ours} "
            f"(schema {found}): install that one, or launch into another --folder."
        ) from error


def _refuse_older(uri: str, connection: sqlalchemy.Connection, found: str) -> NoReturn:
    """Tell a database that is to be migrated from one whose migration was killed."""
    ours = mlflow.__version__
    half = changed_since(connection, found) if uri.startswith("sqlite") else None
    if half is not None:
        raise StoreUnavailable(
            f"the store {masked(uri)} is half-migrated (schema {found}, but {half!r} is of a later "
            "one), and cannot be migrated any more: restore the copy of it that was made before. "
            f"{REMEDY}"
        )
    raise StoreUnavailable(
        f"the store {masked(uri)} was written by an older MLflow than this one, {ours} "
        f"(schema {found}): copy it, then `mlflow db upgrade {masked(uri)}` brings it up to date."
    )
