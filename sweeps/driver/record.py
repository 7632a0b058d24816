"""The record: a sweep's events as MLflow's runs."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from gatelab.gates.gate import gates
from gatelab.gates.metrics import seed_agreement
from gatelab.sweeps.driver.home import Home
from gatelab.sweeps.driver.parts import runs_by
from gatelab.sweeps.search.importance import importance
from gatelab.sweeps.search.studies import Study
from gatelab.sweeps.spec.spec import Spec
from gatelab.tasks.metric import Metric, metrics_of
from gatelab.tasks.task import Task
from gatelab.tracking.recorder import Recorder
from gatelab.tracking.schema import COUNTS, ENDS, Artifacts, Directions, Metrics, Tags
from gatelab.training.jobs import Job
from gatelab.training.scores import MANY_TARGETS
from gatelab.training.steps import Ending, Step

MOST_REASONS = 10
"""So many different ones are told with a gate; a tag does not hold them all."""


class Record:
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
            studies: Every gate's search, by its name in the spec.
            home: Of the sweep, for files that go into the record.
        """
        self.recorder, self.spec, self.task = recorder, spec, task
        self.studies, self.home = studies, home
        self.ends = {label: study.ends() for label, study in studies.items()}
        self.reasons = {label: study.reasons() for label, study in studies.items()}
        self.epochs = {
            label: study.epochs() * spec.search.seeds for label, study in studies.items()
        }
        self.traces: dict[str, Path] = {}
        self.started_here: set[str] = set()
        self.by: dict[str, str] = {}

    def start(self, provenance: Mapping[str, str], warnings: Sequence[str] = ()) -> None:
        """Start the runs of the sweep, and of its gates that are not done with."""
        name, self.by = self.spec.name, runs_by(provenance)
        tags = {**self._tags("sweep"), **provenance, Tags.GATES: ",".join(self.spec.gates)}
        if warnings:
            tags[Tags.WARNINGS] = "\n".join(f"{line[0].upper()}{line[1:]}" for line in warnings)
        scored = _metrics(self.task, self.spec.metrics)
        tags |= directions(self.task, self.spec.metrics).to_tags()
        tags |= _meanings({name: metric.meaning() for name, metric in scored.items()})
        tags[Tags.DESCRIPTION] = (
            f"`{name}` is under way: `gatelab compare {name}` shows what there is so far."
        )
        self.recorder.start_run(name, parent=None, name=name, tags=tags, params=self._params())
        self.recorder.log_artifact(name, self.home.path / Artifacts.SPEC)
        for label, gate in self.spec.gates.items():
            if "done" in self.studies[label].attributes:
                continue  # its run has ended, and would never end again
            tags = {**self._tags("gate", label), **provenance}
            tags |= _meanings(gates.get(gate.gate).diagnostics)
            self.recorder.start_run(
                f"{name}/{label}", parent=name, name=label, tags=tags, params={"gate": gate.gate}
            )

    def _params(self) -> dict[str, object]:
        """Return what all gates have in common, by the spec's names."""
        task = {f"task.{key}": value for key, value in self.spec.task.options.items()}
        parts = {
            f"{part}.{key}": value
            for part in ("training", "search", "evaluation")
            for key, value in getattr(self.spec, part).model_dump().items()
        }
        model = {f"model.{key}": value for key, value in self.spec.model.items()}
        optimizer = {f"optimizer.{key}": value for key, value in self.spec.optimizer}
        return {"task": self.spec.task.name, **task, **model, **optimizer, **parts}

    def _tags(self, stage: str, label: str | None = None) -> dict[str, str]:
        tags = {Tags.SWEEP: self.spec.name, Tags.TASK: self.spec.task.name, Tags.STAGE: stage}
        return tags if label is None else {**tags, Tags.GATE: label}

    def _identity(self, job: Job, member: int) -> str:
        return f"{self.spec.name}/{job.label}/{job.stage}/{job.number + member}"

    def started(self, job: Job) -> None:
        """Start a run for each member, unless it goes on from a rung."""
        if self._identity(job, 0) in self.started_here:
            return
        self.started_here.add(self._identity(job, 0))
        for index, member in enumerate(job.members[: job.told]):
            number = job.number + index
            what = "trial" if job.stage == "search" else "seed"
            seeds = job.members if job.stage == "search" else (member,)
            tags = {**self._tags(job.stage, job.label), **self.by}
            tags[Tags.SEED] = ",".join(str(one.seed) for one in seeds)
            if job.stage == "search":
                tags[Tags.TRIAL] = str(number)
            self.recorder.start_run(
                self._identity(job, index),
                parent=f"{self.spec.name}/{job.label}",
                name=f"{job.label}-{what}-{number:03}",
                tags=tags,
                params={"gate": job.gate, **member.configuration.values},
            )

    def progressed(self, job: Job, step: Step) -> None:
        """Record every epoch's metrics."""
        for member, epoch, metrics in step.epochs:
            self.recorder.log_metrics(self._identity(job, member), epoch, metrics)

    def ended(self, job: Job, endings: Sequence[Ending]) -> None:
        """End the members' runs with the scores of the weights that they keep."""
        for member, ending in enumerate(endings):
            identity = self._identity(job, member)
            if ending.metrics:
                self.recorder.log_metrics(identity, ending.epoch + 1, ending.metrics)
            if len(ending.by_target) > MANY_TARGETS:
                name = f"{job.label}-{member}-targets.csv"
                self.recorder.log_artifact(identity, self._table(name, ending.by_target))
            if ending.trace:
                self.recorder.log_artifact(identity, self._trace(job, member, ending.trace))
            self.recorder.end_run(identity, ENDS[ending.end], end_tags(ending))
        if job.stage == "search":
            self._count(job.label, endings[0])
        else:
            self._selected(job, endings)

    def _count(self, label: str, ending: Ending) -> None:
        """Record with the gate how its trials ended, so that nobody need read them all."""
        ends, reasons = self.ends[label], self.reasons[label]
        ends[ending.end] += 1
        self.epochs[label] += ending.epoch * self.spec.search.seeds
        counts = {key: float(ends[end]) for end, key in COUNTS.items()}
        counts[Metrics.SEARCH_EPOCHS] = float(self.epochs[label])
        identity = f"{self.spec.name}/{label}"
        self.recorder.log_metrics(identity, ends.total(), counts)
        if ending.end == "failed":
            reasons[ending.reason[:500]] += 1
            common = dict(reasons.most_common(MOST_REASONS))
            self.recorder.set_tags(identity, {Tags.FAILURES: json.dumps(common)})

    def _selected(self, job: Job, endings: Sequence[Ending]) -> None:
        """Record with the gate what was evaluated: hyperparameters, means over seeds, the model."""
        identity = f"{self.spec.name}/{job.label}"
        self.recorder.log_params(identity, job.members[0].configuration.values)
        seeds = [m.seed for m, e in zip(job.members, endings, strict=True) if e.weights]
        endings = [ending for ending in endings if ending.weights]
        if not endings:
            return
        weights = [np.array(ending.weights) for ending in endings]
        metrics = over_seeds([ending.metrics for ending in endings])
        if len(weights) > 1:
            metrics["gate/seed_agreement"] = seed_agreement(weights)
        trials = self.studies[job.label].study.get_trials(deepcopy=False)
        metrics |= {
            f"{Metrics.IMPORTANCE}{name}": value for name, value in importance(trials).items()
        }
        self.recorder.log_metrics(identity, self.ends[job.label].total() + 1, metrics)
        self.recorder.log_artifact(identity, self._weights(job.label, seeds, endings))
        model = self.home.path / "files" / job.label / f"{job.label}.pt"
        if self.home.storage.get(f"models/{job.label}.pt", model):
            self.recorder.log_artifact(identity, model)

    def _weights(self, label: str, seeds: Sequence[int], endings: Sequence[Ending]) -> Path:
        """Write the mean weight and the load of every expert, by seed and target."""
        names = [target.name for target in self.task.targets]
        truth = self.task.truth
        groups: Sequence[object] = truth.groups if truth else [""] * len(names)
        rows = (
            (seed, name, group, expert, weight, load)
            for seed, ending in zip(seeds, endings, strict=True)
            for name, group, weights, loads in zip(
                names, groups, ending.weights, ending.load, strict=True
            )
            for expert, (weight, load) in enumerate(zip(weights, loads, strict=True))
        )
        header = ["seed", "target", "group", "expert", "weight", "load"]
        return self._write(f"{label}/{Artifacts.WEIGHTS}", header, rows)

    def _table(self, name: str, by_target: Mapping[str, Mapping[str, float]]) -> Path:
        columns = list(dict.fromkeys(key for scores in by_target.values() for key in scores))
        rows = (
            (target, *(scores.get(column, "") for column in columns))
            for target, scores in by_target.items()
        )
        return self._write(name, ["target", *columns], rows)

    def _trace(self, job: Job, member: int, trace: str) -> Path:
        """Write where an error was raised, beside what else the sweep leaves."""
        folder = f"{job.label}-{job.stage}-{job.number + member:03}"
        path = self.home.path / Artifacts.TRACES / folder / Artifacts.TRACE
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(trace)
        self.traces.setdefault(job.label, path)
        return path

    def _write(self, name: str, header: Sequence[str], rows: Iterable[Sequence[object]]) -> Path:
        path = self.home.path / "files" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(header)
            writer.writerows(rows)
        return path

    def gate_ended(self, label: str, reason: str) -> None:
        """End a gate's run."""
        if label in self.traces and reason:
            reason = f"{reason}; traceback in {self.traces[label]}"
        end = "failed" if reason else "finished"
        tags = {Tags.END: end, Tags.END_REASON: reason or "evaluated"}
        self.recorder.end_run(f"{self.spec.name}/{label}", ENDS[end], tags)


