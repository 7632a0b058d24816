"""The record: a sweep's events as MLflow's runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from gatelab.gates.gate import gates
from gatelab.sweeps.driver.listener import Listener
from gatelab.sweeps.driver.record.data import dataset_of
from gatelab.sweeps.driver.record.run_words import (
    directions,
    end_tags,
    kind_tags,
    meanings_tag,
    scored_metrics,
    title,
)
from gatelab.sweeps.driver.record.sweep_params import sweep_params
from gatelab.sweeps.driver.record.traces import Traces
from gatelab.sweeps.driver.record.trial_ends import TrialEnds
from gatelab.sweeps.driver.saved_states import saved_state
from gatelab.sweeps.home.home import Home
from gatelab.sweeps.home.parts import runs_by
from gatelab.sweeps.home.written_table import write_table
from gatelab.sweeps.search.attributes import DONE, EVALUATED, TOGETHER
from gatelab.sweeps.search.study import Study
from gatelab.sweeps.spec.conditional import active
from gatelab.sweeps.spec.searches import Search, of_gate
from gatelab.sweeps.spec.spec import Spec
from gatelab.sweeps.spec.steps import told_target_weights
from gatelab.tasks.task import Task, split_seeds
from gatelab.tracking.recorder import Recorder
from gatelab.tracking.schema import (
    ENDS,
    UNWEIGHTED_LOSS,
    Artifacts,
    Params,
    Tags,
)
from gatelab.training.configuration import LEARNER
from gatelab.training.jobs import Job
from gatelab.training.scores import MANY_TARGETS
from gatelab.training.steps import Ending, Step
from gatelab.training.weighting import MEANING, told_weighting

FIRST_EPOCH = 1
"""The first epoch."""
UNDER_WAY_TEXT = "`{0}` is under way: `gatelab compare {0}` shows what there is so far."
"""The page of a sweep's run until it ends."""


