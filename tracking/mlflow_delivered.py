"""Whether a store takes a sweep, and has all that it was given of one."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Experiment
from mlflow.exceptions import MlflowException

from gatelab.tracking.artifact_places import check_location
from gatelab.tracking.masking import masked
from gatelab.tracking.mlflow_client import open_client, search
from gatelab.tracking.mlflow_errors import store_errors
from gatelab.tracking.mlflow_presence import active_experiment, check_recorded, lost_run
from gatelab.tracking.mlflow_rejected import permitted
from gatelab.tracking.mlflow_tags import IDENTITY, restored
from gatelab.tracking.queries import of_sweep
from gatelab.tracking.store_errors import StoreRefuses, is_server, is_there


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


def check_delivered(uri: str, experiment: str, sweep: str) -> None:
    """Refuse a store that does not have the sweep of which it was given records.

    Raises:
        StoreUnavailable: If the sweep is not there or was deleted, or the store cannot be used.
    """
    if not is_there(uri):
        raise StoreRefuses(
            f"the store {masked(uri)}, which has the record of {sweep!r}, is gone: restore it, or "
            f"name its new place with `gatelab resume {sweep} --tracking-uri`; or "
            f"`gatelab resume {sweep} --redeliver` writes everything into a new one."
        )
    check_recorded(open_client(uri), uri, experiment, sweep)


def check_all_there(uri: str, experiment: str, sweep: str, started: Collection[str]) -> None:
    """Refuse a store that has lost runs of a sweep since they were delivered.

    Args:
        uri: MLflow's tracking URI.
        experiment: The sweep's.
        sweep: Its name.
        started: The identities of all runs that were delivered.

    Raises:
        StoreRefuses: If one is not there or was deleted.
    """
    client = open_client(uri)
    with store_errors(uri):
        found = active_experiment(client, uri, experiment)
        runs = search(client, [found.experiment_id], of_sweep(sweep)) if found else ()
        lost = sorted({*started} - {restored(run.data.tags).get(IDENTITY) for run in runs})
        if lost:
            raise lost_run(client, uri, experiment, sweep, lost[0])
