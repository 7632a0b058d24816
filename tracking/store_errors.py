"""Stores that cannot be used: the error, and how it names them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

SQLITE = "sqlite:///"


class StoreUnavailable(Exception):
    """A store cannot be used; its one line says which, why, and what to do."""


def is_server(uri: str) -> bool:
    """Return whether a tracking URI is the address of a server."""
    return urlsplit(uri).scheme in ("http", "https")


def is_there(uri: str) -> bool:
    """Return whether a store can hold anything: to ask a missing SQLite file would make it."""
    path = uri.removeprefix(SQLITE).partition("?")[0]
    return not uri.startswith(SQLITE) or Path(path).exists()


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


def masked(text: str) -> str:
    """Return a text with asterisks for the passwords of all URIs in it."""
    text = re.sub(r"(://[^:/@\s]*):\S*@", r"\1:***@", text)
    return re.sub(r"(?i)\b(password|passwd|pwd|token|secret)=[^&\s'\"]+", r"\1=***", text)


def without_login(address: str) -> str:
    """Return a server's address without user, password and a slash at its end."""
    parts = urlsplit(address)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path.rstrip("/"), "", ""))
