"""Running: what is left of a sweep that is locked, to the comparison that stands in the record."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from gatelab.results.comparison import Comparison
from gatelab.results.shown import ShownComparison
from gatelab.sweeps.cluster.sizing import Needs
from gatelab.sweeps.driver.delivery import compare_recorded
from gatelab.sweeps.driver.processes import UNDER_WAY
from gatelab.sweeps.driver.remainder import Remainder
from gatelab.sweeps.driver.telling import say
from gatelab.sweeps.home.home import DamagedHome, Home
from gatelab.sweeps.search.study_file import DamagedFile
from gatelab.sweeps.spec.spec import Spec
from gatelab.tasks.task import Task
from gatelab.tracking.artifact_places import artifacts_folder
from gatelab.tracking.lines import FULL
from gatelab.tracking.recorder import Recorder


def run_sweep(
    spec: Spec,
    task: Task,
    home: Home,
    job: Needs,
    console: Console,
    *,
    uri: str | None = None,
    redeliver: bool = False,
    said: Sequence[str] = (),
) -> ShownComparison:
    """Run what is left of a sweep whose home is locked, of which some was said, then compare."""
    if uri is not None:
        home.move_record(uri)
    if redeliver:
        home.reopen()
    say(console, f"{spec.name}: {UNDER_WAY}, in {home.path}")
    with _damages(home):
        return ShownComparison.of(_run_recorded(spec, task, home, job, console, redeliver, said))


def _run_recorded(
    spec: Spec,
    task: Task,
    home: Home,
    job: Needs,
    console: Console,
    redeliver: bool,
    said: Sequence[str],
) -> Comparison:
    recorder = Recorder(
        home.spool,
        uri=home.uri,
        experiment=spec.experiment,
        sweep=spec.name,
        artifacts=artifacts_folder(home.folder, home.uri),
        home=home.path,
        redeliver=redeliver,
    )
    try:
        left = Remainder(spec, task, home, job, recorder, console, said)
        sweep = left.to_its_end(redeliver)
        return compare_recorded(spec, home, recorder, sweep, console)
    finally:
        recorder.close()


@contextmanager
def _damages(home: Home) -> Iterator[None]:
    """Turn what keeps a file of a home from being read or written into one line."""
    try:
        yield
    except DamagedFile as error:
        raise DamagedHome(home.name, str(error)) from error
    except OSError as error:
        file = error.filename2 or error.filename  # not a draft's, but what it would replace
        if error.errno in FULL or not _is_of(home, file):
            raise
        raise DamagedHome(home.name, f"{file}: {error.strerror}.") from error


def _is_of(home: Home, file: object) -> bool:
    """Return whether a file that an error names is one of a home, or where its spool is."""
    if not isinstance(file, str | Path):
        return False
    places = (place.resolve() for place in (home.path, home.spool.parent))
    return any(Path(file).resolve().is_relative_to(place) for place in places)
