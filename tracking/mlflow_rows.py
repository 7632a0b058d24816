"""MLflow's models of raw rows: a graph, the plain values it is read by, and a file of code."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pyarrow as pa
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema, TensorSpec
from mlflow.types.schema import AnyType
from torch import Tensor, nn

from gatelab.tracking.mlflow_model import requirements, save_model

SERVED_CODE = "gatelab.tracking.mlflow_serve"
"""The module of which a copy goes with each model."""


def save_row_model(
    graph: nn.Module,
    example: Tensor,
    recipe: Mapping[str, Any],
    rows: pd.DataFrame,
    folder: Path,
    metadata: Mapping[str, Any],
) -> None:
    """Save a model that takes rows by their columns' names, without pickles or code of gatelab.

    Args:
        graph: Turns cells, numbers and ids, into values.
        example: Two rows of cells at least.
        recipe: What ``table.json`` holds; ``columns`` are the rows', ``outputs`` the values'.
        rows: Raw rows that stand beside it as an example.
        folder: Where it is made.
        metadata: Plain values that stand in the model's description.

    Raises:
        Exception: Whatever ``torch.export`` raises on a graph that it cannot trace.
    """
    with TemporaryDirectory() as place, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MLflow's, of its own code
        made = Path(place)
        save_model(graph, example, made / "graph", {})
        (made / "table.json").write_text(json.dumps(recipe, allow_nan=False), encoding="utf-8")
        mlflow.pyfunc.save_model(
            str(folder),
            python_model=_copy_of_code(made / "serve.py"),
            artifacts={"graph": str(made / "graph"), "table": str(made / "table.json")},
            signature=_signature(recipe["columns"], recipe["outputs"]),
            input_example=rows,
            metadata=dict(metadata),
            pip_requirements=[
                *requirements(),
                f"pandas=={pd.__version__}",
                f"pyarrow=={pa.__version__}",
            ],
        )


def _copy_of_code(path: Path) -> str:
    found = find_spec(SERVED_CODE)
    assert found is not None and found.origin is not None
    return str(shutil.copyfile(found.origin, path))


def _signature(columns: Sequence[str], outputs: Sequence[str]) -> ModelSignature:
    """Return one that lets cells of any type pass: the model reads them as training did.

    Columns are optional there, since the model says which is missing.
    """
    cell = AnyType()  # type: ignore[no-untyped-call]
    inputs: list[ColSpec | TensorSpec] = [ColSpec(cell, name, required=False) for name in columns]
    values: list[ColSpec | TensorSpec] = [ColSpec("double", name) for name in outputs]
    return ModelSignature(Schema(inputs), Schema(values))


def predict_rows(source: str | Path, *frames: pd.DataFrame) -> list[np.ndarray[Any, Any]]:
    """Return what a saved model gives for frames of raw rows, ``(rows, values)`` each."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = mlflow.pyfunc.load_model(str(source))
        return [np.array(model.predict(frame), np.float64) for frame in frames]
