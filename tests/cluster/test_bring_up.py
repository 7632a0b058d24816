"""Hosts brought up over SSH by the real script: they work together and are closed to strangers."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from cluster.cluster import Cluster, Tunnel, answers
from cluster.hosts import ROOT, wait

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(400)]

LOOPBACK = {"127.0.0.1", "[::1]", "[::ffff:127.0.0.1]"}
NODE_PORTS = {22, 6380, 6381, 6382, 6383, 6384, 6385, *range(10002, 20000)}
"""What is open to the network on every host: SSH, and what Ray's nodes need of each other."""
HEAD_PORTS = {6379, 10001, 44217, 44227}
"""On the head besides: Ray's state, its client server, and metrics of autoscaler and dashboard."""
JOB = """
import json, os, ray, mlflow
from sweeps.storage import Storage

@ray.remote(num_cpus=1)
def look(name):
    from pathlib import Path
    Path("/tmp/note").write_text(name)
    Storage(os.environ["GATELAB_STORAGE"]).put(Path("/tmp/note"), f"notes/{name}")
    return "MLFLOW_TRACKING_PASSWORD" in os.environ

ray.init()
nodes = {node["NodeManagerAddress"]: node["NodeID"] for node in ray.nodes() if node["Alive"]}
affinity = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy
know = {
    name: look.options(scheduling_strategy=affinity(node, soft=False)).remote(name)
    for name, node in nodes.items()
}
know = {name: ray.get(told) for name, told in know.items()}
storage = Storage(os.environ["GATELAB_STORAGE"])
from pathlib import Path
stored = [name for name in nodes if storage.get(f"notes/{name}", Path("/tmp/got"))]
mlflow.create_experiment("from a job")
print("ANSWER", json.dumps({"know": know, "stored": sorted(stored)}))
"""


@pytest.fixture(scope="module")
def tunnel(site: Cluster) -> Iterator[Tunnel]:
    site.mend()
    with site.tunnel() as made:
        yield made


def test_every_host_is_a_node(running: Cluster) -> None:
    assert running.nodes() == 3
    status = running.script("status")
    assert all(f"host{n}: up" in status for n in (1, 2, 3))
    assert running.script("up").strip().endswith("3 hosts are up"), "again, for nothing"


def test_a_job_through_the_tunnel(running: Cluster, tunnel: Tunnel, tmp_path: Path) -> None:
    """On every node it reaches the object store; only on the head it knows MLflow's password."""
    (tmp_path / "job.py").write_text(JOB)
    ray = Path(sys.prefix) / "bin" / "ray"
    result = subprocess.run(
        [ray, "job", "submit", "--address", tunnel.dashboard, "--working-dir", tmp_path,
         "--", "python", "job.py"],
        env={**os.environ, **running.environment}, capture_output=True, text=True,
    )  # fmt: skip
    assert result.returncode == 0, result.stdout + result.stderr
    (line,) = [line for line in result.stdout.splitlines() if line.startswith("ANSWER ")]
    answer = json.loads(line.removeprefix("ANSWER "))
    addresses = [host.address for host in running.hosts]
    assert answer["stored"] == sorted(addresses)
    assert answer["know"] == dict(zip(addresses, [True, False, False], strict=True))
    found = requests.get(
        f"{tunnel.mlflow}/api/2.0/mlflow/experiments/get-by-name",
        params={"experiment_name": "from a job"},
        auth=("gatelab", running.password),
    ).json()
    assert found["experiment"]["artifact_location"].startswith("mlflow-artifacts:/")


REACHED = """
until (: </dev/tcp/127.0.0.1/5000) 2>/dev/null; do sleep 0.2; done
ray job list --address http://127.0.0.1:8265
python -c "import mlflow; print('experiments', len(mlflow.search_experiments()))"
kill %1
"""


