"""The tables of a new store, made whole or not at all."""

from __future__ import annotations

import glob
import time
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

import mlflow
import mlflow.store.model_registry.dbmodels.models
import mlflow.store.tracking.dbmodels.models
import mlflow.store.workspace.dbmodels.models  # noqa: F401 - so that Base knows all tables
import sqlalchemy
from alembic import command
from alembic.config import Config
from mlflow.store.db.base_sql_model import Base
from mlflow.store.tracking.dbmodels.initial_models import Base as InitialBase

from gatelab.durable import settled_as
from gatelab.tracking.sqlite import sqlite_uri

MIGRATIONS = Path(mlflow.__file__).parent / "store" / "db_migrations"
EVERY_TABLE = frozenset(Base.metadata.tables)
"""The names of all of this MLflow's."""
VALUED = ("experiments", "runs", "registered_models")
"""Tables of which each store that was ever used has a row."""
SETTLE_SECONDS = 3.0
"""How long the tables of a half-made store must be as they are: another may be making them."""


def half_made(connection: sqlalchemy.Connection) -> bool:
    """Return whether a database has MLflow's tables only, not yet all, and nothing in them."""
    first = _tables(connection)
    if not first or not _is_beginning(connection, first):
        return False
    time.sleep(SETTLE_SECONDS)
    connection.rollback()  # or it would see what it has seen
    return _tables(connection) == first and _is_beginning(connection, first)


def _tables(connection: sqlalchemy.Connection) -> set[str]:
    return set(sqlalchemy.inspect(connection).get_table_names())


def _is_beginning(connection: sqlalchemy.Connection, found: set[str]) -> bool:
    ours = {*EVERY_TABLE, *InitialBase.metadata.tables}
    if any(name not in ours and not name.startswith(("alembic_", "_alembic_")) for name in found):
        return False
    if found >= EVERY_TABLE:
        return False
    counts = (
        sqlalchemy.text(f"SELECT COUNT(*) FROM {table}") for table in VALUED if table in found
    )
    return not any(connection.execute(count).scalar() for count in counts)


def make_tables(path: Path) -> None:
    """Make a SQLite store, over an empty or half-made one too."""
    place = path.resolve()
    for file in place.parent.glob(f"{glob.escape(place.name)}.draft*"):  # of those killed
        with suppress(OSError):
            file.unlink()
    draft = place.with_name(f"{place.name}.draft-{uuid4().hex[:8]}")
    try:
        _migrate(draft)
        for file in _with_journals(place)[1:]:  # which would be taken for the new one's
            file.unlink(missing_ok=True)
        settled_as(draft, place)
    finally:
        for file in _with_journals(draft):
            file.unlink(missing_ok=True)


def _with_journals(path: Path) -> list[Path]:
    return [path.with_name(path.name + end) for end in ("", "-journal", "-wal", "-shm")]


def changed_since(connection: sqlalchemy.Connection, revision: str) -> str | None:
    """Return a table that a later change than a revision has made or widened, if there is one.

    A migration of SQLite that was killed leaves such, and then can neither go on nor begin anew.
    """
    with TemporaryDirectory() as folder:
        path = Path(folder) / "then.db"
        _migrate(path, revision)
        engine = sqlalchemy.create_engine(sqlite_uri(path))
        try:
            with engine.connect() as made:
                then = _columns(made)
        finally:
            engine.dispose()
    now = _columns(connection)
    ours = (name for name in sorted(now) if name in EVERY_TABLE)
    return next((name for name in ours if now[name] - then.get(name, set())), None)


def _columns(connection: sqlalchemy.Connection) -> dict[str, set[str]]:
    inspector = sqlalchemy.inspect(connection)
    tables = inspector.get_table_names()
    return {name: {str(it["name"]) for it in inspector.get_columns(name)} for name in tables}


def _migrate(path: Path, revision: str = "heads") -> None:
    """Make tables as MLflow does: its first ones, and every change since, up to a revision."""
    engine = sqlalchemy.create_engine(sqlite_uri(path))
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    try:
        InitialBase.metadata.create_all(engine)
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, revision)
    finally:
        engine.dispose()
