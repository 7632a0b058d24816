"""The store of a sweep in a folder: the one that its launch named, or the folder's own."""

from __future__ import annotations

import json
from pathlib import Path

from gatelab.tracking.sqlite import default_uri

PLACES = "places.json"
"""In a sweep's home: where MLflow and the workers' states are, written last in its making."""


def store_of(folder: str | Path, sweep: str | None) -> str:
    """Return the tracking URI of a sweep, as far as the folder where it was launched knows it.

    So a sweep is found where it is, as a resume finds it, though the folder has a store too.

    Args:
        folder: Of the sweep.
        sweep: Its name; ``None``: that of the folder whose store was named last.

    Raises:
        ValueError: If ``folder`` is no path.
    """
    own = default_uri(folder)
    homes = Path(folder) / "sweeps"
    places = _newest(homes) if sweep is None else homes / sweep / PLACES
    return (_named(places) if places else None) or own


def _newest(homes: Path) -> Path | None:
    try:
        return max(homes.glob(f"*/{PLACES}"), key=lambda it: it.stat().st_mtime_ns, default=None)
    except OSError:  # it may be removed just now, or belong to somebody else
        return None


def _named(places: Path) -> str | None:
    try:
        uri = json.loads(places.read_bytes())["uri"]
    except (OSError, ValueError, TypeError, LookupError, RecursionError):
        return None  # what is wrong with a home is said by the commands that go on with it
    return uri if isinstance(uri, str) else None
