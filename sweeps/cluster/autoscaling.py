"""Nodes that Ray's autoscaler may still start for a sweep."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from gatelab.sweeps.cluster.nodes import Node

CONFIGURATION = Path("~/ray_bootstrap_config.yaml")
"""Where `ray up` leaves the cluster file on the head."""
NODE_TYPES = "GATELAB_NODE_TYPES"
"""Variable with the same file's ``available_node_types`` as YAML, where there is no such file."""


def may_come() -> list[Node]:
    """Return the nodes that there can be at most, by their types, on a head that autoscales."""
    return [
        Node(
            id="",
            name=f"to come, of type {name}",
            cpus=kind.get("resources", {}).get("CPU", 0),
            gpus=kind.get("resources", {}).get("GPU", 0),
            head=False,
        )
        for name, kind in _node_types(os.environ.get(NODE_TYPES, "")).items()
        for _ in range(kind.get("max_workers", 0))
    ]


@lru_cache
def _node_types(text: str) -> Mapping[str, Any]:
    if text:
        found: Mapping[str, Any] = yaml.safe_load(text)
        return found
    path = CONFIGURATION.expanduser()
    if not path.exists():
        return {}
    types: Mapping[str, Any] = yaml.safe_load(path.read_text()).get("available_node_types", {})
    return types
