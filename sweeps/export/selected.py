"""The selected model of a gate, made again from a sweep's record alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor

from gatelab.gates.gate import gates
from gatelab.gates.randomness import drawing_from
from gatelab.registry import near_misses
from gatelab.results.comparison import compare_runs
from gatelab.results.comparison.budgets import WAITING
from gatelab.results.comparison.caveats import partial_line
from gatelab.results.comparison.missing_runs import again
from gatelab.sweeps.export.recorded import read_file, read_saved
from gatelab.sweeps.export.unchanged import check_same_loss, with_same_data
from gatelab.sweeps.spec.places import found_in
from gatelab.sweeps.spec.spec import TaskSpec
from gatelab.tasks.task import Task, tasks
from gatelab.tracking.masking import masked
from gatelab.tracking.runs import RunRecord, SweepRecord
from gatelab.tracking.schema import Artifacts, Metrics, Tags
from gatelab.training.configuration import Configuration
from gatelab.training.copies import Copies
from gatelab.training.learners import DEFAULT, learners
from gatelab.training.model import Model


@dataclass(frozen=True)
class Selected:
    """The model that a gate's evaluation kept."""

    gate: str
    """The gate's name in the spec."""
    run_id: str
    """Of the gate's run."""
    task: Task
    models: list[Model]
    """The one that it is, or one for each target, where each learns in a copy of its own."""
    seed: int
    """Of the evaluation's seeds on the first split, after the best search, the best by the
    objective."""
    test_loss: float
    """What was recorded of that seed as ``test/loss``."""


def chosen_gate(record: SweepRecord, asked: str | None) -> tuple[str, str]:
    """Return the gate that is asked for, or that with the lowest ``test/loss``, and a line.

    The line says how far the sweep is where another gate may still be better; else it is empty.

    Raises:
        ValueError: If no gate is asked for, and none has been evaluated.
    """
    if asked is not None:
        return asked, ""
    comparison = compare_runs(record)
    best = comparison.leader(Metrics.TEST_LOSS)
    if best is None:
        raise ValueError(f"no gate of sweep {record.sweep!r} has been evaluated{_to_come(record)}.")
    return best, partial_line(comparison.conditions[0]) if comparison.running else ""


def read_selected(record: SweepRecord, gate: str, folder: str | Path) -> Selected:
    """Make a gate's selected model, with the tensors that it was trained to.

    Args:
        record: Of a sweep.
        gate: The gate's name in the spec.
        folder: Of results, where the file of a frame lies.

    Raises:
        LookupError: If the sweep has no such gate.
        ValueError: If the gate has no model, or what is installed here cannot make it.
    """
    if gate not in record.gates:
        known = near_misses(gate, record.gates)
        raise LookupError(f"no gate {gate!r} in sweep {record.sweep!r}; {known}")
    _check_evaluated(record, gate)
    run = _own_run(record, gate)
    if not gates.get(run.params["gate"]).trained:
        why = f"it is not trained. {_others(record, run.params['gate'])}"
        raise ValueError(f"{_where(record, gate)} has no model: {why}.")
    saved = read_saved(_where(record, gate), record.uri, run.run_id, gate)
    scored = run_of(record, gate, saved["seed"])
    task = _task(record, Path(folder))
    models = _restored(_where(record, gate), task, saved, scored.metrics.get(Metrics.VAL_LOSS))
    return Selected(
        gate, run.run_id, task, models, saved["seed"], scored.metrics[Metrics.TEST_LOSS]
    )


def _own_run(record: SweepRecord, gate: str) -> RunRecord:
    """Return the run that carries a gate's model."""
    found = record.of("gate", gate)
    if not found:
        raise ValueError(
            f"{_where(record, gate)} has no model: its own run is not in the store: deleted there? "
            f"{again(record.sweep)}."
        )
    return found[0]


def _check_evaluated(record: SweepRecord, gate: str) -> None:
    if not _evaluated(record, gate):
        note = next(b.note for b in compare_runs(record).budgets if b.gate == gate)
        more = _to_come(record) if note == WAITING else ""
        raise ValueError(f"{_where(record, gate)} has no model: {note}{more}.")


