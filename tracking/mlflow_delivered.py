"""What a store was given of a sweep, and must have still: else what has become of it."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Experiment, Run, ViewType

from gatelab.tracking.artifact_places import check_not_moved
from gatelab.tracking.masking import masked, told_to_shell
from gatelab.tracking.mlflow_client import open_client, search
from gatelab.tracking.mlflow_errors import store_errors
from gatelab.tracking.mlflow_experiment import active_experiment, deleted_experiment
from gatelab.tracking.mlflow_tags import IDENTITY, hidden, restored
from gatelab.tracking.queries import of_sweep
from gatelab.tracking.store_errors import StoreRefuses, check_store_writable, is_there

ACTIVE = ViewType.ACTIVE_ONLY


def check_delivered(uri: str, experiment: str, sweep: str, artifacts: Path | None) -> None:
    """Refuse a store that does not have the sweep of which it was given records.

    Args:
        uri: MLflow's tracking URI.
        experiment: The sweep's.
        sweep: Its name.
        artifacts: The folder for artifacts, for a store without a server.

    Raises:
        StoreRefuses: If the store, the sweep or its experiment is not there or was deleted, or its
            artifacts lie elsewhere than it says.
        StoreUnavailable: If the store cannot be used.
    """
    if not is_there(uri):
        raise StoreRefuses(
            f"the store {masked(uri)}, which has the record of {sweep!r}, is gone: restore it, or "
            f"name its new place with `gatelab resume {sweep} --tracking-uri`; or "
            f"`gatelab resume {sweep} --redeliver` writes everything into a new one."
        )
    check_store_writable(uri)
    client = open_client(uri)
    with store_errors(uri):
        found = active_experiment(client, uri, experiment)
        runs = _runs(client, [found.experiment_id], sweep, ACTIVE) if found else []
        if found is None or not runs:
            raise lost_run(client, uri, experiment, sweep, sweep)
        if artifacts is not None and (artifacts / runs[0].info.run_id).is_dir():
            check_not_moved(uri, found.artifact_location or "", artifacts)


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


def lost_run(
    client: MlflowClient, uri: str, experiment: str, sweep: str, identity: str
) -> StoreRefuses:
    """Return what has become of a run that a store was given, and what to do."""
    found = client.get_experiment_by_name(experiment)
    renamed = _elsewhere(client, experiment, sweep)
    if renamed is not None:
        return StoreRefuses(
            f"the experiment {experiment[:100]!r}, which has the run {sweep!r}, is called "
            f"{renamed.name[:100]!r} now in {masked(uri)}: `mlflow experiments rename "
            f"--experiment-id {renamed.experiment_id} --new-name {experiment[:100]}` gives it its "
            f"name back (with {told_to_shell(uri)}; delete another of that name)."
        )
    here = [found.experiment_id] if found else []
    deleted = _runs(client, here, identity, ViewType.DELETED_ONLY)
    if deleted:
        return StoreRefuses(_deleted(uri, sweep, identity, deleted[0]))
    return StoreRefuses(
        f"{masked(uri)} does not have the run {identity!r}, which was delivered: it is another "
        f"store, or was replaced. Restore it, or name the right one with `gatelab resume {sweep} "
        f"--tracking-uri`; or {_again(sweep)}."
    )


def _deleted(uri: str, sweep: str, identity: str, run: Run) -> str:
    """Return that a run was deleted, and what brings it back."""
    return (
        f"the run {identity!r} was deleted in {masked(uri)}: "
        f"`mlflow runs restore --run-id {run.info.run_id}` brings it back "
        f"(with {told_to_shell(uri)}); or {_again(sweep)}."
    )


def _again(sweep: str) -> str:
    return f"`gatelab resume {sweep} --redeliver` writes everything into it again"


def deleted_sweep(client: MlflowClient, uri: str, sweep: str) -> str:
    """Return that a sweep, or its own run alone, was deleted, and what brings it back.

    Empty where it was not.
    """
    gone = {it.experiment_id: it for it in client.search_experiments(ViewType.DELETED_ONLY)}
    runs = _runs(client, [*gone], sweep, ViewType.ALL)
    if runs:
        experiment = deleted_experiment(uri, gone[runs[0].info.experiment_id])
        return f"the sweep {sweep!r} is not to be seen, since {experiment}"
    active = [it.experiment_id for it in client.search_experiments()]
    runs = _runs(client, active, sweep, ViewType.DELETED_ONLY)
    if not runs:
        return ""
    if client.search_runs(active, of_sweep(sweep), ACTIVE, 1):  # of its gates, trials or seeds
        return _deleted(uri, sweep, sweep, runs[0])
    return (
        f"all runs of {sweep!r} were deleted in {masked(uri)}: `mlflow runs restore --run-id "
        f"{runs[0].info.run_id}` brings back the sweep's own (with "
        f"{told_to_shell(uri)}), and so each; or {_again(sweep)}."
    )


def another_home(uri: str, sweep: str) -> StoreRefuses:
    """Return that a store has a sweep of a name, and not the one that is recorded, and what to do.

    A launch looks for that before it starts; two that start at once may find nothing.
    """
    return StoreRefuses(
        f"{masked(uri)} has a sweep {sweep!r} of another folder, launched at the same time, and "
        f"takes nothing beside it: `gatelab resume {sweep} --tracking-uri URI` records this one in "
        "another store; or delete the other's runs."
    )


def _elsewhere(client: MlflowClient, experiment: str, sweep: str) -> Experiment | None:
    """Return the experiment of another name that has the run of a sweep."""
    others = {it.experiment_id: it for it in client.search_experiments() if it.name != experiment}
    runs = _runs(client, [*others], sweep, ACTIVE)
    return others[runs[0].info.experiment_id] if runs else None


def _runs(client: MlflowClient, experiments: list[str], identity: str, view: int) -> list[Run]:
    """Return a run of an identity in one of some experiments; none where there is none."""
    query = f"tags.`{hidden(IDENTITY)}` = '{identity}'"
    return list(client.search_runs(experiments, query, view, 1)) if experiments else []
