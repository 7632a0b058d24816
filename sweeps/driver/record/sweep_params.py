"""The params of a sweep's run: what all its gates have in common."""

from __future__ import annotations

from gatelab.sweeps.driver.record.data import kinds, searched_rows
from gatelab.sweeps.spec.places import as_recorded
from gatelab.sweeps.spec.spec import Spec
from gatelab.tasks.task import Task
from gatelab.tracking.schema import Params
from gatelab.training.configuration import TARGET_WEIGHTS


def sweep_params(spec: Spec, task: Task) -> dict[str, object]:
    """Return them by the spec's names: task, data, model, optimiser, training and search."""
    return {"task": spec.task.name, **_data(spec, task), **_model(spec), **_search(spec)}


def _data(spec: Spec, task: Task) -> dict[str, object]:
    options = {f"task.{key}": value for key, value in as_recorded(spec.task.options).items()}
    rows = {f"{Params.ROWS}{name}": str(n) for name, n in searched_rows(task).items()}
    return {**options, Params.KINDS: kinds(task), **rows}


def _model(spec: Spec) -> dict[str, object]:
    """Return what networks are and how they learn."""
    own = {"name": spec.optimizer.name, **spec.optimizer.hyperparameters}
    training = {key: value for key, value in spec.training if key != TARGET_WEIGHTS}
    return {
        **{f"model.{key}": value for key, value in spec.model.items()},
        **{f"optimizer.{key}": value for key, value in own.items()},
        **{f"training.{key}": value for key, value in training.items()},
        **{f"training.{TARGET_WEIGHTS}.{n}": v for n, v in spec.training.target_weights.items()},
    }


def _search(spec: Spec) -> dict[str, object]:
    return {
        f"{part}.{key}": value
        for part in ("search", "evaluation")
        for key, value in getattr(spec, part).model_dump().items()
    }