def test_it_is_reached_as_the_page_says(running: Cluster, tmp_path: Path) -> None:
    page = (ROOT / "docs" / "cluster.md").read_text()
    blocks = re.findall(r"^```shell\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    (block,) = [block for block in blocks if "auth_token" in block]
    (tmp_path / "ssh").write_text(f'#!/bin/sh\nexec /usr/bin/{" ".join(running.lan.ssh)} "$@"\n')
    (tmp_path / "ssh").chmod(0o700)
    path = f"{tmp_path}:{sys.prefix}/bin:{os.environ['PATH']}"
    result = subprocess.run(
        ["bash", "-emc", block.replace("you@10.0.0.11", running.head.address) + REACHED],
        env={**os.environ, "HOME": str(tmp_path), "PATH": path}, capture_output=True, text=True,
    )  # fmt: skip
    assert result.returncode == 0 and "experiments " in result.stdout, result
    for name in (".ray/auth_token", ".mlflow/credentials"):
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o600


FOREIGN = [
    pytest.param({}, id="no token"),
    pytest.param({"Authorization": "Bearer wrong"}, id="wrong token"),
    pytest.param({"Host": "evil.example", "User-Agent": "Mozilla/5.0"}, id="foreign host"),
    pytest.param({"Origin": "http://evil.example"}, id="foreign origin"),
]


@pytest.mark.parametrize("headers", FOREIGN)
@pytest.mark.parametrize("path", ["/api/jobs/", "/api/version", "/nodes?view=summary", "/logs"])
def test_the_dashboard_refuses_strangers(
    running: Cluster, tunnel: Tunnel, headers: dict[str, str], path: str
) -> None:
    assert requests.get(tunnel.dashboard + path, headers=headers).status_code in (401, 403)
    job = {"entrypoint": "touch /tmp/was-here"}
    posted = requests.post(f"{tunnel.dashboard}/api/jobs/", json=job, headers=headers)
    assert posted.status_code in (401, 403)
    mine = {"Authorization": f"Bearer {running.token}"}
    assert requests.get(f"{tunnel.dashboard}/api/jobs/", headers=mine).ok


def test_a_foreign_page_can_start_nothing_even_with_the_token(
    running: Cluster, tunnel: Tunnel
) -> None:
    headers = {"Authorization": f"Bearer {running.token}", "Origin": "http://evil.example"}
    job = {"entrypoint": "true"}
    assert requests.post(
        f"{tunnel.dashboard}/api/jobs/", json=job, headers=headers
    ).status_code in (
        403,
        405,
    )


def test_ray_itself_refuses_who_has_no_token(running: Cluster) -> None:
    """From a machine on the same network, at the port that must be open to it."""
    ray = Path(sys.prefix) / "bin" / "ray"
    command = [str(ray), "status", "--address", f"{running.head.address}:6379"]

    def status(**variables: str) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", **variables}
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)

    for stranger in (status(RAY_AUTH_MODE="disabled"),
                     status(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN="wrong")):  # fmt: skip
        assert stranger.returncode and "node_" not in stranger.stdout
    assert "node_" in status(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=running.token).stdout


def test_mlflow_refuses_strangers(running: Cluster, tunnel: Tunnel) -> None:
    api = f"{tunnel.mlflow}/api/2.0/mlflow/experiments"
    mine = ("gatelab", running.password)
    everything = {"max_results": 5}

    def search(**options: object) -> int:
        return requests.post(f"{api}/search", json=everything, **options).status_code  # type: ignore[arg-type]

    assert search(auth=mine) == 200
    assert (
        search() == search(auth=("gatelab", "wrong")) == search(auth=("admin", "password")) == 401
    )
    for headers in ({"Host": "evil.example"}, {"Host": f"{running.head.address}:5000"}):
        assert search(auth=mine, headers=headers) == 403
    assert search(auth=mine, headers={"Origin": "http://evil.example"}) == 403
    assert requests.get(tunnel.mlflow).status_code == 401, "the dashboard too"


def test_nothing_else_is_open_to_the_network(running: Cluster) -> None:
    for host in running.hosts:
        allowed = NODE_PORTS | (HEAD_PORTS if host is running.head else set())
        open_ports = {
            (port, program)
            for address, port, program in host.listening()
            if address not in LOOPBACK
        }
        assert {port for port, _ in open_ports} <= allowed, open_ports
    closed = {port for address, port, _ in running.head.listening() if address in LOOPBACK}
    assert {5000, 8265} <= closed
    assert not any(answers(port, running.head.address) for port in (5000, 5432, 8265))
    assert answers(22, running.head.address)


def test_secrets_are_where_they_belong_and_nowhere_else(running: Cluster) -> None:
    key = running.store.secret
    secrets = {running.token, running.password, key}
    for host in running.hosts:
        shown = "\n".join(process.command for process in host.processes())
        assert not [secret for secret in secrets if secret in shown], "in a process list"
        holders = {secret: files_with(host.disk, secret) for secret in secrets}
        assert holders[running.token] == {"home/.gatelab/ray_token"}
        assert holders[key] == {"home/.gatelab/settings.env"}
        assert holders[running.password] == (
            {"home/.gatelab/env"} if host is running.head else set()
        )
        for name in set().union(*holders.values()):
            assert (host.disk / name).stat().st_mode & 0o777 == 0o600


def files_with(folder: Path, text: str) -> set[str]:
    """Return the files of a host's disk, logs and databases included, that contain a text."""
    found = subprocess.run(
        ["grep", "-rlFs", "--devices=skip", "--", text, "."],
        cwd=folder, capture_output=True, text=True,
    )  # fmt: skip
    return {line.removeprefix("./") for line in found.stdout.splitlines()}


def test_taken_down_it_leaves_nothing_running(running: Cluster) -> None:
    """Not even what a job was doing."""
    with running.tunnel() as tunnel:
        ray = Path(sys.prefix) / "bin" / "ray"
        subprocess.run(
            [ray, "job", "submit", "--no-wait", "--address", tunnel.dashboard,
             "--", "sleep", "4321"],
            env={**os.environ, **running.environment}, check=True, capture_output=True,
        )  # fmt: skip
        wait(lambda: running.head.find("^sleep 4321"), 60, "the job")
    running.down()
    for host in running.hosts:
        assert host.processes() == []
        assert {port for _, port, _ in host.listening()} == {22}
        assert not (host.home / ".gatelab" / "boot").exists()
        assert (host.home / "crontab").read_text() == ""
    assert "host1: down" in running.script("status", check=False)
    assert ROOT.joinpath("cluster").is_dir()
