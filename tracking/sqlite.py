"""SQLite's addresses: a file's path as MLflow's tracking URI, and back."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote, unquote

PLAIN = "sqlite:///"
ESCAPED = "sqlite+pysqlite:///file:"
"""For a path with a ``?``, where SQLAlchemy ends a plain one. With the driver's name, without which
MLflow takes ``file:`` for a folder and makes it."""


def default_uri(folder: str | Path) -> str:
    """Return the tracking URI of a SQLite store in a folder."""
    return sqlite_uri(Path(folder) / "mlflow.db")


def sqlite_uri(path: str | Path) -> str:
    """Return the tracking URI of a file."""
    place = str(Path(path).resolve())
    return f"{ESCAPED}{quote(place)}?uri=true" if "?" in place else f"{PLAIN}{place}"


def sqlite_path(uri: str) -> Path | None:
    """Return the file of a tracking URI; ``None`` for any other store than SQLite's."""
    scheme, _, rest = uri.partition(":///")
    if scheme.partition("+")[0] != "sqlite":
        return None
    path = rest.partition("?")[0]
    if path in ("", ":memory:"):
        return None
    return Path(unquote(path.removeprefix("file:")) if path.startswith("file:") else path)


def absolute(uri: str) -> str:
    """Return a tracking URI that leads to the same store from any folder."""
    path = sqlite_path(uri)
    plain = uri.startswith(PLAIN) and "?" not in uri
    return sqlite_uri(path) if plain and path is not None else uri
