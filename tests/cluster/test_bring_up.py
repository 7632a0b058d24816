"""Hosts brought up over SSH by the real script: what works there."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from cluster.cluster import Cluster, Tunnel
from cluster.hosts import ROOT

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(400)]

JOB = """
import json, os, ray, mlflow
from gatelab.sweeps.cluster.storage import Storage

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
ray job list --address http://127.0.0.1:8265 &
python -c "import mlflow; print('experiments', len(mlflow.search_experiments()))"
wait $!
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
