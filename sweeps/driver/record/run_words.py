"""What MLflow is told of runs: their titles, and the tags that say what they and metrics are."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from gatelab.gates.gate import Gate
from gatelab.sweeps.spec.searches import Search
from gatelab.tasks.metric import Metric, metrics_of
from gatelab.tasks.task import Task
from gatelab.tracking.schema import Directions, Tags
from gatelab.training.jobs import Job, Stage
from gatelab.training.steps import Ending


def title(job: Job, index: int) -> str:
    """Return what MLflow calls the run of a trial, or of one of an evaluation's seeds."""
    repeat = Search.of(job.of_search).repeat if job.stage == "search" else 0
    return run_title(job.label, job.stage, job.number + index, repeat)


def run_title(label: str, stage: Stage, number: int, repeat: int = 0) -> str:
    """Return what MLflow calls a run of a label; an evaluation's number tells its repeat."""
    what = {"search": "trial", "evaluate": "seed"}[stage]
    part = f"{repeat}-" if repeat else ""
    return f"{label}-{what}-{part}{number:03}"


def kind_tags(gate: type[Gate]) -> dict[str, str]:
    """Return the tags that say as what a gate is compared."""
    return {Tags.ROLE: gate.role, **({Tags.HARDENS: "yes"} if gate.hardens else {})}


def directions(task: Task, chosen: Sequence[str] | None) -> Directions:
    """Return of which of a task's metrics more is better, and of which less."""
    found = scored_metrics(task, chosen)
    higher = {name for name, metric in found.items() if metric.higher_is_better}
    return Directions(tuple(sorted(higher)), tuple(sorted(found.keys() - higher)))


def scored_metrics(task: Task, chosen: Sequence[str] | None) -> dict[str, Metric]:
    """Return the metrics of all targets by name."""
    return {n: m for target in task.targets for n, m in metrics_of(target, chosen).items()}


def meanings_tag(found: Mapping[str, str]) -> dict[str, str]:
    """Return meanings as a tag; none where there is none."""
    return {Tags.MEANINGS: json.dumps({n: m[:200] for n, m in found.items()})} if found else {}


def end_tags(ending: Ending) -> dict[str, str]:
    """Return how, why and when a run ended."""
    reason, epoch = ending.reason, str(ending.epoch)
    tags = {Tags.END: ending.end, Tags.END_REASON: reason, Tags.END_EPOCH: epoch}
    return tags | ({Tags.BROKEN: "yes"} if ending.broken and ending.end != "failed" else {})
