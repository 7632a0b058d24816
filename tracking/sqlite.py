"""SQLite's addresses: a file's path as MLflow's tracking URI, and back."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote

from gatelab.rules import check_paths

PLAIN, ESCAPED = "sqlite:///", "sqlite+pysqlite:///"
"""How addresses begin; with the driver's name where a path is escaped, or MLflow, which does not
decode it there, would make the folders that it seems to name."""


def default_uri(folder: str | Path) -> str:
    """Return the tracking URI of a SQLite store in a folder.

    Raises:
        ValueError: If that is no path.
    """
    check_paths(folder=folder)
    return sqlite_uri(Path(folder) / "mlflow.db")


def sqlite_uri(path: str | Path) -> str:
    """Return the tracking URI of a file."""
    place = str(Path(path).resolve())
    escaped = place.replace("%", "%25").replace("?", "%3F")  # all that SQLAlchemy reads otherwise
    return f"{PLAIN if escaped == place else ESCAPED}{escaped}"


def sqlite_path(uri: str) -> Path | None:
    """Return the file of a tracking URI; ``None`` for any other store than SQLite's."""
    scheme, _, rest = uri.partition(":///")
    if scheme.partition("+")[0] != "sqlite":
        return None
    path = rest.partition("?")[0]
    if path in ("", ":memory:"):
        return None
    return Path(unquote(path))


def absolute(uri: str) -> str:
    """Return a tracking URI that leads to the same store from any folder."""
    path, (head, mark, options) = sqlite_path(uri), uri.partition("?")
    if path is None or path.is_absolute() or str(path).startswith("file:"):
        return uri
    own, scheme = sqlite_uri(path).partition(":///"), head.partition(":///")[0]
    return f"{own[0] if scheme == 'sqlite' else scheme}:///{own[2]}{mark}{options}"
