"""Hosts taken down over SSH by the real script: what is left of what ran there."""

from __future__ import annotations

import pytest
import requests

from cluster.cluster import Cluster, credentials
from cluster.hosts import ROOT, wait

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(400)]


def test_taken_down_it_leaves_nothing_running(running: Cluster) -> None:
    """Not even what a job was doing."""
    with running.tunnel() as tunnel:
        url, mine = f"{tunnel.dashboard}/api/jobs/", dict([credentials(running, "dashboard")])
        assert requests.post(url, headers=mine, json={"entrypoint": "sleep 4321"}).ok
        wait(lambda: running.head.find("^sleep 4321"), 180, "the job")
    running.down()
    for host in running.hosts:
        assert host.processes() == []
        assert {port for _, port, _ in host.listening()} == {22}
        assert not (host.home / ".gatelab" / "boot").exists()
        assert (host.home / "crontab").read_text() == ""
    assert "host1: down" in running.script("status", check=False)
    assert ROOT.joinpath("cluster").is_dir()
