"""Edits of a sweep's spec after its launch: a resume goes on with what was launched, or not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gatelab.rules import written
from gatelab.sweeps.home.files import LAUNCHED
from gatelab.sweeps.home.home import DamagedHome, Home
from gatelab.sweeps.spec.faults import raise_faults
from gatelab.sweeps.spec.spec import SpecError
from gatelab.sweeps.spec.spec_file import read_spec_file
from gatelab.tracking.schema import Artifacts

EDITABLE = ("resources", "tracking")
"""Sections that may be edited: they say where models train and what is seen of it, not which."""
KEYS_OF_ALL = {"name", "task", "gates"}
"""Keys that every spec has: without them a file was cut off, or is another."""
NOTHING = object()
"""What a key has that is not there."""


def check_unedited(home: Home) -> None:
    """Refuse a spec that was edited since its launch: what was trained would not be of it.

    Raises:
        DamagedHome: If what the home keeps cannot be read.
        SpecError: With each key that has another value.
    """
    kept, spec = home.path / LAUNCHED, home.path / Artifacts.SPEC
    instead = "Put it back, or launch that file under another name (`--name`)."
    raise_faults(
        (path, f"was {_told(was)} at the launch, but is {_told(now)} in {spec}. {instead}")
        for path, was, now in _changes(_read(home, kept), _read(home, spec))
        if path.partition(".")[0] not in EDITABLE
    )


def _read(home: Home, path: Path) -> dict[Any, Any]:
    try:
        found = read_spec_file(path)
    except SpecError as error:
        raise DamagedHome(home.name, str(error)) from error
    if not (isinstance(found, dict) and found.keys() >= KEYS_OF_ALL):
        raise DamagedHome(home.name, f"{path} is no whole spec.")
    return found


def _changes(was: Any, now: Any, at: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Yield where two specs differ, and what each has there."""
    if not (isinstance(was, dict) and isinstance(now, dict)):
        if was != now and repr(was) != repr(now):  # NaN is what it was
            yield at, was, now
        return
    for key in {**was, **now}:
        here = f"{at}.{key}" if at else str(key)
        yield from _changes(was.get(key, NOTHING), now.get(key, NOTHING), here)


def _told(value: Any) -> str:
    return "left out" if value is NOTHING else written(value)
