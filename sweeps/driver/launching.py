"""Launching: a spec to a comparison, and on from where a stop left it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from gatelab.rules import check_paths
from gatelab.sweeps.cluster.idle_slots import told_idle_slots
from gatelab.sweeps.cluster.shipping import keep_code, use_code
from gatelab.sweeps.driver.admission import check_free, check_nodes
from gatelab.sweeps.driver.packed_classes import pack_classes
from gatelab.sweeps.driver.processes import status
from gatelab.sweeps.driver.stops import Interrupted, NoRoom
from gatelab.sweeps.driver.telling import say, telling
from gatelab.sweeps.home.edits import check_unedited
from gatelab.sweeps.home.home import Home
from gatelab.sweeps.home.making import make_home
from gatelab.sweeps.spec.advice import advised
from gatelab.sweeps.spec.baselines import with_baselines
from gatelab.sweeps.spec.first_pass import check_sweep
from gatelab.sweeps.spec.given import GivenSpec, spec_of
from gatelab.sweeps.spec.given_tables import with_tables_kept
from gatelab.sweeps.spec.made_task import make_task
from gatelab.sweeps.spec.rehearsals import rehearse_gates
from gatelab.sweeps.spec.spec import Spec, SpecError
from gatelab.tracking.lines import FULL
from gatelab.tracking.schema import FOLDER
from gatelab.tracking.sqlite import default_uri
from gatelab.tracking.store_errors import check_writable, writing

if TYPE_CHECKING:
    from gatelab.results.shown import ShownComparison

NOTHING_TO_RESUME = {
    "running": "`gatelab status {0}` shows how far it is, `gatelab stop {0}` stops it",
    "finished": "`gatelab compare {0}` shows it, and `gatelab resume {0} search.trials=N` or "
    "`evaluation.seeds=N` goes on from it under another name",
}
"""What to do instead, by a sweep's state."""


def launch(
    spec: GivenSpec,
    *,
    folder: str | Path = FOLDER,
    uri: str | None = None,
    storage: str | None = None,
    progress: bool = True,
    console: Console | None = None,
) -> ShownComparison:
    """Run a sweep to its end: search, evaluation, comparison.

    Args:
        spec: What to run, and baselines beside it unless it wants none: a file's path, a mapping,
            in which a class may stand for its key and a :class:`.Table` for the task, or a spec.
        folder: For the store and the sweep's own files.
        uri: MLflow's tracking URI; by default a SQLite store in the folder.
        storage: Where workers leave states and models (:class:`.Storage`), if not in the
            folder: every node must reach it.
        progress: Whether to show how far the sweep is.
        console: Where; by default in this terminal or notebook.

    Raises:
        SpecError: If the name is taken, or something cannot be trained, scored or recorded, or no
            gate can be trained; nothing is written then.
        ValueError: If the folder, or the storage, is no path or an empty one.
        StoreUnavailable: If MLflow or the folder cannot take the sweep; nothing is written then.
        Interrupted: If it was stopped; :func:`resume` goes on.
        Halted: If the task's data have changed meanwhile; :func:`resume` goes on.
        Undelivered: If MLflow could not be reached; :func:`resume` delivers.
        NoRoom: If a disk was full; :func:`resume` goes on.
    """
    check_paths(folder=folder, **({} if storage is None else {"storage": storage}))
    folder, console = Path(folder), console or Console(quiet=not progress)
    with with_tables_kept(spec, folder) as given:
        return _begin(
            spec_of(given), folder, uri, storage, console, lambda draft, _: keep_code(draft)
        )


def _begin(
    spec: Spec,
    folder: Path,
    uri: str | None,
    storage: str | None,
    console: Console,
    fill: Callable[[Path, str], object],
    *,
    code: Path | None = None,
    after: str = "",
) -> ShownComparison:
    """Begin a sweep once all is checked, and run it to its end.

    One that goes on after another says so; its spec has its baselines already.
    """
    check_writable(folder)
    check_free(spec.name, folder)
    task = make_task(spec)
    spec = spec if after else with_baselines(spec, task)
    pack_classes(spec)
    with telling(console, "The data are read, and a few rows pass through all networks and gates"):
        check_sweep(spec, task)
    with telling(console, "Ray starts"):
        run_sweep = _start_ray()
        from gatelab.sweeps.driver.record_checks import check_new_record

        check_new_record(spec, folder, uri or default_uri(folder))
        job = check_nodes(spec, task, storage or str(folder.resolve()), code)
    _say_joined(console)
    with telling(console, "Two models of every gate make a step"):
        notes = rehearse_gates(spec, task, here=not job.gpus)
    idle = told_idle_slots(spec, task, job)
    for line in (*filter(None, [after]), *task.said, *notes.told, *advised(spec), *idle):
        say(console, line)
    with writing(folder):
        home = make_home(folder, spec, uri, storage, fill=fill)
    with _resumable(home), home.locked():
        return run_sweep(spec, task, home, job, console, said=notes.by_gate)


