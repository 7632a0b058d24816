"""Succession: a sweep of its own that goes on from a finished one, which stays as it is."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

from gatelab.sweeps.cluster.shipping import CODE
from gatelab.sweeps.driver.home import DamagedHome, Home
from gatelab.sweeps.driver.home_files import BEFORE, RECORDS, RUN_PARTS, STUDIES
from gatelab.sweeps.driver.processes import status
from gatelab.sweeps.driver.taken_records import is_trial, records_of, search_records
from gatelab.sweeps.search.studies import copy_trials
from gatelab.sweeps.search.study_file import DamagedFile, read_studies
from gatelab.sweeps.spec.more import more_of
from gatelab.sweeps.spec.rounds import round_size
from gatelab.sweeps.spec.spec import Spec, SpecError
from gatelab.tracking.lines import Entry
from gatelab.tracking.schema import Artifacts

BEFORE_MORE = {
    "running": "`gatelab status {0}` shows how far it is; once it is finished, more is taken",
    "stopped": "`gatelab resume {0}` ends it, and then more is taken",
}
"""What comes first, by the state of a sweep from which none goes on yet."""


def spec_after(before: Home, overrides: Sequence[str], name: str | None) -> Spec:
    """Return the spec of the sweep that goes on from another.

    Args:
        before: The home of that one.
        overrides: What there is to be more of, as ``search.trials=48``.
        name: By default that of the other, with the next number.

    Raises:
        DamagedHome: If what the other has searched cannot be read.
        SpecError: If that one has not ended, or what is asked for cannot be.
    """
    found = status(before)
    if found in BEFORE_MORE:
        message = f"sweep {before.name!r} is {found}: {BEFORE_MORE[found].format(before.name)}."
        raise SpecError("", "", message)
    spec, source = before.spec, before.path / Artifacts.SPEC
    trials = max(_ended(before).values(), default=0) or spec.search.trials
    return more_of(spec, source, trials, overrides, name or _next_name(before))


def goes_on(before: Home, spec: Spec) -> str:
    """Return what a user is told of the sweep that goes on."""
    taken, size = max(_ended(before).values()), round_size(spec.search)
    more = spec.search.trials - taken
    rounds = f" in {more // size} rounds of {size}" if more > size else ""
    searched = f"{more} more are searched{rounds}" if more else "no more are searched"
    seeds, splits = spec.evaluation.seeds, spec.evaluation.splits
    on = f" on each of {splits} splits" if splits > 1 else ""
    return (
        f"{spec.name} goes on from {before.name}, which stays as it is: {taken} trials of every "
        f"gate are taken over, {searched}; then {seeds} seeds of the best are evaluated{on}."
    )


def _next_name(before: Home) -> str:
    """Return ``digits-2`` after ``digits``, and after that ``digits-3``."""
    numbered = re.fullmatch(r"(.+)-(\d+)", before.name) if before.before else None
    stem, number = numbered.groups() if numbered else (before.name, "1")
    return f"{stem}-{int(number) + 1}"


def _ended(before: Home) -> dict[str, int]:
    """Return how many trials each search has come to."""
    path = before.path / STUDIES
    try:
        found = read_studies(path)
    except (DamagedFile, OSError) as error:
        raise DamagedHome(before.name, str(error)) from error
    trials = {name: study.get_trials(deepcopy=False) for name, study in found.items()}
    if not trials or any(not one.state.is_finished() for of in trials.values() for one in of):
        raise DamagedHome(before.name, f"{path} has no search that is over.")
    return {name: len(of) for name, of in trials.items()}


def take_over(before: Home, spec: Spec, draft: Path) -> None:
    """Fill the home of a sweep that is being made with all that another has searched.

    Args:
        before: The home of the other, which must not run meanwhile, and is only read.
        spec: The sweep's.
        draft: Its home.

    Raises:
        DamagedHome: If the record of a trial is missing there.
        SpecError: If the other runs.
    """
    with before.left_alone():
        copy_trials(before.path / STUDIES, draft / STUDIES)
        records = search_records(records_of(before.spool), before.name, spec.name)
        ended = _write(records, before.path, draft)
        lost = sum(_ended(before).values()) - ended
        if lost:
            why = f"{before.spool} lacks the records of {lost} trials, which a successor has too."
            raise DamagedHome(before.name, why)
        (draft / BEFORE).write_text(json.dumps([*before.before, before.name]) + "\n")
        if (before.path / RUN_PARTS).exists():
            shutil.copy(before.path / RUN_PARTS, draft)
        if (before.path / CODE).exists():
            shutil.copytree(before.path / CODE, draft / CODE)


def _write(records: Iterable[Entry], before: Path, draft: Path) -> int:
    """Write the records of a draft, with the files that they name; return how many trials end."""
    started, ended = set[str](), set[str]()
    with (draft / RECORDS).open("w") as file:
        for record in records:
            if record["kind"] == "artifact" and not _copied(before, draft, record["path"]):
                continue
            file.write(json.dumps(record) + "\n")
            if is_trial(record["identity"].split("/")[1:]):
                started |= {record["identity"]} if record["kind"] == "start" else set()
                ended |= {record["identity"]} if record["kind"] == "end" else set()
    return len(started & ended)


def _copied(before: Path, draft: Path, path: str) -> bool:
    """Copy a file that is recorded from one home to another; return whether it is there."""
    if not (before / path).is_file():
        return False
    if not Path(path).is_absolute():  # else it lies in no home
        (draft / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(before / path, draft / path)
    return True
