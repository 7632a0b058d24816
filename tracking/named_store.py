"""The store of a sweep in a folder: the one that its launch named, or the folder's own."""

from __future__ import annotations

import json
from pathlib import Path

from gatelab.tracking.sqlite import default_uri

PLACES = "places.json"
"""In a sweep's home: where MLflow and the workers' states are, written last in its making."""


def store_of(folder: str | Path, sweep: str) -> str:
    """Return the tracking URI of a sweep, as far as the folder where it was launched knows it.

    So a sweep is found where it is, as a resume finds it, though the folder has a store too.

    Raises:
        ValueError: If ``folder`` is no path.
    """
    own = default_uri(folder)
    return _named(Path(folder) / "sweeps" / sweep / PLACES) or own


def _named(places: Path) -> str | None:
    try:
        uri = json.loads(places.read_bytes())["uri"]
    except (OSError, ValueError, TypeError, LookupError, RecursionError):
        return None  # what is wrong with a home is said by the commands that go on with it
    return uri if isinstance(uri, str) else None
