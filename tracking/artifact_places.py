"""Where the artifacts of a store without a server lie, and whether its tables can say so."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from gatelab.tracking.masking import masked
from gatelab.tracking.store_errors import StoreRefuses, is_database

LONGEST = 200
"""Characters of the address of a run's artifacts in MLflow's tables; SQLite does not count them."""
OF_A_RUN = len(f"/{32 * 'f'}/artifacts")
"""Characters that MLflow adds to an experiment's address for that of a run."""


def artifacts_folder(folder: str | Path, uri: str) -> Path | None:
    """Return where a folder has a store's artifacts; ``None`` where the store has its own place."""
    return Path(folder).resolve() / "artifacts" if is_database(uri) else None


def check_location(uri: str, address: str) -> None:
    """Refuse an experiment whose runs a database cannot note.

    Args:
        uri: MLflow's tracking URI.
        address: Of the experiment's artifacts.

    Raises:
        StoreRefuses: If the address of a run's artifacts is too long for a column.
    """
    length = len(address) + OF_A_RUN
    if length > LONGEST and is_database(uri) and not uri.startswith("sqlite"):
        raise StoreRefuses(
            f"the address of its artifacts, {address}/<run>/artifacts, may have {LONGEST} "
            f"characters in {masked(uri)}, but has {length}: name a --folder of a shorter path."
        )


def check_not_moved(uri: str, address: str, artifacts: Path) -> None:
    """Refuse an experiment whose artifacts would be written where they no longer lie.

    Args:
        uri: MLflow's tracking URI.
        address: Of the experiment's artifacts.
        artifacts: The folder that has some of them.

    Raises:
        StoreRefuses: If the address leads to a folder that is gone.
    """
    parts = urlsplit(address)
    old = Path(unquote(parts.path))
    if parts.scheme == "file" and not old.exists():
        raise StoreRefuses(
            f"the folder of its artifacts, {artifacts}, was moved, but {masked(uri)} looks for "
            f"them in {old}, which is gone: move it back, or make that a link to it (`ln -s`)."
        )