def _start_ray() -> Callable[..., ShownComparison]:
    """Start Ray; return what runs a sweep, which is imported meanwhile."""
    from gatelab.sweeps.cluster.starting import start_ray  # here: Ray takes a second to import

    return start_ray(meanwhile=_import_run_sweep)


def _say_joined(console: Console) -> None:
    """Say whose Ray runs the sweep, if it is none that the sweep has started."""
    from gatelab.sweeps.cluster.nodes import told_joined  # here: Ray takes a second to import

    if line := told_joined():
        say(console, line)


def _import_run_sweep() -> Callable[..., ShownComparison]:
    from gatelab.sweeps.driver.running import run_sweep  # here: so do Tune, Optuna and MLflow

    return run_sweep


def resume(
    name: str,
    *,
    overrides: Sequence[str] = (),
    successor: str | None = None,
    folder: str | Path = FOLDER,
    uri: str | None = None,
    redeliver: bool = False,
    progress: bool = True,
    console: Console | None = None,
) -> ShownComparison:
    """Go on with a sweep where a stop left it: nothing is lost, nothing done twice.

    A finished one takes no more, for its result has been read. With overrides another sweep goes on
    from it, which begins with all its trials, and the finished one stays as it is.

    Args:
        name: The sweep's.
        overrides: What there is to be more of than in a finished sweep: ``search.trials=48``,
            ``evaluation.seeds=10``, ``evaluation.splits=5``.
        successor: The name of the sweep that goes on then; by default ``NAME-2``.
        folder: As above.
        uri: MLflow's tracking URI, where its store is another from now on.
        redeliver: Whether everything is written into the store again, because that is a new one
            or has lost it; a sweep that is finished is delivered again too.
        progress: As above.
        console: As above.

    Raises:
        LookupError: If there is no such sweep in the folder, or its home is damaged.
        SpecError: If it is running, or finished with nothing more asked for, or cannot run on the
            nodes that there are; if its spec was edited; or if what is asked for cannot be.
        ValueError: If the folder is no path or an empty one.
        StoreUnavailable: If the store does not have what was delivered, or cannot be used.
        Interrupted: If it was stopped again.
        Halted: If the task's data have changed meanwhile.
        Undelivered: If MLflow could not be reached.
        NoRoom: If a disk was full.
    """
    check_paths(folder=folder)
    console = console or Console(quiet=not progress)
    home = Home(Path(folder), name)
    if overrides or successor is not None:
        if redeliver:
            raise SpecError("", "", "--redeliver is of a resume that asks for no more.")
        return _succeed(home, overrides, successor, uri, console)
    found = status(home)
    if found in NOTHING_TO_RESUME and not (found == "finished" and redeliver):
        instead = NOTHING_TO_RESUME[found].format(name)
        raise SpecError("", "", f"sweep {name!r} is {found}: {instead}.")
    return _resume(home, uri, redeliver, console)


def _resume(home: Home, uri: str | None, redeliver: bool, console: Console) -> ShownComparison:
    """Go on with a sweep that has been launched."""
    # Its lock comes first: of two that resume one sweep, the second need not start Ray to hear so.
    with _resumable(home), home.locked():
        code = use_code(home.path)
        spec = home.spec
        check_unedited(home)
        task = make_task(spec)
        with telling(console, "Ray starts"):
            run_sweep = _start_ray()
            from gatelab.sweeps.driver.record_checks import check_monitors, check_record

            check_record(home, spec, uri or home.uri, redeliver)
            check_monitors(spec)
            job = check_nodes(spec, task, home.storage.place, code)
        _say_joined(console)
        return run_sweep(spec, task, home, job, console, uri=uri, redeliver=redeliver)


def _succeed(
    before: Home, overrides: Sequence[str], name: str | None, uri: str | None, console: Console
) -> ShownComparison:
    """Let another sweep go on from a finished one."""
    from gatelab.sweeps.driver.record_checks import check_record  # here: MLflow is slow to import
    from gatelab.sweeps.driver.succession.succession import goes_on, spec_after, take_over

    code = use_code(before.path)
    spec = spec_after(before, overrides, name)
    check_unedited(before)
    check_record(before, before.spec, uri or before.uri, redeliver=False)
    named, storage = before.named_places

    def fill(draft: Path, own_id: str) -> None:
        with telling(console, f"What {before.name} has trained is taken over"):
            anew = take_over(before, spec, draft, own_id)
        for line in anew:
            say(console, line)

    places = (before.folder, uri or named, storage)
    return _begin(spec, *places, console, fill, code=code, after=goes_on(before, spec))


@contextmanager
def _resumable(home: Home) -> Iterator[None]:
    """Let what stops a sweep that has a home say that it can be resumed, wherever it is then."""
    try:
        yield
    except (KeyboardInterrupt, BrokenPipeError):
        raise Interrupted(home) from None
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise NoRoom(home, error.filename) from error
