"""The forms in which a model is saved: one takes tensors, the other the raw rows of a table."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pandas as pd
import pyarrow as pa
import torch
from torch import Tensor

from gatelab.sweeps.export.predictor import Predictor, columns
from gatelab.sweeps.export.raw_graph import RawGraph, standardised_values, value_names, values_of
from gatelab.sweeps.export.units import InUnits
from gatelab.tasks.tables.table import Table
from gatelab.tasks.task import Task
from gatelab.tracking import mlflow_model, mlflow_rows

EXAMPLE_ROWS, CHECKED_ROWS = 5, 64
"""Of the val split: how many stand beside the model, and on how many it is tried."""
Tried = list[tuple[Tensor, Tensor]]
"""What the saved model gives, and what the model gives as it was trained, on the same rows."""


def save_of_tensors(
    task: Task, predictor: Predictor, folder: Path, metadata: Mapping[str, Any]
) -> Tried:
    """Save a model that takes what the task's splits hold and gives targets' units, and try it."""
    rows = task.data("val").inputs[:CHECKED_ROWS]
    described = {**metadata, "targets": columns(predictor.targets)}
    has_units = any((it.scale, it.offset) != (1, 0) for it in predictor.targets)
    graph = InUnits(predictor)
    saved = graph if has_units else predictor
    mlflow_model.save_model(saved, rows[:EXAMPLE_ROWS], folder, described)
    exported = mlflow_model.load_model(folder)
    expected = predictor.as_trained(rows).double()
    return [(graph.standardised(exported(it)), expected[: len(it)]) for it in (rows, rows[:1])]


def save_of_rows(
    task: Task, predictor: Predictor, folder: Path, metadata: Mapping[str, Any]
) -> Tried:
    """Save a model that takes the raw rows of a table, and try it, a row alone too.

    It is tried on cells as the file has them, and on numbers as numbers.
    """
    from gatelab.tracking.mlflow_serve import CellReader  # here: MLflow takes seconds to import

    table, targets = cast(Table, task), predictor.targets
    recipe = {**table.recipe(), "outputs": value_names(targets)}
    raw = table.raw("val", CHECKED_ROWS)
    cells = CellReader(recipe).read(raw)
    numbers = {name: cells[:, at] for at, name in enumerate(table.fitted.numbers)}
    kept = {name: _exact(raw[name]) for name in recipe["columns"]}
    as_read = pa.table(kept).to_pandas()
    typed = as_read.assign(
        **{n: it for n, it in numbers.items() if recipe["columns"][n]["kind"] == "number"}
    )
    graph = RawGraph(predictor, table.fitted)
    some = torch.from_numpy(cells[:EXAMPLE_ROWS]).repeat(2, 1)  # of one row two are made
    mlflow_rows.save_row_model(graph, some, recipe, typed[:EXAMPLE_ROWS], folder, metadata)
    frames: list[pd.DataFrame] = [as_read, typed, as_read[:1]]
    outputs = predictor.as_trained(table.data("val").inputs[:CHECKED_ROWS])
    expected = standardised_values(targets, values_of(targets, outputs))
    return [
        (standardised_values(targets, torch.from_numpy(found)), expected[: len(found)])
        for found in mlflow_rows.predict_rows(folder, *frames)
    ]


def _exact(cells: pa.Array) -> pa.Array:
    """Return whole numbers beside a gap as texts: MLflow makes floats of them, which rounds ids."""
    gaps = pa.types.is_integer(cells.type) and cells.null_count
    return cells.cast(pa.large_string()) if gaps else cells