def _others(record: SweepRecord, key: str) -> str:
    """Return which gates have a model, where one does not by its key."""
    runs = [run for run in record.of("gate") if run.params.get("gate") != key and not run.row_of]
    found = [run.gate for run in runs if _evaluated(record, run.gate)]
    if found:
        return f"Name another one by `--gate`: {', '.join(found)}"
    return f"No other gate has one{_to_come(record)}"


def _to_come(record: SweepRecord) -> str:
    """Return what to do until a sweep has come to its end; nothing of one that has."""
    if not compare_runs(record).running:
        return ""
    return f"; wait, or `gatelab resume {record.sweep}` goes on where it was stopped"


def _evaluated(record: SweepRecord, gate: str) -> dict[str, RunRecord]:
    """Return the finished evaluation runs of a gate by seed: of several splits, on the first."""
    runs = [run for run in record.of("evaluate", gate) if run.end == "finished"]
    # Named by their number, which goes through the splits; whatever the order of the record.
    runs.sort(key=lambda run: (len(run.name), run.name), reverse=True)
    return {run.seed: run for run in runs}


def run_of(record: SweepRecord, gate: str, seed: int) -> RunRecord:
    """Return the run of the seed whose model was kept.

    Raises:
        ValueError: If there is none.
    """
    found = _evaluated(record, gate).get(str(seed))
    if found is None:
        raise ValueError(f"{_where(record, gate)}: no score of seed {seed}, its model's, is there.")
    return found


def _task(record: SweepRecord, folder: Path) -> Task:
    """Return the sweep's task, by the spec that its run carries."""
    where = f"sweep {record.sweep!r}"
    if record.run is None:
        raise ValueError(
            f"{where}: its own run, which has its spec, is not in {masked(record.uri)}: deleted "
            f"there? {again(record.sweep)}."
        )
    content = read_file(where, record.uri, record.run.run_id, Artifacts.SPEC)
    try:
        spec = TaskSpec.model_validate(yaml.safe_load(content)["task"])
    except (ValueError, TypeError, LookupError, RecursionError, yaml.YAMLError) as error:
        run = record.run.run_id
        raise ValueError(f"{where}: spec.yaml of its run {run} is damaged.") from error
    recorded = record.run.tags.get(Tags.DATA, "")
    try:
        options = found_in(spec.options, folder)
        return with_same_data(partial(tasks.get(spec.name), **options), recorded)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{where}: {error}") from error


def _restored(
    where: str, task: Task, saved: Mapping[str, Any], val_loss: float | None
) -> list[Model]:
    """Make each copy of a model as its configuration says, and fill in its tensors."""
    chosen = Configuration(saved["configuration"])
    try:
        learner = learners.get(chosen.learner or DEFAULT)
        states = Copies(learner.copies(len(task.targets))).apart(saved["state"])
        models = [_made(task, saved, chosen, state) for state in states]
        check_same_loss(task, models, val_loss)
        return models
    except (ValueError, TypeError) as error:
        raise ValueError(f"{where} cannot be made here: {error}") from error


def _made(
    task: Task, saved: Mapping[str, Any], chosen: Configuration, state: Mapping[str, Tensor]
) -> Model:
    with drawing_from(saved["seed"]):
        model = Model(task, gates.get(saved["gate"]), chosen.gate, chosen.model)
    _fill(model, state)
    return model


@torch.no_grad()
def _fill(model: Model, state: Mapping[str, Tensor]) -> None:
    tensors = dict(chain(model.named_parameters(), model.named_buffers()))
    ours, theirs = ({n: tuple(t.shape) for n, t in side.items()} for side in (tensors, state))
    for name in ours | theirs:
        if ours.get(name) != theirs.get(name):
            raise ValueError(
                f"{name} was of shape {theirs.get(name)} when it was trained, but is of "
                f"{ours.get(name)} now: its gate or task has changed."
            )
    for name, tensor in tensors.items():
        tensor.copy_(state[name])


def _where(record: SweepRecord, gate: str) -> str:
    return f"gate {gate!r} of sweep {record.sweep!r}"
