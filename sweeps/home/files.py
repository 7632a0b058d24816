"""The files of a home: each of them a file, each folder a folder, which this user can use."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from gatelab.permissions import WRITING, closed
from gatelab.sweeps.cluster.shipping import CODE
from gatelab.sweeps.cluster.storage import AT_RUNGS, STATES
from gatelab.tracking.journal import position_file
from gatelab.tracking.named_store import PLACES
from gatelab.tracking.schema import Artifacts

LAUNCHED = "launched.yaml"
"""The spec as it was launched, by which a resume knows whether it was edited."""
STUDIES = "studies.journal"
"""What every search has asked and been told."""
RUN_PARTS = "parts.jsonl"
"""What ran each part of the sweep, a line each."""
BEFORE = "before.json"
"""The sweeps that this one goes on from, the first first, where it does."""
RECORDS = "records.jsonl"
"""Of a home that is being made what its spool begins with."""
LOCK, FINISHED, INCOMPLETE = "lock", "finished", "incomplete"
FILES = (PLACES, Artifacts.SPEC, LAUNCHED, STUDIES, RUN_PARTS, BEFORE, LOCK, FINISHED, INCOMPLETE)
FOLDERS = ("files", "report", "models", Artifacts.TRACES, CODE, STATES, AT_RUNGS)
_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISREG, "a file"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
)


def gates_files(home: Path, label: str) -> Path:
    """Return the folder of what a gate, or a row of it, leaves."""
    return home / "files" / label


def scores_file(home: Path, label: str, number: int) -> Path:
    """Return where it is kept how an evaluation ended, by its number."""
    return gates_files(home, label) / f"evaluation-{number}.json"


def closed_home(home: Path, spool: Path, how: int) -> str:
    """Return what of a home, or of its spool, this user may not read or write; empty: nothing.

    Args:
        home: Its folder.
        spool: Its spool, which lies elsewhere.
        how: As :func:`gatelab.permissions.closed` takes it.
    """
    own = _everything(home) if how == WRITING else (home / name for name in (*FILES, *FOLDERS))
    return closed((home, *own, spool.parent, spool, position_file(spool)), how)


def fault_of_home(home: Path, spool: Path) -> str:
    """Return what of a home is of no use; empty: nothing. To open a pipe would never end.

    Args:
        home: Its folder.
        spool: Its spool, which lies elsewhere.
    """
    files = (*(home / name for name in FILES), spool, position_file(spool))
    folders = (home / name for name in FOLDERS)
    found = (*(_fault(it, "a file") for it in files), *(_fault(it, "a folder") for it in folders))
    return next(filter(None, found), "")


def fault_within(home: Path) -> str:
    """Return what anywhere in a home is neither file nor folder."""
    return next(filter(None, map(_unusable, _everything(home))), "")


def is_half_made(path: Path) -> bool:
    """Return whether a folder is what a launch left that ended before its sweep had a home."""
    with suppress(OSError):
        names = {file.name for file in path.iterdir()}
        unwritten = PLACES not in names or not (path / PLACES).stat().st_size
        return (
            unwritten
            and names <= {Artifacts.SPEC, LAUNCHED, PLACES, "code"}
            and not path.is_symlink()
        )
    return False


def _everything(home: Path) -> Iterator[Path]:
    for folder, folders, files in os.walk(home):
        yield from (Path(folder, name) for name in (*folders, *files))


def _unusable(path: Path) -> str:
    kind = _kind(path)
    known = kind in ("a folder", "a file")
    return "" if known else f"{path} is {kind}, neither a file nor a folder."


def _fault(path: Path, due: str) -> str:
    if not os.path.lexists(path):
        return ""
    kind = _kind(path)
    return "" if kind == due else f"{path} is {kind}, not {due}."


def _kind(path: Path) -> str:
    try:
        mode = path.stat().st_mode
    except OSError as error:  # a link that leads nowhere, or in a circle
        return f"a link that leads nowhere ({error.strerror})"
    return next((name for is_kind, name in _KINDS if is_kind(mode)), "a device")
