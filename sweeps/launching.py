"""Launching: a spec to a comparison, and on from where a stop left it."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from registry import near_misses
from sweeps.check import check_data, make_task
from sweeps.display import Display
from sweeps.jobs import Setting
from sweeps.load import load_spec
from sweeps.record import Record
from sweeps.space import space
from sweeps.spec import Spec, SpecError
from sweeps.studies import Study, open_studies
from sweeps.sweep import Plan, Sweep, rungs
from sweeps.training import Recipe
from tracking.comparison import Comparison, compare_runs
from tracking.mlflow_store import default_uri, read_sweep, sweep_names
from tracking.recorder import Recorder

FOLDER = Path("gatelab")
"""Beside the user's work: the store, and a folder for each sweep."""


class Interrupted(Exception):
    """A sweep was stopped before its end; it can be resumed."""


class Undelivered(Exception):
    """The results are complete but spooled, because MLflow cannot be reached."""


def launch(
    spec: Spec,
    *,
    folder: str | Path = FOLDER,
    uri: str | None = None,
    console: Console | None = None,
) -> Comparison:
    """Run a sweep to its end: search, evaluation, comparison.

    Args:
        spec: What to run.
        folder: For the store and the sweep's own files.
        uri: MLflow's tracking URI; by default a SQLite store in the folder.
        console: Where progress is shown; by default nowhere.

    Raises:
        SpecError: If the name is taken or the data cannot be trained on; nothing is written then.
        Interrupted: If it was stopped; :func:`resume` goes on.
        Undelivered: If MLflow could not be reached; :func:`resume` delivers.
    """
    folder = Path(folder)
    uri = uri or default_uri(folder)
    _check_name(spec.name, folder, uri)
    try:
        check_data(spec.task.name, make_task(spec))
    except ValueError as error:
        raise SpecError("spec", "task", str(error)) from error
    home = folder / "sweeps" / spec.name
    home.mkdir(parents=True)
    (home / "spec.yaml").write_text(spec.to_yaml())
    (home / "tracking.json").write_text(json.dumps({"uri": uri}) + "\n")
    return _run(spec, folder, uri, console or Console(quiet=True))


def resume(name: str, *, folder: str | Path = FOLDER, console: Console | None = None) -> Comparison:
    """Go on with a sweep where a stop left it: nothing is lost, nothing done twice.

    Raises:
        LookupError: If there is no such sweep in the folder.
        Interrupted: If it was stopped again.
        Undelivered: If MLflow could not be reached.
    """
    folder = Path(folder)
    home = folder / "sweeps" / name
    if not (home / "tracking.json").is_file():
        raise LookupError(f"no sweep {name!r} in {folder}; {near_misses(name, _local(folder))}")
    uri = json.loads((home / "tracking.json").read_text())["uri"]
    return _run(load_spec(home / "spec.yaml"), folder, uri, console or Console(quiet=True))


def compare(name: str, *, folder: str | Path = FOLDER, uri: str | None = None) -> Comparison:
    """Return the comparison of a sweep from MLflow's record alone.

    Raises:
        LookupError: If the store knows no such sweep.
    """
    uri = uri or default_uri(folder)
    if not _exists(uri):
        raise LookupError(f"no sweep {name!r}: there is no store {uri} yet.")
    return compare_runs(read_sweep(uri, name))


def _check_name(name: str, folder: Path, uri: str) -> None:
    taken = name in _local(folder) or (_exists(uri) and name in sweep_names(uri))
    if taken:
        raise SpecError(
            "spec",
            "name",
            f"sweep {name!r} is there already: `gatelab resume {name}` goes on with it, "
            f"`gatelab compare {name}` shows it, `--name` launches under another name.",
        )


def _local(folder: Path) -> list[str]:
    sweeps = folder / "sweeps"
    return sorted(path.name for path in sweeps.iterdir()) if sweeps.is_dir() else []


def _exists(uri: str) -> bool:
    """Return whether a store can hold anything: to ask a missing SQLite file would make it."""
    return not uri.startswith("sqlite:///") or Path(uri.removeprefix("sqlite:///")).exists()


def _run(spec: Spec, folder: Path, uri: str, console: Console) -> Comparison:
    """Run what is left of a sweep, then compare."""
    home = folder / "sweeps" / spec.name
    with _locked(home, spec.name):
        artifacts = folder / "artifacts" if uri.startswith("sqlite:") else None
        recorder = Recorder(
            home / "journal.jsonl",
            uri=uri,
            experiment=spec.experiment,
            sweep=spec.name,
            artifacts=artifacts,
        )
        try:
            _work(spec, home, recorder, console)
            return _compare(spec, home, uri, recorder)
        finally:
            recorder.close()


def _work(spec: Spec, home: Path, recorder: Recorder, console: Console) -> None:
    """Search and evaluate."""
    from sweeps.tuning import run_jobs  # here: Ray takes a second to import

    task = make_task(spec)
    studies = _studies(spec, home)
    record = Record(recorder, spec, [target.name for target in task.targets], home)
    halving = spec.search.early_stopping
    plan = Plan(
        spec.search.trials,
        rungs(halving.grace_epochs, halving.reduction_factor, spec.training.max_epochs)
        if halving
        else (),
        spec.evaluation.seeds,
        spec.search.seed,
    )
    display = Display(console, studies, plan.trials, spec.training.max_epochs)
    keys = {label: gate.gate for label, gate in spec.gates.items()}
    sweep = Sweep(plan, keys, studies, [record, display])
    if sweep.finished:
        return
    record.start()
    with display:
        run_jobs(sweep, _setting(spec, home), home / "tune")
    if not sweep.finished:
        raise Interrupted(f"Stopped. `gatelab resume {spec.name}` goes on where it was.")


def _studies(spec: Spec, home: Path) -> dict[str, Study]:
    task = make_task(spec)
    halving = spec.search.early_stopping
    return open_studies(
        home / "studies.journal",
        {label: space(spec, label, task) for label in spec.gates},
        sampler=spec.search.sampler,
        seed=spec.search.seed,
        halving=(halving.grace_epochs, halving.reduction_factor) if halving else None,
    )


def _setting(spec: Spec, home: Path) -> Setting:
    return Setting(
        task=spec.task.name,
        task_options=spec.task.options,
        recipe=Recipe(**spec.training.model_dump()),
        metrics=spec.metrics,
        cpus=spec.resources.cpus,
        gpus=spec.resources.gpus,
        models=str((home / "models").resolve()),
    )


def _compare(spec: Spec, home: Path, uri: str, recorder: Recorder) -> Comparison:
    """Compare from the record, and put the comparison there too."""
    from tracking import figures

    if not recorder.flush():
        raise Undelivered(
            f"All results of {spec.name!r} lie in {home}, but MLflow at {uri} cannot be reached "
            f"({recorder.problem}); `gatelab resume {spec.name}` delivers them."
        )
    comparison = compare_runs(read_sweep(uri, spec.name))
    comparison.to_csv(home / "comparison.csv")
    comparison.to_json(home / "comparison.json")
    figures.save(figures.comparison_plot(comparison), home / "comparison.png")
    for name in ("comparison.csv", "comparison.json", "comparison.png"):
        recorder.log_artifact(spec.name, home / name)
    recorder.end_run(spec.name, "FINISHED", {"end": "finished"})
    return comparison


@contextmanager
def _locked(home: Path, name: str) -> Iterator[None]:
    """Keep a second process out of a sweep that is running."""
    with (home / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise SpecError("", "", f"sweep {name!r} is running in another process.") from error
        yield
