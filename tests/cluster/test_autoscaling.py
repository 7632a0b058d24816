"""The cloud file's node types under Ray's autoscaler: they come with work and go without it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from ray.autoscaler._private.fake_multi_node.node_provider import FAKE_HEAD_NODE_ID
from ray.autoscaler._private.util import prepare_config

from cluster.hosts import ROOT
from cluster.lan import lan

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(280)]

# Ray's own autoscaler (the version that `ray up` takes) with its provider of pretended machines,
# on a host of its own, with which all of it ends.
SCRIPT = """
import json, sys, time, ray
from ray.cluster_utils import AutoscalingCluster

config = json.load(sys.stdin)
head = config["available_node_types"][config["head_node_type"]]["resources"]

class Cluster(AutoscalingCluster):
    def _generate_config(self, *types, **options):
        return config  # Ray's wheel lacks the file that its own method reads

cluster = Cluster(dict(head), {}, autoscaler_v2=True)
cluster.start()
ray.init("auto", log_to_driver=False)

def gpus():
    return int(ray.cluster_resources().get("GPU", 0))

@ray.remote(num_gpus=1, num_cpus=1)
def trial():
    end = time.monotonic() + 120
    while gpus() < 2 and time.monotonic() < end:  # a second one comes for those that wait
        time.sleep(0.5)
    return gpus()

seen = [gpus(), *ray.get([trial.remote() for _ in range(4)])]
while gpus():
    time.sleep(0.5)
print("SEEN", json.dumps([*seen, gpus()]))
"""


def pretended(cloud: dict[str, Any]) -> dict[str, Any]:
    """Return the cloud file with Amazon's machines pretended, two at most, and idle for seconds."""
    types = cloud["available_node_types"]
    head = "ray.head.default"  # the only name that the pretended provider knows
    types[head] = {**types.pop(cloud["head_node_type"]), "max_workers": 0}
    for kind in types.values():
        kind["node_config"] = {}
    types["gpu"]["max_workers"] = 2
    provider = {
        "type": "external",  # so named, Ray looks for no defaults, which its wheel lacks
        "module": "ray.autoscaler._private.fake_multi_node.node_provider.FakeMultiNodeProvider",
        "use_node_id_as_ip": True,
        "disable_node_updaters": True,
        "disable_launch_config_check": True,
        "launch_multiple": True,
        "head_node_id": FAKE_HEAD_NODE_ID,
    }
    return {
        **prepare_config(cloud),
        "provider": provider,
        "head_node_type": head,
        "auth": {},
        "file_mounts": {},
        "cluster_synced_files": [],
        "idle_timeout_minutes": cloud["idle_timeout_minutes"] / 100,
    }


def test_gpu_workers_come_with_trials_and_go(machine: None, tmp_path: Path) -> None:
    config = pretended(yaml.safe_load((ROOT / "ray_cluster.yaml").read_text()))
    with lan(tmp_path / "lan") as network:
        host = network.add()
        (host.home / "token").write_text("a token of this test")
        (host.home / "script.py").write_text(SCRIPT)
        variables = {
            "PATH": f"{sys.prefix}/bin:/usr/bin:/bin",
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": "/home/gl/token",
            "RAY_USAGE_STATS_ENABLED": "0",
        }
        words = " ".join(f"{name}={value}" for name, value in variables.items())
        told = host.ssh(f"env {words} python ~/script.py", stdin=json.dumps(config)).stdout
    (line,) = [line for line in told.splitlines() if line.startswith("SEEN ")]
    seen = json.loads(line.removeprefix("SEEN "))
    assert (seen[0], max(seen), seen[-1]) == (0, 2, 0)
