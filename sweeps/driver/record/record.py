"""The record: a sweep's events as MLflow's runs."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from shutil import rmtree

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
    COUNTS,
    ENDS,
    UNWEIGHTED_LOSS,
    Artifacts,
    Metrics,
    Params,
    Tags,
)
from gatelab.training.configuration import LEARNER
from gatelab.training.jobs import Job
from gatelab.training.scores import MANY_TARGETS
from gatelab.training.steps import Ending, Step
from gatelab.training.weighting import MEANING, told_weighting

LOG = logging.getLogger(__name__)
FIRST_EPOCH = 1
"""The first epoch."""
MOST_REASONS = 10
"""So many different ones are told with a gate; a tag does not hold them all."""


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
        self.ends: dict[str, Counter[str]] = {label: Counter() for label in spec.gates}
        self.reasons: dict[str, Counter[str]] = {label: Counter() for label in spec.gates}
        self.epochs: Counter[str] = Counter()
        for found, study in studies.items():
            label = Search.of(found).label
            self.ends[label] += study.outcomes.ends()
            self.reasons[label] += study.outcomes.reasons()
            self.epochs[label] += study.outcomes.epochs()
        self.traces: dict[str, Path] = {}
        self.started_here: set[str] = set()
        self.by: dict[str, str] = {}
        self.warnings: list[str] = []

    def start(self, provenance: Mapping[str, str], warnings: Sequence[str] = ()) -> None:
        """Start the runs of the sweep, and of its gates that are not done with."""
        name, self.by = self.spec.name, runs_by(provenance)
        tags = {**self._tags("sweep"), **provenance, Tags.GATES: ",".join(self.spec.gates)}
        tags[Tags.HOME] = self.home.id
        if self.home.before:
            tags[Tags.GOES_ON_FROM] = ",".join(self.home.before)
        weighted = told_weighting(self.task)
        self.warnings += [*warnings, *weighted, *told_target_weights(self.spec)]
        tags |= self._warned()
        scored = scored_metrics(self.task, self.spec.metrics)
        tags |= directions(self.task, self.spec.metrics).to_tags()
        meanings = {name: metric.meaning() for name, metric in scored.items()}
        tags |= meanings_tag(meanings | ({UNWEIGHTED_LOSS: MEANING} if weighted else {}))
        tags[Tags.DESCRIPTION] = (
            f"`{name}` is under way: `gatelab compare {name}` shows what there is so far."
        )
        self.recorder.start_run(
            name, parent=None, name=name, tags=tags, params=sweep_params(self.spec, self.task)
        )
        self.recorder.log_artifact(name, self.home.path / Artifacts.SPEC)
        digest = provenance.get(Tags.DATA, "")
        self.recorder.log_data(name, dataset_of(self.task, self.spec, digest))
        for label, gate in self.spec.gates.items():
            searches = [*of_gate(label, self.studies).values()]
            if all(DONE in study.attributes for study in searches):
                continue  # its run has ended, and would never end again
            cls, learner = gates.get(gate.gate), gate.learner
            tags = {**self._tags("gate", label), **provenance, **kind_tags(cls)}
            tags |= meanings_tag({**cls.diagnostics, **learner.cls.diagnostics})
            tags |= {Tags.GIVEN: learner.cls.given} if cls.trained else {}
            widths = {it.attributes[TOGETHER] for it in searches if TOGETHER in it.attributes}
            tags |= {Tags.MEMBERS: str(max(widths))} if widths else {}
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
            self._keep_trace(job, member, ending.trace)
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
        """Record with the gate how its trials ended, so that nobody need read them all."""
        ends, reasons = self.ends[label], self.reasons[label]
        ends[ending.end] += 1
        self.epochs[label] += ending.trained
        counts = {key: float(ends[end]) for end, key in COUNTS.items()}
        counts[Metrics.SEARCH_EPOCHS] = float(self.epochs[label])
        identity = f"{self.spec.name}/{label}"
        self.recorder.log_metrics(identity, ends.total(), counts)
        if ending.end == "failed":
            reasons[ending.reason[:500]] += 1
            common = dict(reasons.most_common(MOST_REASONS))
            self.recorder.set_tags(identity, {Tags.FAILURES: json.dumps(common)})

    def _table(self, name: str, by_target: Mapping[str, Mapping[str, float]]) -> Path:
        columns = list(dict.fromkeys(key for scores in by_target.values() for key in scores))
        rows = (
            (target, *(scores.get(column, "") for column in columns))
            for target, scores in by_target.items()
        )
        return write_table(self.home, name, ["target", *columns], rows)

    def _keep_trace(self, job: Job, member: int, trace: str) -> None:
        """Keep where an error was raised, beside what else the sweep leaves; or forget it.

        A resume repeats evaluations that have failed: what has a score has no traceback.
        """
        folder = f"{job.run.replace('/', '-')}-{job.number + member:03}"
        path = self.home.path / Artifacts.TRACES / folder / Artifacts.TRACE
        if not trace:
            rmtree(path.parent, ignore_errors=True)
            with suppress(OSError):  # others' are there, or none
                path.parent.parent.rmdir()
            return
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(trace, encoding="utf-8", errors="backslashreplace")
        except OSError as error:  # no traceback is worth a sweep's end
            LOG.warning("%s cannot be written: %s", path, error.strerror)
            return
        if job.stage == "evaluate" or job.label not in self.traces:
            self.traces[job.label] = path  # of what its gate's reason says
        self.recorder.log_artifact(self._identity(job, member), path)

    def gate_ended(self, label: str, reason: str) -> None:
        """End the run of a gate, or of a row of it."""
        if label in self.traces and reason:
            reason = f"{reason}; traceback in {self.traces[label]}"
        end = "failed" if reason else "finished"
        tags = {Tags.END: end, Tags.END_REASON: reason or "evaluated"}
        self.recorder.end_run(f"{self.spec.name}/{label}", ENDS[end], tags)


def _nothing_known(searches: Sequence[Study]) -> bool:
    """Return whether a gate's searches are new; where it is recorded they were lost."""
    return not any(study.trials or study.ended or _is_scored(study) for study in searches)


def _is_scored(study: Study) -> bool:
    return bool(study.attributes.get(EVALUATED)) or DONE in study.attributes
