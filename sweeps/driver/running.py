"""Running: what is left of a sweep that is locked, to the comparison that stands in the record."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path

from rich.console import Console

from gatelab.gates.gate import gates
from gatelab.results.comparison import Comparison
from gatelab.results.shown import ShownComparison
from gatelab.sweeps.cluster.provenance import provenance
from gatelab.sweeps.cluster.sizing import Needs
from gatelab.sweeps.cluster.storage import AT_RUNGS, STATES
from gatelab.sweeps.driver.delivery import compare_recorded
from gatelab.sweeps.driver.display import Display
from gatelab.sweeps.driver.evaluations import Plan
from gatelab.sweeps.driver.packed_classes import pack_classes
from gatelab.sweeps.driver.processes import UNDER_WAY
from gatelab.sweeps.driver.record.losses import told_losses
from gatelab.sweeps.driver.record.record import Record
from gatelab.sweeps.driver.record.summaries import Summaries
from gatelab.sweeps.driver.stops import Halted, Interrupted
from gatelab.sweeps.driver.sweep import Sweep
from gatelab.sweeps.driver.telling import say, telling
from gatelab.sweeps.driver.tune.ray_jobs import run_jobs
from gatelab.sweeps.driver.widths import find_widths, keep_widths
from gatelab.sweeps.home.files import STUDIES
from gatelab.sweeps.home.home import DamagedHome, Home
from gatelab.sweeps.home.parts import begin_part
from gatelab.sweeps.search.studies import open_studies
from gatelab.sweeps.search.study import Study
from gatelab.sweeps.search.study_file import DamagedFile
from gatelab.sweeps.spec.goals import goal_of
from gatelab.sweeps.spec.remarks import told_remarks
from gatelab.sweeps.spec.rounds import rounds_of
from gatelab.sweeps.spec.searches import Search
from gatelab.sweeps.spec.space import draws_seed, space
from gatelab.sweeps.spec.spec import Spec
from gatelab.sweeps.worker.same_data import data_id
from gatelab.tasks.check.warned import warnings_of
from gatelab.tasks.task import Task
from gatelab.tracking.artifact_places import artifacts_folder
from gatelab.tracking.lines import FULL
from gatelab.tracking.mlflow_system import SystemMetrics
from gatelab.tracking.recorder import Recorder
from gatelab.tracking.schema import Tags
from gatelab.training.jobs import Setting

TIME_OVER = "after {:g} h (search.hours) the search ended, with {} of {} trials of every gate."


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
        studies = _studies(spec, task, home, recorder)
        sweep = _work(spec, task, home, job, studies, recorder, console, said, redeliver)
        return compare_recorded(spec, home, recorder, sweep, console)
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
    redeliver: bool,
) -> Sweep:
    """Search and evaluate."""
    record = Record(recorder, spec, task, studies, home)
    plan = _plan(spec, job.members)
    goal = goal_of(spec, task)
    display = Display(console, studies, plan.trials, spec.training.max_epochs, goal, said)
    keys = {label: gate.gate for label, gate in spec.gates.items()}
    summaries = Summaries(recorder, spec, task, studies, home)
    sweep = Sweep(plan, keys, studies, [summaries, record, display])
    lost = told_losses(home, recorder, studies, sweep.follow_up.scored())
    for line in filter(None, lost):
        display.note(f"warning: {line}")
    # Into another store all that is gone from the spool will be missing there.
    gone = [line for line in lost[1:] if line and redeliver]
    if sweep.finished:
        record.warn_more(gone)
    else:
        learning = [gate.learner.cls for gate in spec.gates.values()]
        found = provenance(task, [*map(gates.get, keys.values()), *learning])
        begun = any(study.study.get_trials(deepcopy=False) for study in studies.values())
        parts = begin_part(home, found, begun=begun)
        warnings = [*warnings_of(task), *parts, *told_remarks(spec, task)]
        for warning in warnings:
            display.note(f"warning: {warning}")
        setting = _setting(spec, task, home, job, data_id(task, found[Tags.DATA]))
        if job.gpus and spec.resources.members is None:
            with telling(console, "How many models are worth training together is tried"):
                find_widths(spec, task, setting, studies, display.note)
        keep_widths(studies, job.members)
        record.start(found, [*warnings, *gone])
        watched = spec.tracking.system_metrics
        with display, SystemMetrics(recorder, spec.name) if watched else nullcontext():
            run_jobs(sweep, setting)
        if sweep.stopped:
            raise Halted(spec.name, sweep.stopped)
        if sweep.trials < plan.trials:
            line = TIME_OVER.format(spec.search.hours, sweep.trials, plan.trials)
            display.note(f"warning: {line}")
            record.warn(line)
    if not sweep.finished:
        raise Interrupted(spec.name)
    for folder in (STATES, AT_RUNGS):
        home.storage.remove(folder)
    return sweep


def _plan(spec: Spec, members: int) -> Plan:
    search, evaluation = spec.search, spec.evaluation
    own: int = spec.task.options.get("split_seed", 0)
    splits = range(own, own + evaluation.splits) if evaluation.splits > 1 else [None]
    seeds = (search.seeds, evaluation.seeds, search.seed)
    return Plan(search.trials, *seeds, tuple(splits), search.repeats, search.hours, members)


def _studies(spec: Spec, task: Task, home: Home, recorder: Recorder) -> dict[str, Study]:
    spaces = {label: space(spec, label, task) for label in spec.gates}
    rounds = rounds_of(spec, spaces)
    searches = [Search(label, n) for n in range(spec.search.repeats) for label in spec.gates]
    return open_studies(
        home.path / STUDIES,
        {search.name: spaces[search.label] for search in searches},
        {search.name: rounds[search.label] for search in searches},
        sampler=spec.search.sampler,
        seed=draws_seed(spec),
        goal=goal_of(spec, task),
        behind=recorder.journal,
    )


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


def _setting(spec: Spec, task: Task, home: Home, job: Needs, data: str) -> Setting:
    return Setting(
        task=spec.task.name,
        task_options=spec.task.options,
        recipe=spec.training.recipe(),
        metrics=spec.metrics,
        goal=goal_of(spec, task),
        cpus=job.cpus,
        gpus=job.gpus,
        storage=home.storage.place,
        classes=pack_classes(spec),
        data=data,
    )
