"""The record: a sweep's events as MLflow's runs."""

from __future__ import annotations

import csv
import platform
import subprocess
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np

from sweeps.jobs import Job
from sweeps.scores import MANY_TARGETS
from sweeps.spec import Spec
from sweeps.work import Ending, Step
from tracking.recorder import Recorder
from tracking.selection import seed_agreement

STATUS = {"finished": "FINISHED", "pruned": "FINISHED", "failed": "FAILED"}


class Record:
    """Writes runs nested as sweep > gate > trials and evaluation seeds.

    The values of the weights that a member keeps stand one step after its last epoch, where
    MLflow, which shows the last value, shows them.
    """

    def __init__(
        self, recorder: Recorder, spec: Spec, targets: Sequence[str], folder: Path
    ) -> None:
        """Write through a recorder; files are made in a folder of the sweep's."""
        self.recorder, self.spec, self.targets, self.folder = recorder, spec, targets, folder

    def start(self) -> None:
        """Start the runs of the sweep and of its gates."""
        name = self.spec.name
        params = {"task": self.spec.task.name, **self._flat()}
        tags = {**self._tags("sweep"), **versions(), "gates": ",".join(self.spec.gates)}
        self.recorder.start_run(name, parent=None, name=name, tags=tags, params=params)
        self.recorder.log_artifact(name, self.folder / "spec.yaml")
        for label, gate in self.spec.gates.items():
            tags = {**self._tags("gate", label), **versions()}
            self.recorder.start_run(
                f"{name}/{label}", parent=name, name=label, tags=tags, params={"gate": gate.gate}
            )

    def _flat(self) -> dict[str, object]:
        return {
            f"{part}.{key}": value
            for part in ("training", "search", "evaluation")
            for key, value in getattr(self.spec, part).model_dump().items()
        }

    def _tags(self, stage: str, label: str | None = None) -> dict[str, str]:
        tags = {"sweep": self.spec.name, "task": self.spec.task.name, "stage": stage}
        return tags if label is None else {**tags, "gate": label}

    def _identity(self, job: Job, member: int) -> str:
        return f"{self.spec.name}/{job.label}/{job.stage}/{job.number + member}"

    def started(self, job: Job) -> None:
        """Start a run for each member."""
        for index, member in enumerate(job.members):
            number = job.number + index
            what = "trial" if job.stage == "search" else "seed"
            tags = {**self._tags(job.stage, job.label), "seed": str(member.seed), what: str(number)}
            self.recorder.start_run(
                self._identity(job, index),
                parent=f"{self.spec.name}/{job.label}",
                name=f"{job.label}-{what}-{number:03}",
                tags=tags,
                params={"gate": job.gate, **member.configuration.flat()},
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
            self.recorder.end_run(identity, STATUS[ending.end], end_tags(ending))
        if job.stage == "evaluate":
            self._selected(job, [ending for ending in endings if ending.weights])

    def _selected(self, job: Job, endings: Sequence[Ending]) -> None:
        """Record with the gate what was evaluated: hyperparameters, experts used, the model."""
        identity = f"{self.spec.name}/{job.label}"
        chosen = job.members[0].configuration
        self.recorder.log_params(identity, chosen.flat())
        if not endings:
            return
        means = [np.array(ending.weights) for ending in endings]
        metrics = {"gate/seed_agreement": seed_agreement(means)} if len(means) > 1 else {}
        metrics["val/loss"] = float(np.mean([ending.objective for ending in endings]))
        self.recorder.log_metrics(identity, 0, metrics)
        self.recorder.log_artifact(identity, self._heatmap(job.label, means[0]))
        model = self.folder / "models" / f"{job.label}.pt"
        if model.exists():
            self.recorder.log_artifact(identity, model)

    def _heatmap(self, label: str, weights: np.ndarray) -> Path:
        from tracking import figures  # here: matplotlib takes a second to import

        path = self._file(f"{label}-weights.png")
        title = f"{label}: mean weight on the test split, first seed"
        figures.save(figures.weights_heatmap(weights, self.targets, title), path)
        return path

    def _table(self, name: str, by_target: Mapping[str, Mapping[str, float]]) -> Path:
        path = self._file(name)
        columns = list(dict.fromkeys(key for scores in by_target.values() for key in scores))
        with path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["target", *columns])
            for target, scores in by_target.items():
                writer.writerow([target, *(scores.get(column, "") for column in columns)])
        return path

    def _file(self, name: str) -> Path:
        folder = self.folder / "files"
        folder.mkdir(exist_ok=True)
        return folder / name

    def gate_ended(self, label: str, reason: str) -> None:
        """End a gate's run."""
        end = "failed" if reason else "finished"
        tags = {"end": end, "end.reason": reason or "evaluated"}
        self.recorder.end_run(f"{self.spec.name}/{label}", STATUS[end], tags)


def end_tags(ending: Ending) -> dict[str, str]:
    """Return how, why and when a run ended."""
    reason, epoch = ending.reason, str(ending.epoch)
    return {"end": ending.end, "end.reason": reason, "end.epoch": epoch}


def versions() -> dict[str, str]:
    """Return what a result depends on beside the spec, as far as it can be known."""
    packages = ("gatelab", "torch", "optuna", "ray", "mlflow")
    found = {f"version.{name}": version(name) for name in packages}
    found["version.python"] = platform.python_version()
    git = ["git", "rev-parse", "HEAD"]
    try:
        commit = subprocess.run(git, capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return found
    return found | ({"git.commit": commit.stdout.strip()} if commit.returncode == 0 else {})