class Record(Listener):
    """Writes runs nested as sweep > gate > trials and evaluation seeds.

    The values of the weights that a member keeps stand one step after its last epoch, where
    MLflow, which shows the last value, shows them.
    """

    def __init__(
        self,
        recorder: Recorder,
        spec: Spec,
        task: Task,
        studies: Mapping[str, Study],
        home: Home,
    ) -> None:
        """Write through a recorder.

        Args:
            recorder: Delivers.
            spec: Names the sweep and what its runs are of.
            task: Names the targets, and their planted groups.
            studies: Every search, by its name.
            home: Of the sweep, for files that go into the record.
        """
        self.recorder, self.spec, self.task = recorder, spec, task
        self.studies, self.home = studies, home
        self.trials = TrialEnds(spec.gates, studies)
        self.traces = Traces(home.path)
        self.started_here: set[str] = set()
        self.by: dict[str, str] = {}
        self.warnings: list[str] = []

    def start(self, provenance: Mapping[str, str], warnings: Sequence[str] = ()) -> None:
        """Start the runs of the sweep, and of its gates that are not done with."""
        self.by = runs_by(provenance)
        self._start_sweep(provenance, warnings)
        for label in self.spec.gates:
            searches = [*of_gate(label, self.studies).values()]
            if not all(DONE in study.attributes for study in searches):
                self._start_gate(label, searches, provenance)
            # Else its run has ended, and would never end again.

    def _start_sweep(self, provenance: Mapping[str, str], warnings: Sequence[str]) -> None:
        name, spec = self.spec.name, self.spec
        weighted = told_weighting(self.task)
        self.warnings += [*warnings, *weighted, *told_target_weights(spec)]
        meanings = {
            key: it.meaning() for key, it in scored_metrics(self.task, spec.metrics).items()
        }
        tags = {
            **self._tags("sweep"),
            **provenance,
            Tags.GATES: ",".join(spec.gates),
            Tags.HOME: self.home.id,
            **({Tags.GOES_ON_FROM: ",".join(self.home.before)} if self.home.before else {}),
            **self._warned(),
            **directions(self.task, spec.metrics).to_tags(),
            **meanings_tag(meanings | ({UNWEIGHTED_LOSS: MEANING} if weighted else {})),
            Tags.DESCRIPTION: UNDER_WAY_TEXT.format(name),
        }
        params = sweep_params(spec, self.task)
        self.recorder.start_run(name, parent=None, name=name, tags=tags, params=params)
        self.recorder.log_artifact(name, self.home.path / Artifacts.SPEC)
        digest = provenance.get(Tags.DATA, "")
        self.recorder.log_data(name, dataset_of(self.task, spec, digest))

    def _start_gate(
        self, label: str, searches: Sequence[Study], provenance: Mapping[str, str]
    ) -> None:
        gate, name = self.spec.gates[label], self.spec.name
        cls, learner = gates.get(gate.gate), gate.learner
        widths = {it.attributes[TOGETHER] for it in searches if TOGETHER in it.attributes}
        tags = {
            **self._tags("gate", label),
            **provenance,
            **kind_tags(cls),
            **meanings_tag({**cls.diagnostics, **learner.cls.diagnostics}),
            **({Tags.GIVEN: learner.cls.given} if cls.trained else {}),
            **({Tags.MEMBERS: str(max(widths))} if widths else {}),
        }
        named = {} if learner.is_default else {LEARNER: learner.name}
        self.recorder.start_run(
            f"{name}/{label}",
            parent=name,
            name=label,
            tags=tags,
            params={"gate": gate.gate, **named},
            anew=_nothing_known(searches),
        )

    def warn_more(self, lines: Sequence[str]) -> None:
        """Record more warnings with a sweep of which nothing is left to start."""
        if lines:
            self.warnings = self.recorder.last_tag(self.spec.name, Tags.WARNINGS).splitlines()
        for line in lines:
            self.warn(line)

    def warn(self, line: str) -> None:
        """Record with the sweep what else a reader must know."""
        self.warnings.append(line)
        self.recorder.set_tags(self.spec.name, self._warned())

    def _warned(self) -> dict[str, str]:
        lines = [f"{line[0].upper()}{line[1:]}" for line in dict.fromkeys(self.warnings)]
        return {Tags.WARNINGS: "\n".join(lines)} if lines else {}

    def _tags(self, stage: str, label: str | None = None) -> dict[str, str]:
        tags = {Tags.SWEEP: self.spec.name, Tags.TASK: self.spec.task.name, Tags.STAGE: stage}
        return tags if label is None else {**tags, Tags.GATE: label}

    def _identity(self, job: Job, member: int) -> str:
        return f"{self.spec.name}/{job.run}/{job.number + member}"

    def started(self, job: Job) -> None:
        """Start a run for each member, unless it goes on from a rung."""
        if self._identity(job, 0) in self.started_here:
            return
        self.started_here.add(self._identity(job, 0))
        if job.stage == "evaluate" and job.label not in self.spec.gates:
            self._start_row(job)
        self._start_members(job, anew=saved_state(self.studies, job) is None)

    def _start_members(self, job: Job, *, anew: bool) -> None:
        parents = self.studies[job.of_search].space.parents
        for index, member in enumerate(job.members[: job.told]):
            self.recorder.start_run(
                self._identity(job, index),
                parent=f"{self.spec.name}/{job.label}",
                name=title(job, index),
                tags=self._member_tags(job, index),
                params={"gate": job.gate, **active(member.configuration.values, parents)},
                anew=anew,
            )

    def _start_row(self, job: Job) -> None:
        """Start the run of a gate's best at one k, if it is not there yet."""
        of, name = Search.of(job.of_search), self.spec.name
        searches = [*of_gate(of.label, self.studies).values()]
        tags = {**self._tags("gate", job.label), **self.by, Tags.ROW_OF: of.label}
        tags |= kind_tags(gates.get(job.gate))
        self.recorder.start_run(
            f"{name}/{job.label}",
            parent=name,
            name=job.label,
            tags=tags,
            params={"gate": job.gate},
            anew=not any(_is_scored(study) for study in searches),
        )

    def _member_tags(self, job: Job, index: int) -> dict[str, str]:
        """Return the tags of the run of a trial, or of one of an evaluation's seeds."""
        seeds = job.members if job.stage == "search" else job.members[index : index + 1]
        tags = {**self._tags(job.stage, job.label), **self.by}
        tags[Tags.SEED] = ",".join(str(one.seed) for one in seeds)
        tags[Tags.REPEAT] = str(Search.of(job.of_search).repeat)
        if job.stage == "search":
            tags[Tags.TRIAL] = str(job.number)
        elif split_seeds(self.task):
            own = self.spec.task.options.get("split_seed", 0)
            tags[Tags.SPLIT_SEED] = str(own if job.split_seed is None else job.split_seed)
        return tags

    def progressed(self, job: Job, step: Step) -> None:
        """Record every epoch's metrics; of what is trained again from its beginning these alone."""
        if any(
            epoch == FIRST_EPOCH
            and self.recorder.has_step(self._identity(job, member), FIRST_EPOCH)
            for member, epoch, _ in step.epochs
        ):
            self._start_members(job, anew=True)
        for member, epoch, metrics in step.epochs:
            self.recorder.log_metrics(self._identity(job, member), epoch, metrics)

    def ended(self, job: Job, endings: Sequence[Ending]) -> None:
        """End the members' runs with the scores of the weights that they keep."""
        for member, ending in enumerate(endings):
            identity = self._identity(job, member)
            if ending.metrics:
                self.recorder.log_last(identity, ending.epoch + 1, ending.metrics)
            if len(ending.by_target) > MANY_TARGETS:
                name = f"{job.run}/{job.number + member}/{Artifacts.TARGETS}"
                self.recorder.log_artifact(identity, self._table(name, ending.by_target))
            if trace := self.traces.keep(job, member, ending.trace):
                self.recorder.log_artifact(identity, trace)
            tags = end_tags(ending)
            if job.number + member == 0 and ending.test_rows:  # of the first split, as the others
                test = {Params.TEST_ROWS: ending.test_rows}
                self.recorder.log_params(self.spec.name, test)
            if job.stage == "evaluate" and split_seeds(self.task):
                tags[Tags.TEST_TO_TRAIN] = str(ending.test_to_train)
            self.recorder.end_run(identity, ENDS[ending.end], tags)
        if job.stage == "search":
            self._count(job.label, endings[0])

    def _count(self, label: str, ending: Ending) -> None:
        """Record with the gate how its trials ended."""
        self.trials.add(label, ending)
        identity = f"{self.spec.name}/{label}"
        self.recorder.log_metrics(identity, self.trials.total(label), self.trials.metrics(label))
        if ending.end == "failed":
            self.recorder.set_tags(identity, self.trials.failures(label))

    def _table(self, name: str, by_target: Mapping[str, Mapping[str, float]]) -> Path:
        columns = list(dict.fromkeys(key for scores in by_target.values() for key in scores))
        rows = (
            (target, *(scores.get(column, "") for column in columns))
            for target, scores in by_target.items()
        )
        return write_table(self.home, name, ["target", *columns], rows)

    def gate_ended(self, label: str, reason: str) -> None:
        """End the run of a gate, or of a row of it."""
        if reason and (trace := self.traces.of_gate(label)):
            reason = f"{reason}; traceback in {trace}"
        end = "failed" if reason else "finished"
        tags = {Tags.END: end, Tags.END_REASON: reason or "evaluated"}
        self.recorder.end_run(f"{self.spec.name}/{label}", ENDS[end], tags)


def _nothing_known(searches: Sequence[Study]) -> bool:
    """Return whether a gate's searches are new; where it is recorded they were lost."""
    return not any(study.trials or study.ended or _is_scored(study) for study in searches)


def _is_scored(study: Study) -> bool:
    return bool(study.attributes.get(EVALUATED)) or DONE in study.attributes
