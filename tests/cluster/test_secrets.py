"""What a cluster must keep to itself is nowhere to be read, whatever a sweep leaves."""

from __future__ import annotations

import os
from pathlib import Path

import boto3
import pytest
import requests
from mlflow import MlflowClient
from mlflow.entities import ViewType

from cluster.cluster import Cluster, Tunnel, credentials
from cluster.leaks import check, check_disks, files_with
from cluster.sweeping import SEEDS, TRIALS
from cluster.watched import Watched

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]


def client(running: Cluster, tunnel: Tunnel) -> MlflowClient:
    """Return MLflow's client with the right password."""
    os.environ.update({n: it for n, it in running.environment.items() if n.startswith("MLFLOW")})
    return MlflowClient(tunnel.mlflow)


def test_no_secret_in_process_lists(running: Cluster, calm: Watched) -> None:
    commands = "\n".join(sorted(calm.commands))
    launch = "launch -- undisturbed.yaml"
    for known in (launch, "ray::Worker", "raylet", "mlflow server", "postgres -D"):
        check(running, commands, known)


def test_no_secret_in_what_a_user_is_told(running: Cluster, calm: Watched) -> None:
    check(running, calm.said, "undisturbed: under way")


VIEWS = {
    "/api/jobs/": "undisturbed-1",
    "/api/jobs/undisturbed-1": "GATELAB_LAUNCHED_FROM",
    "/api/jobs/undisturbed-1/logs": "trial",
    "/api/v0/jobs?detail=1": "undisturbed-1",
    "/api/v0/workers?detail=1&limit=1000": "worker_id",
    "/api/v0/tasks?detail=1&limit=1000": "task_id",
    "/logical/actors": "actors",
    "/nodes?view=summary": "cmdline",
}
"""Pages of Ray's dashboard that show jobs, their environments and processes."""


@pytest.mark.parametrize("path", VIEWS)
def test_no_secret_in_the_dashboard(
    running: Cluster, tunnel: Tunnel, calm: Watched, path: str
) -> None:
    mine = dict([credentials(running, "dashboard")])
    answer = requests.get(tunnel.dashboard + path, headers=mine)
    assert answer.ok, answer.text
    check(running, answer.text, VIEWS[path])


def test_no_secret_in_mlflow(running: Cluster, tunnel: Tunnel, calm: Watched) -> None:
    """Nor in its artifacts, which are in the object store: see the next test."""
    mlflow = client(running, tunnel)
    experiments = mlflow.search_experiments(view_type=ViewType.ALL)
    runs = [
        run
        for experiment in experiments
        for run in mlflow.search_runs([experiment.experiment_id], run_view_type=ViewType.ALL)
    ]
    assert len(runs) >= 1 + 2 + 2 * (TRIALS + SEEDS)
    check(running, "\n".join(str(it.to_dictionary()) for it in runs), "synthetic_groups")
    check(running, "\n".join(map(str, experiments)), "undisturbed")


def test_no_secret_in_the_object_store(running: Cluster, calm: Watched) -> None:
    store = running.store
    bucket = boto3.resource(
        "s3",
        endpoint_url=f"http://{store.address}",
        aws_access_key_id=store.settings["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=store.secret,
        region_name=store.settings["AWS_DEFAULT_REGION"],
    ).Bucket("gatelab")
    stored = {it.key: it.get()["Body"].read() for it in bucket.objects.all()}
    kinds = {Path(name).suffix for name in stored}
    assert {".pt", ".html", ".yaml"} <= kinds and any("/mlflow/" in name for name in stored)
    check(running, b"\n".join([*map(str.encode, stored), *stored.values()]), "synthetic_groups")


def test_secrets_lie_in_files_of_their_own_with_mode_600(running: Cluster, calm: Watched) -> None:
    """Of all that is on the hosts' disks: logs, sessions of Ray, the sweep, PostgreSQL's data."""
    for host in running.hosts:
        for place in (".gatelab/logs/ray.log", ".gatelab/settings.env"):
            assert (host.home / place).is_file()
    check_disks(running)
    where = files_with(running.head.disk, "undisturbed")
    for place in ("tmp/ray/session_", "home/gatelab/sweeps/undisturbed/", "home/gatelab/postgres/"):
        assert any(file.startswith(place) for file in where), "looked at what was written"


def test_nobody_else_enters_postgresql(running: Cluster) -> None:
    """It asks for no password: its socket lies in a folder that is its user's alone."""
    folder = running.head.home / "gatelab" / "postgres"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / ".s.PGSQL.5432").is_socket()
