"""A task's data in plain values, for the record: kinds of targets, rows, schema."""

from __future__ import annotations

from collections import Counter

from gatelab.sweeps.spec.places import as_recorded
from gatelab.sweeps.spec.spec import Spec
from gatelab.tasks.target import Kind
from gatelab.tasks.task import Task

DTYPES: dict[Kind, str] = {"regression": "float32", "binary": "float32", "multiclass": "int64"}
"""By kind what a target's values are, as MLflow names it."""


def kinds(task: Task) -> str:
    """Return how many targets there are of each kind."""
    counts = Counter(target.kind for target in task.targets)
    several = "s" if len(task.targets) > 1 else ""
    return f"{' + '.join(f'{n} {kind}' for kind, n in counts.items())} target{several}"


def searched_rows(task: Task) -> dict[str, int]:
    """Return the rows of the splits that a search reads."""
    return {name: len(task.data(name).inputs) for name in ("train", "val")}


def dataset_of(task: Task, spec: Spec, digest: str) -> dict[str, object]:
    """Return what :meth:`.recorder.Recorder.log_data` takes of a task."""
    inputs = task.data("train").inputs
    return {
        "name": spec.task.name,
        "options": {key: str(value) for key, value in as_recorded(spec.task.options).items()},
        "digest": digest,
        "inputs": [str(inputs.dtype).removeprefix("torch."), list(inputs.shape[1:])],
        "targets": {target.name: DTYPES[target.kind] for target in task.targets},
        "rows": searched_rows(task),
    }
