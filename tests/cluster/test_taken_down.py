"""Hosts taken down over SSH by the real script: what is left of what ran there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cluster.cluster import Cluster
from cluster.hosts import ROOT, wait

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(400)]


def test_taken_down_it_leaves_nothing_running(running: Cluster) -> None:
    """Not even what a job was doing."""
    with running.tunnel() as tunnel:
        ray = Path(sys.prefix) / "bin" / "ray"
        subprocess.run(
            [ray, "job", "submit", "--no-wait", "--address", tunnel.dashboard,
             "--", "sleep", "4321"],
            env={**os.environ, **running.environment}, check=True, capture_output=True,
        )  # fmt: skip
        wait(lambda: running.head.find("^sleep 4321"), 180, "the job")
    running.down()
    for host in running.hosts:
        assert host.processes() == []
        assert {port for _, port, _ in host.listening()} == {22}
        assert not (host.home / ".gatelab" / "boot").exists()
        assert (host.home / "crontab").read_text() == ""
    assert "host1: down" in running.script("status", check=False)
    assert ROOT.joinpath("cluster").is_dir()
