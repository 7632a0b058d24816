"""Export: the selected model of a sweep's gate, into MLflow's model registry."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import redirect_stderr
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor

from gatelab.results.comparing import read_sweeps
from gatelab.sweeps.export.forms import save_of_rows, save_of_tensors
from gatelab.sweeps.export.predictor import Predictor
from gatelab.sweeps.export.selected import Selected, chosen_gate, read_selected
from gatelab.sweeps.spec.spec import NAME_PATTERN
from gatelab.tasks.tables.table import Table
from gatelab.tracking import mlflow_model
from gatelab.tracking.schema import FOLDER, Metrics, Tags

TOLERANCE = 1e-4
"""Between the outputs of the model as trained and as exported, relative and absolute."""


@dataclass(frozen=True)
class Exported:
    """A model in the registry, and the score that it was recorded with."""

    name: str
    version: int
    uri: str
    """``models:/<name>/<version>``, by which MLflow loads and serves it."""
    gate: str
    """The gate's name in the spec."""
    seed: int
    """Of the evaluation's seeds on the first split, after the best search, the best by the
    objective."""
    test_loss: float
    """What was recorded of that seed as ``test/loss``."""
    flavour: str
    """MLflow's module that loads it: ``pyfunc`` takes the rows of a table, ``pytorch`` tensors."""
    partial: str = ""
    """How far the sweep is, where no gate was asked for and another may still be better."""


def export(
    sweep: str,
    *,
    gate: str | None = None,
    name: str | None = None,
    dense: bool = False,
    folder: str | Path = FOLDER,
    uri: str | None = None,
) -> Exported:
    """Put the selected model of a gate in the registry; each time it is a new version.

    Args:
        sweep: Its name.
        gate: The gate's name in the spec; by default of the one with the lowest ``test/loss``.
        name: Of the registered model; by default ``<sweep>-<gate>``.
        dense: Let the model compute every expert for every example, not only the selected ones.
        folder: Of the store.
        uri: MLflow's tracking URI; by default what the sweep's launch in the folder named, or the
            SQLite store there.

    Raises:
        LookupError: If there is no such sweep, or no such gate in it.
        ValueError: If there is no model, or it cannot be made or exported here, or the name is bad.
        StoreUnavailable: If the store cannot be used.
    """
    (record,) = read_sweeps(sweep, folder=folder, uri=uri)
    label, partial = chosen_gate(record, gate)
    name = f"{record.sweep}-{label}" if name is None else name
    if not re.fullmatch(NAME_PATTERN, name):
        raise ValueError(
            f"`name` must be letters, digits and `_.-`, the first no sign, but got {name!r}."
        )
    selected = read_selected(record, label, folder)
    tags = {Tags.SWEEP: record.sweep, Tags.GATE: label, Tags.SEED: str(selected.seed)}
    tags[Metrics.TEST_LOSS] = repr(selected.test_loss)
    with TemporaryDirectory() as place:
        made = Path(place) / "model"
        save_tried(selected, dense, made, tags)
        version = mlflow_model.register_model(record.uri, selected.run_id, made, name, tags)
    return Exported(
        name,
        version.version,
        version.uri,
        label,
        selected.seed,
        selected.test_loss,
        "pyfunc" if isinstance(selected.task, Table) else "pytorch",
        partial,
    )


def save_tried(selected: Selected, dense: bool, folder: Path, tags: Mapping[str, str]) -> None:
    """Save a model for MLflow, and try what was saved on rows of the val split.

    Args:
        selected: Has the model, and the task whose rows it reads.
        dense: As for :func:`export`.
        folder: Where it is made.
        tags: What stands in its description, beside its columns.

    Raises:
        ValueError: If the model cannot be traced, or gives other outputs then.
    """
    save = save_of_rows if isinstance(selected.task, Table) else save_of_tensors
    predictor = Predictor(*selected.models, dense=dense)
    described = {**tags, "experts": "all" if dense else "selected"}
    try:
        with redirect_stderr(StringIO()):  # torch prints the graph that it came to
            tried = save(selected.task, predictor, folder, described)
    except Exception as error:  # which one depends on what torch.export stumbles over
        why = next(iter(str(error).splitlines()), type(error).__name__)
        other = "" if dense else " (with `dense`, which computes every expert, it may)"
        message = f"gate {selected.gate!r} does not go through torch.export{other}: {why}"
        raise ValueError(message) from error
    for found, expected in tried:
        _check_close(selected.gate, found, expected)


def _check_close(gate: str, found: Tensor, expected: Tensor) -> None:
    if not torch.allclose(found, expected, TOLERANCE, TOLERANCE):
        apart = (found - expected).abs().max().item()
        raise ValueError(
            f"gate {gate!r} gives other outputs through torch.export: on {len(found)} rows of the "
            f"val split they are up to {apart:.2g} apart."
        )
