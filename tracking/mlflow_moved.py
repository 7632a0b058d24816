"""Artifacts of a store that was moved or copied: MLflow notes of every run where they lay."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from urllib.parse import unquote, urlsplit

import sqlalchemy
from sqlalchemy.exc import SQLAlchemyError

from gatelab.tracking.sqlite import sqlite_uri

COLUMNS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)
"""Where MLflow notes addresses of artifacts."""


def follow_artifacts(path: Path) -> None:
    """Let a SQLite store find the folder ``artifacts`` beside it, where it lay beside it before.

    Only addresses are changed that lead to a folder which is gone, or lies where this user may not
    look, or has runs that the one beside the store has too: this is a copy then, and must not write
    into what it was copied from.
    """
    place = path.resolve().parent / "artifacts"
    if not place.is_dir():
        return
    engine = sqlalchemy.create_engine(sqlite_uri(path))
    try:
        with suppress(SQLAlchemyError), engine.begin() as connection:  # it may be read-only
            query = sqlalchemy.text("SELECT DISTINCT artifact_location FROM experiments")
            for (old,) in connection.execute(query).all():
                if old and old != place.as_uri() and _was_left(old, place):
                    _change(connection, old, place.as_uri())
    finally:
        engine.dispose()


def _was_left(address: str, place: Path) -> bool:
    parts = urlsplit(address)
    path = Path(unquote(parts.path))
    if parts.scheme != "file" or path.name != "artifacts":
        return False
    return not os.path.exists(path) or bool(_runs(path) & _runs(place))


def _runs(artifacts: Path) -> set[str]:
    """Return the runs that have files in a folder, whose names no two runs share."""
    return {path.name for path in artifacts.glob(32 * "[0-9a-f]")}


def _change(connection: sqlalchemy.Connection, old: str, new: str) -> None:
    for table, column in COLUMNS:
        update = sqlalchemy.text(
            f"UPDATE {table} SET {column} = :new || substr({column}, :length + 1) "
            f"WHERE {column} = :old OR substr({column}, 1, :length + 1) = :old || '/'"
        )
        connection.execute(update, {"old": old, "new": new, "length": len(old)})
