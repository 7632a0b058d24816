"""The experiment of a sweep: whether it is there, and takes the sweep's runs."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Experiment, LifecycleStage
from mlflow.exceptions import MlflowException

from gatelab.tracking.artifact_places import check_location
from gatelab.tracking.masking import masked, told_to_shell
from gatelab.tracking.mlflow_client import open_client
from gatelab.tracking.mlflow_errors import store_errors
from gatelab.tracking.mlflow_rejected import permitted
from gatelab.tracking.store_errors import StoreRefuses, check_store_writable, is_server


def active_experiment(client: MlflowClient, uri: str, name: str) -> Experiment | None:
    """Return an experiment; ``None`` where it is to be made.

    Raises:
        StoreRefuses: If it was deleted, which leaves its name taken until it is restored.
    """
    found = client.get_experiment_by_name(name)
    if found is None or found.lifecycle_stage == LifecycleStage.ACTIVE:
        return found
    raise StoreRefuses(deleted_experiment(uri, found))


def deleted_experiment(uri: str, experiment: Experiment) -> str:
    """Return that an experiment was deleted, and what brings it back."""
    return (
        f"the experiment {experiment.name[:100]!r} was deleted in {masked(uri)}, and takes "
        f"nothing: `mlflow experiments restore --experiment-id {experiment.experiment_id}` brings "
        f"it back (with {told_to_shell(uri)})."
    )


def check_experiment(uri: str, experiment: str, artifacts: Path | None) -> None:
    """Refuse a store that will not take the runs of a new sweep.

    Args:
        uri: MLflow's tracking URI.
        experiment: The sweep's.
        artifacts: The folder for artifacts, for a store without a server.

    Raises:
        StoreRefuses: If the experiment was deleted there, or this user may not write into it, or
            its artifacts lie where a database cannot note it.
        StoreUnavailable: If the store cannot be used.
    """
    check_store_writable(uri)
    client = open_client(uri)
    with store_errors(uri):
        found = active_experiment(client, uri, experiment)
        if found is not None:
            check_location(uri, found.artifact_location or "")
            _check_may_write(client, uri, found)
        elif artifacts is not None:
            check_location(uri, artifacts.as_uri())


def _check_may_write(client: MlflowClient, uri: str, experiment: Experiment) -> None:
    """Ask a server for what it does for nobody: who may not write is told that first."""
    if is_server(uri):
        with suppress(MlflowException), permitted(uri, experiment.name):
            client.set_experiment_tag(experiment.experiment_id, key="", value="")
