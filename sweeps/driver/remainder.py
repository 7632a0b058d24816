"""What is left of a sweep: its search and its evaluations, to their end."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext

from rich.console import Console

from gatelab.gates.gate import gates
from gatelab.sweeps.cluster.provenance import provenance
from gatelab.sweeps.cluster.sizing import Needs
from gatelab.sweeps.cluster.storage import AT_RUNGS, STATES
from gatelab.sweeps.driver.display import Display
from gatelab.sweeps.driver.evaluations import Plan
from gatelab.sweeps.driver.packed_classes import pack_classes
from gatelab.sweeps.driver.record.losses import told_losses
from gatelab.sweeps.driver.record.record import Record
from gatelab.sweeps.driver.record.summaries import Summaries
from gatelab.sweeps.driver.stops import Halted, Interrupted
from gatelab.sweeps.driver.sweep import Sweep
from gatelab.sweeps.driver.telling import telling
from gatelab.sweeps.driver.tune.ray_jobs import run_jobs
from gatelab.sweeps.driver.widths import find_widths, keep_widths
from gatelab.sweeps.home.files import STUDIES
from gatelab.sweeps.home.home import Home
from gatelab.sweeps.home.parts import begin_part
from gatelab.sweeps.search.studies import open_studies
from gatelab.sweeps.search.study import Study
from gatelab.sweeps.spec.goals import goal_of
from gatelab.sweeps.spec.remarks import told_remarks
from gatelab.sweeps.spec.rounds import rounds_of
from gatelab.sweeps.spec.searches import Search
from gatelab.sweeps.spec.space import draws_seed, space
from gatelab.sweeps.spec.spec import Spec
from gatelab.sweeps.worker.same_data import data_id
from gatelab.tasks.check.warned import warnings_of
from gatelab.tasks.task import Task
from gatelab.tracking.mlflow_system import SystemMetrics
from gatelab.tracking.recorder import Recorder
from gatelab.tracking.schema import Tags
from gatelab.training.jobs import Setting

TIME_OVER = "after {:g} h (search.hours) the search ended, with {} of {} trials of every gate."


class Remainder:
    """What is left of a sweep that is locked: as its studies and its home have it."""

    def __init__(
        self,
        spec: Spec,
        task: Task,
        home: Home,
        job: Needs,
        recorder: Recorder,
        console: Console,
        said: Sequence[str],
    ) -> None:
        """Open the studies.

        Args:
            spec: Of the sweep.
            task: The spec's.
            home: Of the sweep.
            job: What each job needs.
            recorder: Of the sweep's runs.
            console: Where is shown how far it is.
            said: Lines that it has shown already.
        """
        self.spec, self.task, self.home, self.job = spec, task, home, job
        self.recorder, self.console = recorder, console
        self.studies = studies = _studies(spec, task, home, recorder)
        self.plan = plan = _plan(spec, job.members)
        goal, epochs = goal_of(spec, task), spec.training.max_epochs
        self.record = Record(recorder, spec, task, studies, home)
        self.display = Display(console, studies, plan.trials, epochs, goal, said)
        summaries = Summaries(recorder, spec, task, studies, home)
        keys = {label: gate.gate for label, gate in spec.gates.items()}
        self.sweep = Sweep(plan, keys, studies, [summaries, self.record, self.display])

    def to_its_end(self, redeliver: bool) -> Sweep:
        """Search and evaluate what is left; return the sweep, which is finished."""
        lost = self._told_losses()
        gone = lost if redeliver else []  # which will be missing in another store
        if self.sweep.finished:
            self.record.warn_more(gone)
        else:
            self._train(gone)
        if not self.sweep.finished:
            raise Interrupted(self.home)
        for folder in (STATES, AT_RUNGS):
            self.home.storage.remove(folder)
        return self.sweep

    def _told_losses(self) -> list[str]:
        """Say what the studies or the spool have lost; return what the spool has."""
        scored = self.sweep.follow_up.scored()
        lost = told_losses(self.home, self.recorder, self.studies, scored)
        self._warn(filter(None, lost))
        return [*filter(None, lost[1:])]

    def _train(self, gone: Sequence[str]) -> None:
        spec, sweep, record = self.spec, self.sweep, self.record
        found = self._provenance()
        warnings = self._warnings(found)
        self._warn(warnings)
        setting = _setting(
            spec, self.task, self.home, self.job, data_id(self.task, found[Tags.DATA])
        )
        self._find_widths(setting)
        record.start(found, [*warnings, *gone])
        watched = spec.tracking.system_metrics
        with self.display, SystemMetrics(self.recorder, spec.name) if watched else nullcontext():
            run_jobs(sweep, setting)
        if sweep.stopped:
            raise Halted(self.home, sweep.stopped)
        if sweep.trials < self.plan.trials:
            line = TIME_OVER.format(spec.search.hours, sweep.trials, self.plan.trials)
            self._warn([line])
            record.warn(line)

    def _provenance(self) -> dict[str, str]:
        """Return what runs the sweep from here on, as tags."""
        chosen = self.spec.gates.values()
        own = (gates.get(gate.gate) for gate in chosen)
        return provenance(self.task, [*own, *(gate.learner.cls for gate in chosen)])

    def _warnings(self, found: Mapping[str, str]) -> list[str]:
        """Return what is doubtful in the sweep, of the code and the data too that run it."""
        begun = any(study.study.get_trials(deepcopy=False) for study in self.studies.values())
        parts = begin_part(self.home, found, begun=begun)
        return [*warnings_of(self.task), *parts, *told_remarks(self.spec, self.task)]

    def _find_widths(self, setting: Setting) -> None:
        """Find out how many models train together, where that is not said or known."""
        if self.job.gpus and self.spec.resources.members is None:
            with telling(self.console, "How many models are worth training together is tried"):
                find_widths(self.spec, self.task, setting, self.studies, self.display.note)
        keep_widths(self.studies, self.job.members)

    def _warn(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.display.note(f"warning: {line}")


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
