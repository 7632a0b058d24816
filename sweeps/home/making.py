"""New homes: a sweep's home is made whole or not at all, and takes a name that is free."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

from gatelab.durable import draft_of, settle
from gatelab.sweeps.cluster.storage import check_no_key, inside
from gatelab.sweeps.home.files import LAUNCHED, RECORDS, is_half_made
from gatelab.sweeps.home.home import Home
from gatelab.sweeps.home.locks import alone_in
from gatelab.sweeps.spec.spec import Spec, SpecError
from gatelab.tracking.journal import position_file
from gatelab.tracking.named_store import LAUNCHED_MS, PLACES
from gatelab.tracking.schema import Artifacts
from gatelab.tracking.sqlite import absolute


def make_home(
    folder: Path,
    spec: Spec,
    uri: str | None,
    storage: str | None,
    fill: Callable[[Path, str], object] = lambda home, id: None,
) -> Home:
    """Make the home of a new sweep, whole or not at all.

    Args:
        folder: The folder of all sweeps and of the store beside them.
        spec: The sweep's.
        uri: MLflow's tracking URI; by default of the store in the folder, wherever that is
            moved.
        storage: The place of :class:`Storage` for all sweeps; by default the home itself.
        fill: Puts there, with the id that the home will have, what else a home has from the
            beginning, its spool's records too.

    Raises:
        SpecError: If the name is taken.
    """
    if storage is not None and "://" not in storage:
        storage = str(Path(storage).resolve())  # a resume may be elsewhere
    place = None if storage is None else inside(storage, spec.name)
    check_no_key(place or "")
    spool = folder / "spool" / f"{spec.name}.jsonl"
    _check_spool(spool, spec.name)
    path = folder / "sweeps" / spec.name
    path.parent.mkdir(parents=True, exist_ok=True)
    own_id = uuid4().hex
    with ExitStack() as stack, draft_of(path) as draft:
        draft.mkdir()
        for name in (Artifacts.SPEC, LAUNCHED):
            (draft / name).write_text(spec.to_yaml(), encoding="utf-8")
        fill(draft, own_id)
        (draft / PLACES).touch(0o600)  # MLflow's address may have a password in it
        uri = None if uri is None else absolute(uri)
        launched = time.time_ns() // 1_000_000
        known = {"uri": uri, "storage": place, "id": own_id, LAUNCHED_MS: launched}
        (draft / PLACES).write_text(json.dumps(known) + "\n", encoding="utf-8")
        stack.enter_context(alone_in(path.parent))  # until the draft has its name
        _make_way(path, spool)
        _move_records(draft, spool)
    return Home(folder, spec.name)


def _check_spool(spool: Path, name: str) -> None:
    """Refuse a name whose spool would be a folder that somebody has put there."""
    for file in (spool, position_file(spool)):
        if file.is_dir():
            message = (
                f"{file} is a folder, where records of sweep {name!r} would wait: move it away, or "
                "`--name` launches under another name."
            )
            raise SpecError("spec", "name", message)


def _make_way(path: Path, spool: Path) -> None:
    """Remove what is half-made, and the spool of a sweep that is gone.

    Raises:
        SpecError: If the name is taken.
    """
    if is_half_made(path):
        shutil.rmtree(path)
    elif os.path.lexists(path):
        raise taken(path.name)
    for file in (spool, position_file(spool)):
        file.unlink(missing_ok=True)


def _move_records(draft: Path, spool: Path) -> None:
    """Put the records of a draft where they wait, whole before its home is there."""
    if (draft / RECORDS).exists():
        spool.parent.mkdir(exist_ok=True)
        shutil.move(draft / RECORDS, spool)  # maybe on another disk
        settle(spool)
        settle(spool.parent)


def taken(name: str) -> SpecError:
    """Return what a launch under the name of another sweep is told."""
    message = (
        f"sweep {name!r} is there already: `gatelab resume {name}` goes on with it, "
        f"`gatelab compare {name}` shows it, `--name` launches under another name."
    )
    return SpecError("spec", "name", message)
