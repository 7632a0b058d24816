"""MLflow's data sets: what a run is trained on, with its digest and its schema."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from mlflow.data.schema import TensorDatasetSchema
from mlflow.entities import Dataset, DatasetInput, InputTag
from mlflow.types import Schema, TensorSpec
from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT

LONGEST_DIGEST = 36
"""Characters that MLflow takes."""


def dataset_input(data: Mapping[str, Any]) -> DatasetInput:
    """Return a task's data as an input of a run.

    Args:
        data: ``name`` and ``options`` of the task, its ``digest``, ``inputs`` as dtype and shape of
            a row, ``targets`` as a dtype by name, and ``rows`` by split.
    """
    dtype, shape = data["inputs"]
    features = Schema([TensorSpec(_dtype(dtype), (-1, *shape), "inputs")])
    columns = [TensorSpec(_dtype(kind), (-1,), name) for name, kind in data["targets"].items()]
    schema = TensorDatasetSchema(features=features, targets=Schema(list(columns)))
    found = Dataset(
        name=data["name"],
        digest=data["digest"][:LONGEST_DIGEST],
        source_type="gatelab",
        source=json.dumps({"task": data["name"], "options": data["options"]}),
        schema=json.dumps(schema.to_dict()),
        profile=json.dumps({f"{split}_rows": rows for split, rows in data["rows"].items()}),
    )
    return DatasetInput(found, [InputTag(MLFLOW_DATASET_CONTEXT, "training")])


def _dtype(name: str) -> np.dtype[Any]:
    """Return a dtype, of torch's own (bfloat16) the nearest that NumPy has."""
    try:
        return np.dtype(name)
    except TypeError:
        return np.dtype(np.float32)
