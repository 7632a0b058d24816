"""Stores that cannot be used: the error, and how it names them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from gatelab.permissions import WRITING, closed
from gatelab.tracking.sqlite import sqlite_path

LONGEST_EXPERIMENT = 256
"""Characters of an experiment's name in MLflow's tables, though its own check says 500."""


DATABASES = ("sqlite", "postgresql", "mysql", "mssql")


class StoreUnavailable(Exception):
    """A store cannot be used; its one line says which, why, and what to do."""


class StoreRefuses(StoreUnavailable):
    """A store answers, but takes nothing of a sweep, however often it is asked."""


def check_experiment_name(name: str) -> None:
    """Refuse the name of an experiment that MLflow cannot store.

    Raises:
        ValueError: If it is too long or empty, or holds what no database takes or no one sees.
    """
    if not 0 < len(name) <= LONGEST_EXPERIMENT:
        shown = f"{name[:20]}..." if name else "an empty one"
        raise ValueError(
            f"must have 1 to {LONGEST_EXPERIMENT} characters, but got {len(name)} ({shown})."
        )
    if not name.isprintable() or name.isspace():
        raise ValueError(f"must be signs that can be printed, but got {name[:60]!a}.")


def is_server(uri: str) -> bool:
    """Return whether a tracking URI is the address of a server."""
    return urlsplit(uri).scheme in ("http", "https")


def is_database(uri: str) -> bool:
    """Return whether a tracking URI is the address of a database, which has no server before it."""
    return uri.partition(":")[0].partition("+")[0] in DATABASES


def is_there(uri: str) -> bool:
    """Return whether a store can hold anything: to ask a missing SQLite file would make it."""
    path = sqlite_path(uri)
    return path is None or path.exists()


def check_there(uri: str) -> None:
    """Refuse a SQLite store that is not there yet.

    Raises:
        StoreUnavailable: If its file is missing.
    """
    if not is_there(uri):
        raise StoreUnavailable(f"there is no store {uri} yet; `gatelab launch` makes it.")


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turn what keeps a folder from being written into one line.

    Raises:
        StoreUnavailable: If anything inside raises an :class:`OSError`.
    """
    try:
        yield
    except OSError as error:
        message = f"the folder {folder} cannot be written: {error.strerror}."
        raise StoreUnavailable(message) from error


def check_writable(folder: Path) -> None:
    """Refuse a folder in which nothing can be made, without making anything.

    Raises:
        StoreUnavailable: If it, or what it is to be made in, is no folder or cannot be written.
    """
    place = folder.absolute()
    while not os.path.lexists(place):
        place = place.parent
    if not place.is_dir():
        raise StoreUnavailable(f"the folder {folder} cannot be made: {place} is no folder.")
    if why := closed([place, folder / "sweeps", folder / "spool"], WRITING):
        raise StoreUnavailable(f"the folder {folder} cannot be written: {why}")


def check_store_writable(uri: str) -> None:
    """Refuse a SQLite store that this user may not write, or beside which no journal can be.

    Raises:
        StoreRefuses: Such a store.
    """
    path = sqlite_path(uri)
    if path is not None and (why := closed([path, path.absolute().parent], WRITING)):
        raise StoreRefuses(f"the store {uri} cannot be used: {why}")


def without_login(address: str) -> str:
    """Return a server's address without user, password and a slash at its end."""
    parts = urlsplit(address)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path.rstrip("/"), "", ""))
