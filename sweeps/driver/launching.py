"""Launching: a spec to a comparison, and on from where a stop left it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from gatelab.results.comparison import Comparison
from gatelab.sweeps.cluster.provenance import provenance
from gatelab.sweeps.cluster.shipping import keep_code, use_code
from gatelab.sweeps.cluster.sizing import Needs
from gatelab.sweeps.cluster.storage import STATES
from gatelab.sweeps.driver.admission import check_free, check_nodes, check_place, check_record
from gatelab.sweeps.driver.display import Display
from gatelab.sweeps.driver.home import DamagedHome, Home
from gatelab.sweeps.driver.processes import UNDER_WAY, status
from gatelab.sweeps.driver.record import Record
from gatelab.sweeps.driver.reporting import record_report
from gatelab.sweeps.driver.sweep import Plan, Sweep, rungs
from gatelab.sweeps.search.studies import Study, open_studies
from gatelab.sweeps.search.study_file import DamagedFile
from gatelab.sweeps.spec.check import make_task
from gatelab.sweeps.spec.first_pass import check_sweep
from gatelab.sweeps.spec.passes import check_passes
from gatelab.sweeps.spec.space import space
from gatelab.sweeps.spec.spec import Spec, SpecError
from gatelab.tasks.check.scales import uneven_losses
from gatelab.tasks.task import Task
from gatelab.tracking.lines import FULL
from gatelab.tracking.recorder import Recorder
from gatelab.tracking.schema import ENDS, FOLDER, Tags
from gatelab.tracking.sqlite import default_uri, sqlite_path
from gatelab.tracking.store_errors import (
    check_writable,
    masked,
    writing,
)
from gatelab.training.jobs import Setting
from gatelab.training.train import Recipe

DELIVERY_SECONDS = 300.0
"""How long a sweep that is over waits for an MLflow that takes nothing; it may be restarting."""
NOTHING_TO_RESUME = {
    "running": "`gatelab status {0}` shows how far it is, `gatelab stop {0}` stops it",
    "finished": "`gatelab compare {0}` shows it",
}
"""What to do instead, by a sweep's state."""


class Interrupted(Exception):
    """A sweep was stopped before its end; it can be resumed."""

    def __init__(self, name: str) -> None:
        """Say how the sweep of this name goes on."""
        super().__init__(f"Stopped. `gatelab resume {name}` goes on where it was.")


class Undelivered(Exception):
    """The results are complete but spooled, because MLflow does not take them."""


class NoRoom(Exception):
    """A disk is full; once there is room, the sweep can be resumed."""

    def __init__(self, home: Home, file: str | None) -> None:
        """Say which, and how the sweep goes on."""
        where = file or home.path
        super().__init__(
            f"There is no room on the disk of {where}: make some, then `gatelab resume "
            f"{home.name}` goes on."
        )


def launch(
    spec: Spec,
    *,
    folder: str | Path = FOLDER,
    uri: str | None = None,
    storage: str | None = None,
    console: Console | None = None,
) -> Comparison:
    """Run a sweep to its end: search, evaluation, comparison.

    Args:
        spec: What to run.
        folder: For the store and the sweep's own files.
        uri: MLflow's tracking URI; by default a SQLite store in the folder.
        storage: Where workers leave states and models (:class:`.Storage`), if not in the
            folder: every node must reach it.
        console: Where progress is shown; by default nowhere.

    Raises:
        SpecError: If the name is taken, or something cannot be trained, scored or recorded, or no
            gate can be trained; nothing is written then.
        StoreUnavailable: If MLflow or the folder cannot take the sweep; nothing is written then.
        Interrupted: If it was stopped; :func:`resume` goes on.
        Undelivered: If MLflow could not be reached; :func:`resume` delivers.
        NoRoom: If a disk was full; :func:`resume` goes on.
    """
    folder = Path(folder)
    check_writable(folder)
    check_free(spec.name, folder, uri or default_uri(folder))
    check_place(spec.experiment, uri or default_uri(folder))
    task = check_sweep(spec)
    job = check_nodes(spec, task, storage or str(folder.resolve()))
    console = console or Console(quiet=True)
    notes = check_passes(spec, task, here=not job.gpus)
    for note in notes:
        console.print(note, highlight=False, markup=False, soft_wrap=True)
    with writing(folder):
        home = Home.make(folder, spec, uri, storage, fill=keep_code)
    with _resumable(home):
        return _run(spec, task, home, job, console, said=notes)


def resume(
    name: str,
    *,
    folder: str | Path = FOLDER,
    uri: str | None = None,
    redeliver: bool = False,
    console: Console | None = None,
) -> Comparison:
    """Go on with a sweep where a stop left it: nothing is lost, nothing done twice.

    Args:
        name: The sweep's.
        folder: As above.
        uri: MLflow's tracking URI, where its store is another from now on.
        redeliver: Whether everything is written into the store again, because that is a new one
            or has lost it; a sweep that is finished is delivered again too.
        console: As above.

    Raises:
        LookupError: If there is no such sweep in the folder, or its home is damaged.
        SpecError: If it is running or finished, or cannot run on the nodes that there are.
        StoreUnavailable: If the store does not have what was delivered, or cannot be used.
        Interrupted: If it was stopped again.
        Undelivered: If MLflow could not be reached.
        NoRoom: If a disk was full.
    """
    home = Home(Path(folder), name)
    found = status(home)
    if found in NOTHING_TO_RESUME and not (found == "finished" and redeliver):
        instead = NOTHING_TO_RESUME[found].format(name)
        raise SpecError("", "", f"sweep {name!r} is {found}: {instead}.")
    with _resumable(home):
        code = use_code(home.path)
        spec = home.spec
        check_record(home, spec, uri or home.uri, redeliver)
        task = make_task(spec)
        job = check_nodes(spec, task, home.storage.place, code)
        return _run(
            spec, task, home, job, console or Console(quiet=True), uri=uri, redeliver=redeliver
        )


