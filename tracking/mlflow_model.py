"""MLflow's models: saved as a traced graph, and put in the registry with the run they are of."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import mlflow.pytorch
import numpy as np
import torch
from mlflow import MlflowClient
from mlflow.entities import LoggedModel, LoggedModelOutput, LoggedModelStatus
from mlflow.exceptions import MlflowException
from mlflow.models import Model, ModelSignature
from mlflow.protos.databricks_pb2 import RESOURCE_ALREADY_EXISTS, ErrorCode
from mlflow.types import Schema, TensorSpec
from mlflow.utils.mlflow_tags import MLFLOW_MODEL_VERSIONS
from torch import Tensor, nn

from gatelab.tracking.mlflow_client import open_client
from gatelab.tracking.mlflow_errors import store_errors

MODEL_FILE = "MLmodel"
"""The file that says what a saved model is."""


@dataclass(frozen=True)
class Version:
    """One version of a registered model."""

    name: str
    version: int
    run_id: str
    """Of the run that it is of."""
    tags: Mapping[str, str]

    @property
    def uri(self) -> str:
        """What MLflow loads and serves it by."""
        return f"models:/{self.name}/{self.version}"


def save_model(
    module: nn.Module, example: Tensor, folder: Path, metadata: Mapping[str, Any]
) -> None:
    """Save a module as MLflow's model, in a format without code or pickles (``torch.export``).

    Args:
        module: Turns ``(batch, ...)`` into one tensor ``(batch, columns)``.
        example: Two rows at least: a batch of one would be traced as the only size there is.
        folder: Where it is made.
        metadata: Plain values that stand in the model's description.

    Raises:
        Exception: Whatever ``torch.export`` raises on a module that it cannot trace.
    """
    rows = example.numpy()
    outputs = module(example).numpy()
    mlflow.pytorch.save_model(
        module,
        str(folder),
        signature=ModelSignature(_schema(rows), _schema(outputs)),
        input_example=rows,
        metadata=dict(metadata),
        # Said, not inferred: MLflow would load the model in a process of its own to find out.
        pip_requirements=requirements(),
        serialization_format="pt2",
    )


def requirements() -> list[str]:
    """Return what a saved model needs, in the versions that saved it."""
    return [
        f"mlflow=={mlflow.__version__}",
        f"numpy=={np.__version__}",
        f"torch=={torch.__version__.partition('+')[0]}",
    ]


def load_model(source: str | Path) -> nn.Module:
    """Return a model that :func:`save` saved, from its folder or from MLflow's URI."""
    return cast(nn.Module, mlflow.pytorch.load_model(str(source)))


def register_model(
    uri: str, run_id: str, folder: Path, name: str, tags: Mapping[str, str]
) -> Version:
    """Put a saved model in the registry, under the next version of a name.

    Args:
        uri: MLflow's tracking URI.
        run_id: Of the run that it is of, which shows it from then on.
        folder: Where :func:`save` made it.
        name: Of the registered model, which is made if there is none.
        tags: Of the version.

    Raises:
        StoreUnavailable: If the store does not take it.
    """
    client = open_client(uri)
    with store_errors(uri):
        logged = _log(client, run_id, folder, name, tags)
        _make_sure_of(client, name)
        # The place and not the id as source: MLflow would look for that in its global store.
        made = client.create_model_version(
            name,
            logged.artifact_location,
            run_id,
            dict(tags),
            await_creation_for=0,
            model_id=logged.model_id,
        )
        link = json.dumps([{"name": name, "version": int(made.version)}])
        client.set_logged_model_tags(logged.model_id, {MLFLOW_MODEL_VERSIONS: link})
        return Version(name, int(made.version), run_id, dict(tags))


def _log(
    client: MlflowClient, run_id: str, folder: Path, name: str, tags: Mapping[str, str]
) -> LoggedModel:
    """Copy a saved model to its run's experiment, where MLflow shows it with the run."""
    experiment = client.get_run(run_id).info.experiment_id
    logged = client.create_logged_model(experiment, name, run_id, dict(tags))
    description = Model.load(str(folder / MODEL_FILE))
    description.run_id, description.model_id = run_id, logged.model_id
    description.model_uuid, description.artifact_path = logged.model_id, logged.artifact_location
    description.save(str(folder / MODEL_FILE))
    client.log_model_artifacts(logged.model_id, str(folder))
    client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, step=0)])
    return client.finalize_logged_model(logged.model_id, LoggedModelStatus.READY)


def _make_sure_of(client: MlflowClient, name: str) -> None:
    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != ErrorCode.Name(RESOURCE_ALREADY_EXISTS):
            raise


def _schema(rows: np.ndarray) -> Schema:
    return Schema([TensorSpec(rows.dtype, (-1, *rows.shape[1:]))])
