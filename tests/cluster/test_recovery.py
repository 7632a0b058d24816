"""What comes back by itself: killed services, hosts that were off."""

from __future__ import annotations

import pytest
import requests

from cluster.cluster import Cluster
from cluster.hosts import wait

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(400)]


def make_experiment(running: Cluster, name: str) -> None:
    with running.tunnel() as tunnel:
        made = requests.post(
            f"{tunnel.mlflow}/api/2.0/mlflow/experiments/create",
            json={"name": name},
            auth=("gatelab", running.password),
        )
        assert made.ok, made.text


def knows_experiment(running: Cluster, name: str) -> bool:
    """Return whether MLflow answers and knows an experiment."""
    command = (
        '. ~/.gatelab/env; curl -sf -u "$MLFLOW_TRACKING_USERNAME:$MLFLOW_TRACKING_PASSWORD" '
        f"$MLFLOW_TRACKING_URI/api/2.0/mlflow/experiments/get-by-name?experiment_name={name}"
    )
    return not running.head.ssh(command, check=False).returncode


def test_killed_services_come_back(running: Cluster) -> None:
    make_experiment(running, "before-the-crash")
    for role in ("postgres", "mlflow", "proxy", "gcs"):
        running.kill(running.head, role)
    running.kill(running.hosts[1], "raylet")
    wait(
        lambda: knows_experiment(running, "before-the-crash"), 120, "MLflow with its database", 0.5
    )
    running.wait_for_nodes(3)


def test_hosts_that_were_off_are_what_they_were(running: Cluster) -> None:
    """The last one is missed, and joins the head, which was off meanwhile, again."""
    make_experiment(running, "before-the-power-cut")
    token, password = running.token, running.password
    last = running.hosts[2]
    last.stop()
    running.wait_for_nodes(2)
    running.head.stop()
    last.start()
    running.head.start()
    wait(lambda: knows_experiment(running, "before-the-power-cut"), 120, "MLflow", 0.5)
    running.wait_for_nodes(3)
    assert (running.token, running.password) == (token, password)
