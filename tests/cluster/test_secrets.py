"""What a cluster must keep to itself is nowhere to be read, whatever a sweep leaves."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import boto3
import pytest
import requests
from mlflow import MlflowClient
from mlflow.entities import ViewType

from cluster.cluster import Cluster, Tunnel, credentials
from cluster.hosts import ROOT

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(400)]


def client(running: Cluster, tunnel: Tunnel) -> MlflowClient:
    """Return MLflow's client with the right password."""
    os.environ.update({n: it for n, it in running.environment.items() if n.startswith("MLFLOW")})
    return MlflowClient(tunnel.mlflow)


SPEC = """
name: secure
task: {name: synthetic_groups, num_targets: 2, train_rows: 64, val_rows: 32, test_rows: 32}
model: {num_experts: 4}
gates: [softmax, top_k]
training: {max_epochs: 3, batch_size: 32}
search: {trials: 3, early_stopping: false}
evaluation: {seeds: 2}
"""


@dataclass(frozen=True)
class Swept:
    """What could be seen while a sweep ran."""

    commands: frozenset[str]
    """Every command line of this machine, the hosts' and the user's own."""
    said: str
    """What the user was told."""


@contextmanager
def watched_commands() -> Iterator[set[str]]:
    """Collect the command lines of all processes until the end of the context."""
    seen: set[str] = set()
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.1):
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    seen.add(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
                except OSError:
                    continue  # it has just ended

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()


@pytest.fixture(scope="module")
def swept(site: Cluster, tunnel: Tunnel, tmp_path_factory: pytest.TempPathFactory) -> Swept:
    """A sweep that was launched from afar and ran to its end."""
    folder = tmp_path_factory.mktemp("user")
    (folder / "secure.yaml").write_text(SPEC)
    words = ["launch", "secure.yaml", "--follow", "--address", tunnel.dashboard]
    with watched_commands() as commands:
        result = subprocess.run(
            [sys.executable, "-m", "gatelab", *words],
            cwd=folder, capture_output=True, text=True,
            env={**os.environ, **site.environment, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
    said = result.stdout + result.stderr
    assert result.returncode == 0, said
    return Swept(frozenset(commands), said)


def secrets(running: Cluster) -> dict[str, str]:
    """Return all that must be known to nobody; PostgreSQL has no password, and no port."""
    _, basic = credentials(running, "mlflow")
    return {
        "Ray's token": running.token,
        "MLflow's password": running.password,
        "MLflow's password, as it is sent": basic.removeprefix("Basic "),
        "MLflow's key": (running.head.home / ".gatelab" / "mlflow_key").read_text(),
        "the object store's key": running.store.secret,
    }


def check(running: Cluster, text: str | bytes, known: str) -> None:
    """Check that a text, which has something that is known, has no secret."""
    content = text.encode() if isinstance(text, str) else text
    assert known.encode() in content, "not what was meant to be looked at"
    assert [name for name, secret in secrets(running).items() if secret.encode() in content] == []


def test_no_secret_in_process_lists(running: Cluster, swept: Swept) -> None:
    commands = "\n".join(sorted(swept.commands))
    for known in ("launch -- secure.yaml", "ray::Worker", "raylet", "mlflow server", "postgres -D"):
        check(running, commands, known)


def test_no_secret_in_what_a_user_is_told(running: Cluster, swept: Swept) -> None:
    check(running, swept.said, "secure: under way")


VIEWS = {
    "/api/jobs/": "secure-1",
    "/api/jobs/secure-1": "GATELAB_LAUNCHED_FROM",
    "/api/jobs/secure-1/logs": "trial",
    "/api/v0/jobs?detail=1": "secure-1",
    "/api/v0/workers?detail=1&limit=1000": "worker_id",
    "/api/v0/tasks?detail=1&limit=1000": "task_id",
    "/logical/actors": "actors",
    "/nodes?view=summary": "cmdline",
}
"""Pages of Ray's dashboard that show jobs, their environments and processes."""


@pytest.mark.parametrize("path", VIEWS)
def test_no_secret_in_the_dashboard(
    running: Cluster, tunnel: Tunnel, swept: Swept, path: str
) -> None:
    mine = dict([credentials(running, "dashboard")])
    answer = requests.get(tunnel.dashboard + path, headers=mine)
    assert answer.ok, answer.text
    check(running, answer.text, VIEWS[path])


def test_no_secret_in_mlflow(running: Cluster, tunnel: Tunnel, swept: Swept) -> None:
    """Nor in its artifacts, which are in the object store: see the next test."""
    mlflow = client(running, tunnel)
    experiments = mlflow.search_experiments(view_type=ViewType.ALL)
    runs = [
        run
        for experiment in experiments
        for run in mlflow.search_runs([experiment.experiment_id], run_view_type=ViewType.ALL)
    ]
    assert len(runs) >= 1 + 2 + 2 * 3 + 2 * 2
    check(running, "\n".join(str(it.to_dictionary()) for it in runs), "synthetic_groups")
    check(running, "\n".join(map(str, experiments)), "secure")


def test_no_secret_in_the_object_store(running: Cluster, swept: Swept) -> None:
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


HOLDERS = {
    "Ray's token": ({"ray_token"}, {"ray_token"}),
    "MLflow's password": ({"env"}, set()),
    "MLflow's password, as it is sent": (set(), set()),
    "MLflow's key": ({"mlflow_key"}, set()),
    "the object store's key": ({"settings.env"}, {"settings.env"}),
}
"""The files of ~/.gatelab that hold a secret, on the head and on a worker; no other file does."""


def test_secrets_lie_in_files_of_their_own_with_mode_600(running: Cluster, swept: Swept) -> None:
    """Of all that is on the hosts' disks: logs, sessions of Ray, the sweep, PostgreSQL's data."""
    for host in running.hosts:
        for place in (".gatelab/logs/ray.log", ".gatelab/settings.env"):
            assert (host.home / place).is_file()
        for name, secret in secrets(running).items():
            on_head, on_worker = HOLDERS[name]
            belongs = on_head if host is running.head else on_worker
            found = files_with(host.disk, secret)
            assert found == {f"home/.gatelab/{file}" for file in belongs}, (host.name, name)
            for file in found:
                assert (host.disk / file).stat().st_mode & 0o777 == 0o600, (host.name, file)
    where = files_with(running.head.disk, "secure")
    for place in ("tmp/ray/session_", "home/gatelab/sweeps/secure/", "home/gatelab/postgres/"):
        assert any(file.startswith(place) for file in where), "looked at what was written"


def test_nobody_else_enters_postgresql(running: Cluster) -> None:
    """It asks for no password: its socket lies in a folder that is its user's alone."""
    folder = running.head.home / "gatelab" / "postgres"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / ".s.PGSQL.5432").is_socket()


def files_with(folder: Path, text: str) -> set[str]:
    """Return the files of a host's disk, logs and databases included, that contain a text."""
    found = subprocess.run(
        ["grep", "-rlFs", "--devices=skip", "--", text, "."],
        cwd=folder, capture_output=True, text=True,
    )  # fmt: skip
    return {line.removeprefix("./") for line in found.stdout.splitlines()}
