"""The secrets of a cluster, and where they lie."""

from __future__ import annotations

import subprocess
from pathlib import Path

from cluster.cluster import Cluster, credentials

HOLDERS = {
    "Ray's token": ({"ray_token"}, {"ray_token"}),
    "MLflow's password": ({"env"}, set()),
    "MLflow's password, as it is sent": (set(), set()),
    "MLflow's key": ({"mlflow_key"}, set()),
    "the object store's key": ({"settings.env"}, {"settings.env"}),
}
"""The files of ~/.gatelab that hold a secret, on the head and on a worker; no other file does."""


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


def check_disks(running: Cluster) -> None:
    """Check that of all that is on the hosts' disks, logs included, only those files have one."""
    for host in running.hosts:
        for name, secret in secrets(running).items():
            on_head, on_worker = HOLDERS[name]
            belongs = on_head if host is running.head else on_worker
            found = files_with(host.disk, secret)
            assert found == {f"home/.gatelab/{file}" for file in belongs}, (host.name, name)
            for file in found:
                assert (host.disk / file).stat().st_mode & 0o777 == 0o600, (host.name, file)


def files_with(folder: Path, text: str) -> set[str]:
    """Return the files of a host's disk, logs and databases included, that contain a text."""
    found = subprocess.run(
        ["grep", "-rlFs", "--devices=skip", "--", text, "."],
        cwd=folder, capture_output=True, text=True,
    )  # fmt: skip
    return {line.removeprefix("./") for line in found.stdout.splitlines()}