@contextmanager
def _resumable(home: Home) -> Iterator[None]:
    """Let what stops a sweep that has a home say that it can be resumed, wherever it is then."""
    try:
        yield
    except (KeyboardInterrupt, BrokenPipeError):
        raise Interrupted(home.name) from None
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise NoRoom(home, error.filename) from error


def _run(
    spec: Spec,
    task: Task,
    home: Home,
    job: Needs,
    console: Console,
    *,
    uri: str | None = None,
    redeliver: bool = False,
    said: Sequence[str] = (),
) -> Comparison:
    """Run what is left of a sweep, of which something has been said, then compare."""
    with home.locked():
        if uri is not None:
            home.move_record(uri)
        if redeliver:
            home.reopen()
        where = f"{spec.name}: {UNDER_WAY}, in {home.path}"
        warning = uneven_losses(task)
        for line in (where, *([f"warning: {warning}"] if warning else [])):
            console.print(line, highlight=False, markup=False, soft_wrap=True)
        with _damages(home):
            recorder = Recorder(
                home.spool,
                uri=home.uri,
                experiment=spec.experiment,
                sweep=spec.name,
                artifacts=home.folder / "artifacts" if sqlite_path(home.uri) else None,
                home=home.path,
                redeliver=redeliver,
            )
        try:
            studies = _studies(spec, task, home, recorder)
            sweep = _work(spec, task, home, job, studies, recorder, console, said)
            return _compare(spec, home, recorder, sweep)
        finally:
            recorder.close()


def _work(
    spec: Spec,
    task: Task,
    home: Home,
    job: Needs,
    studies: dict[str, Study],
    recorder: Recorder,
    console: Console,
    said: Sequence[str],
) -> Sweep:
    """Search and evaluate."""
    from gatelab.sweeps.driver.ray_jobs import run_jobs  # here: Ray takes a second to import

    record = Record(recorder, spec, task, studies, home)
    halving = spec.search.early_stopping
    plan = Plan(
        spec.search.trials,
        rungs(halving.grace_epochs, halving.reduction_factor, spec.training.max_epochs)
        if halving
        else (),
        spec.evaluation.seeds,
        spec.search.seed,
    )
    display = Display(console, studies, plan.trials, spec.training.max_epochs, said)
    keys = {label: gate.gate for label, gate in spec.gates.items()}
    sweep = Sweep(plan, keys, studies, [record, display])
    if not sweep.finished:
        record.start(provenance(task))
        with display:
            run_jobs(sweep, _setting(spec, home, job))
    if not sweep.finished:
        raise Interrupted(spec.name)
    home.storage.remove(STATES)
    return sweep


def _studies(spec: Spec, task: Task, home: Home, recorder: Recorder) -> dict[str, Study]:
    halving = spec.search.early_stopping
    with _damages(home):
        return open_studies(
            home.path / "studies.journal",
            {label: space(spec, label, task) for label in spec.gates},
            sampler=spec.search.sampler,
            seed=spec.search.seed,
            halving=(halving.grace_epochs, halving.reduction_factor) if halving else None,
            behind=recorder.journal,
        )


@contextmanager
def _damages(home: Home) -> Iterator[None]:
    """Turn what keeps a file of a home from being opened into one line."""
    try:
        yield
    except DamagedFile as error:
        raise DamagedHome(home.name, str(error)) from error
    except OSError as error:
        if error.errno in FULL:
            raise
        raise DamagedHome(home.name, f"{error.filename}: {error.strerror}.") from error


def _setting(spec: Spec, home: Home, job: Needs) -> Setting:
    return Setting(
        task=spec.task.name,
        task_options=spec.task.options,
        recipe=Recipe(**spec.training.model_dump()),
        metrics=spec.metrics,
        cpus=job.cpus,
        gpus=job.gpus,
        storage=home.storage.place,
    )


def _compare(spec: Spec, home: Home, recorder: Recorder, sweep: Sweep) -> Comparison:
    """Compare from the record, and put the comparison there too."""
    _deliver(spec, home, recorder)
    without = ", ".join(sweep.without_score())
    end, reason = ("failed", f"no score: {without}") if without else ("finished", "")
    recorder.end_run(spec.name, ENDS[end], {Tags.END: end, Tags.END_REASON: reason})
    _deliver(spec, home, recorder)
    comparison = record_report(home, recorder)
    _deliver(spec, home, recorder)
    home.finish(complete=not sweep.unscored)
    return comparison


def _deliver(spec: Spec, home: Home, recorder: Recorder) -> None:
    """Wait until the record has everything."""
    if recorder.flush(DELIVERY_SECONDS):
        return
    what = f"All results of {spec.name!r} lie in {home.path}, but"
    if recorder.refused:
        raise Undelivered(f"{what} {recorder.problem} Then `gatelab resume {spec.name}` delivers.")
    raise Undelivered(
        f"{what} MLflow at {masked(home.uri)} cannot be reached ({recorder.problem}); "
        f"`gatelab resume {spec.name}` delivers them."
    )
