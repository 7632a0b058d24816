"""Nodes that may still come: the job's share and the checks count on them."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from gatelab.sweeps.cluster import autoscaling
from gatelab.sweeps.cluster.autoscaling import NODE_TYPES, may_come
from gatelab.sweeps.cluster.node_checks import check_resources
from gatelab.sweeps.cluster.nodes import Node
from gatelab.sweeps.cluster.sizing import Needs

ROOT = Path(__file__).parent.parent
HEAD = Node(id="0", name="10.0.0.1", cpus=0, gpus=0, head=True)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv(NODE_TYPES, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    autoscaling._node_types.cache_clear()
    return tmp_path


def test_none_where_nothing_autoscales() -> None:
    assert may_come() == []


def test_those_of_the_cluster_file(home: Path) -> None:
    text = (ROOT / "ray_cluster.yaml").read_text()
    (home / "ray_bootstrap_config.yaml").write_text(text)
    gpu = yaml.safe_load(text)["available_node_types"]["gpu"]
    found = may_come()
    assert len(found) == gpu["max_workers"] > 1
    assert {(node.cpus, node.gpus) for node in found} == {(4, 1)}
    assert not check_resources([HEAD], Needs(1, 0)).ok
    assert check_resources([HEAD, *found], Needs(1, 1)).ok
    assert "1 on node to come, of type gpu" in check_resources([HEAD, *found], Needs(1, 2)).line


def test_those_of_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NODE_TYPES, "{big: {resources: {CPU: 96, GPU: 8}, max_workers: 2}, h: {}}")
    assert [(node.cpus, node.gpus) for node in may_come()] == [(96, 8), (96, 8)]