def directions(task: Task, chosen: Sequence[str] | None) -> Directions:
    """Return of which of a task's metrics more is better, and of which less."""
    found = _metrics(task, chosen)
    higher = {name for name, metric in found.items() if metric.higher_is_better}
    return Directions(tuple(sorted(higher)), tuple(sorted(found.keys() - higher)))


def _metrics(task: Task, chosen: Sequence[str] | None) -> dict[str, Metric]:
    return {n: m for target in task.targets for n, m in metrics_of(target, chosen).items()}


def _meanings(found: Mapping[str, str]) -> dict[str, str]:
    """Return meanings as a tag; none where there is none."""
    return {Tags.MEANINGS: json.dumps({n: m[:200] for n, m in found.items()})} if found else {}


def over_seeds(metrics: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return means over seeds under the metrics' own keys, so that gates line up in MLflow.

    Beside them the standard deviation of the test metrics, which MLflow cannot compute.
    """
    keys = [key for key in metrics[0] if all(key in scores for scores in metrics)]
    values = {key: np.array([scores[key] for scores in metrics]) for key in keys}
    found = {key: float(array.mean()) for key, array in values.items()}
    if len(metrics) > 1:
        tests = (key for key in keys if key.startswith("test/"))
        found |= {f"{Metrics.DEVIATION}{key}": float(values[key].std(ddof=1)) for key in tests}
    return found


def end_tags(ending: Ending) -> dict[str, str]:
    """Return how, why and when a run ended."""
    reason, epoch = ending.reason, str(ending.epoch)
    return {Tags.END: ending.end, Tags.END_REASON: reason, Tags.END_EPOCH: epoch}
