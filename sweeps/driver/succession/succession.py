"""Succession: a sweep of its own that goes on from a finished one, which stays as it is."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

from gatelab.sweeps.cluster.shipping import CODE
from gatelab.sweeps.cluster.storage import Storage, inside
from gatelab.sweeps.driver.processes import status
from gatelab.sweeps.driver.succession.taken_evaluations import Taken
from gatelab.sweeps.driver.succession.taken_records import (
    is_evaluation,
    is_trial,
    records_of,
    taken_records,
)
from gatelab.sweeps.home.files import BEFORE, RECORDS, RUN_PARTS, STUDIES
from gatelab.sweeps.home.home import DamagedHome, Home
from gatelab.sweeps.search.attributes import TAKEN_TRIALS, TOGETHER
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
    return more_of(spec, source, before.folder, trials, overrides, name or _next_name(before))


def goes_on(before: Home, spec: Spec) -> str:
    """Return what a user is told of the sweep that goes on."""
    trials, size = max(_ended(before).values()), round_size(spec.search)
    more = spec.search.trials - trials
    rounds = f" in {more // size} rounds of {size}" if more > size else ""
    seeds, splits = spec.evaluation.seeds, spec.evaluation.splits
    on = f" on each of {splits} splits" if splits > 1 else ""
    searched = f"{more} more are searched{rounds}; then {seeds} seeds of the best are evaluated{on}"
    evaluated = f"the {before.spec.evaluation.seeds} seeds of the best too"
    missing = f"{evaluated}; what is missing of {seeds} seeds{on} is evaluated"
    return (
        f"{spec.name} goes on from {before.name}, which stays as it is: {trials} trials of every "
        f"gate are taken over, {searched if more else missing}."
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


def take_over(before: Home, spec: Spec, draft: Path, own_id: str) -> Sequence[str]:
    """Fill the home of a sweep that is being made with all that another has searched.

    What that one has evaluated is taken over too, if no more is searched, so that what is selected
    stays.

    Args:
        before: The home of the other, which must not run meanwhile, and is only read.
        spec: The sweep's.
        draft: Its home.
        own_id: That home's, which its run is recorded with from the beginning.

    Returns:
        A line for each of what is not taken over, since a file of it is gone or damaged.

    Raises:
        DamagedHome: If the record of a run is missing there.
        SpecError: If the other runs.
    """
    with before.left_alone():
        evaluations = _evaluations(before, spec)
        studies = copy_trials(before.path / STUDIES, draft / STUDIES, TOGETHER)
        for study in studies.values():
            study.set_user_attr(TAKEN_TRIALS, len(study.get_trials(deepcopy=False)))
        evaluations.mark(studies)
        named = before.named_places[1]
        into = Storage(draft if named is None else inside(named, spec.name))
        evaluations.copy(before.path, draft, before.storage, into)
        found, names = records_of(before.spool), (before.name, spec.name)
        records = taken_records(found, *names, evaluations, own_id)
        lost = sum(_ended(before).values()) + evaluations.runs - _write(records, before.path, draft)
        if lost:
            why = f"{before.spool} lacks the records of {lost} runs, without which none goes on."
            raise DamagedHome(before.name, why)
        (draft / BEFORE).write_text(json.dumps([*before.before, before.name]) + "\n")
        if (before.path / RUN_PARTS).exists():
            shutil.copy(before.path / RUN_PARTS, draft)
        if (before.path / CODE).exists():
            shutil.copytree(before.path / CODE, draft / CODE)
    return evaluations.faults


def _evaluations(before: Home, spec: Spec) -> Taken:
    """Return what is taken over of a sweep's evaluations: nothing if more is searched."""
    studies = read_studies(before.path / STUDIES)
    had, has = before.spec.evaluation.numbering, spec.evaluation.numbering
    if spec.search.trials > max(_ended(before).values()):
        return Taken(had, has, {})
    return Taken.of(studies, before.path, before.storage, had, has)


def _write(records: Iterable[Entry], before: Path, draft: Path) -> int:
    """Write the records of a draft, with the files that they name; return how many runs end."""
    started, ended = set[str](), set[str]()
    with (draft / RECORDS).open("w") as file:
        for record in records:
            run = record["identity"].partition("/")[2]
            if record["kind"] == "artifact":
                record = _with_file(record, run, before, draft)
            file.write(json.dumps(record) + "\n")
            if is_trial(run) or is_evaluation(run):
                started |= {run} if record["kind"] == "start" else set()
                ended |= {run} if record["kind"] == "end" else set()
    return len(started & ended)


def _with_file(record: Entry, run: str, before: Path, draft: Path) -> Entry:
    """Return a record of a file, which is copied to the home that the record is of.

    It lies there by its run, whose number may be another. What is gone is left to the recorder.
    """
    place = Path("files") / run / Path(record["path"]).name
    if (before / record["path"]).is_file():
        (draft / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(before / record["path"], draft / place)
    return {**record, "path": str(place)}
