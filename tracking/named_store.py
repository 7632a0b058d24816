"""The store of a sweep in a folder: the one that its launch named, or the folder's own."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from operator import itemgetter
from pathlib import Path
from typing import Any

from gatelab.tracking.sqlite import default_uri

PLACES = "places.json"
"""In a sweep's home: where MLflow and the workers' states are, written last in its making."""
LAUNCHED_MS = "launched_ms"
"""There: when that was, in milliseconds since 1970."""
_LAST_MS = 2**43
"""In the year 2248: a larger number was never written here."""


def store_of(folder: str | Path, sweep: str | None) -> str:
    """Return the tracking URI of a sweep, as far as the folder where it was launched knows it.

    So a sweep is found where it is, as a resume finds it, though the folder has a store too.

    Args:
        folder: Of the sweep.
        sweep: Its name; ``None``: that of the folder which was launched last.

    Raises:
        LookupError: If its home does not say which: that of the folder may have another's record.
        ValueError: If ``folder`` is no path.
    """
    own = default_uri(folder)
    homes = Path(folder) / "sweeps"
    if sweep is None:
        return _newest(homes) or own
    places = homes / sweep / PLACES
    lost = _is_home(homes, sweep) and not os.path.lexists(places)
    found = None if lost else _read(places)
    if found is None:
        raise LookupError(
            f"{places} is {'missing' if lost else 'damaged'}, which names the store of {sweep!r}: "
            "put back what was there, or name the store by `--tracking-uri` (from Python `uri`); "
            f"the folder's own is {own}."
        )
    return found.get("uri") or own


def launched_at(places: Path) -> float:
    """Return when a sweep was launched, in seconds since 1970, as its home says it.

    A home of an older version does not: of that it is the file's time, which a copy changes.

    Args:
        places: The file of its home.

    Raises:
        OSError: If it is not there.
    """
    return _launched(places, _read(places) or {})


def _launched(places: Path, found: Mapping[str, Any]) -> float:
    said = found.get(LAUNCHED_MS)
    if type(said) is int and 0 <= said < _LAST_MS:
        return said / 1000
    return places.stat().st_mtime


def _is_home(homes: Path, sweep: str) -> bool:
    """Return whether a folder is a sweep's, rather than that of all or one elsewhere."""
    named = sweep == os.path.basename(sweep) and sweep.strip(".")
    return bool(named) and os.path.isdir(homes / sweep)


def _newest(homes: Path) -> str | None:
    """Return the store that the last launch named; ``None`` where it named none."""
    read = ((places, _read(places)) for places in homes.glob(f"*/{PLACES}"))
    try:
        known = [(_launched(places, found), found.get("uri")) for places, found in read if found]
    except OSError:  # it may be removed just now, or belong to somebody else
        return None
    return max(known, key=itemgetter(0), default=(0.0, None))[1]


def _read(places: Path) -> dict[str, Any] | None:
    """Return what a home says of its places, empty where it is none; ``None`` where damaged."""
    try:
        content = places.read_bytes()
    except (OSError, ValueError):  # not this user's to read; or a name that no file can have
        return {}
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return None
    named = isinstance(found, dict) and isinstance(found.get("uri", 0), str | None)
    return found if named else None
