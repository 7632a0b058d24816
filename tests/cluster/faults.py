"""What goes wrong on a cluster while a sweep runs; each is over when its function returns."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

from cluster.cluster import ROLES
from cluster.hosts import Host, wait
from cluster.sweeping import Sweeping

CUT_SECONDS, AWAY_SECONDS, FULL_SECONDS = 16, 16, 8
"""Longer than Ray takes to miss a host (see MISSED_SOON), than several tries to reach MLflow, and
than the time between two deliveries."""
SPOOL_KIB = 4096


def kill_a_trial(sweep: Sweeping) -> None:
    """Kill -9 a process that trains."""
    hosts = list(sweep.cluster.hosts)
    wait(lambda: any(host.find(ROLES["trial"]) for host in hosts), 180, "a trial")
    host = next(host for host in hosts if host.find(ROLES["trial"]))
    os.kill(host.find(ROLES["trial"])[0].pid, signal.SIGKILL)


def kill_a_raylet(sweep: Sweeping) -> None:
    """Kill -9 what makes a host a node; it is started again."""
    sweep.cluster.kill(_worker(sweep), "raylet")


def cut_a_link(sweep: Sweeping) -> None:
    """Pull a worker's network cable for a while."""
    host = _worker(sweep)
    host.cut()
    time.sleep(CUT_SECONDS)
    host.restore()


def kill_the_driver(sweep: Sweeping) -> None:
    """Kill -9 the driver, then resume."""
    sweep.cluster.kill(sweep.cluster.head, "driver")
    sweep.resume()


def stop_the_cluster(sweep: Sweeping) -> None:
    """Stop everything on every host, start it, then resume."""
    sweep.cluster.down()
    sweep.cluster.up()
    sweep.cluster.wait_for_nodes(len(sweep.cluster.hosts))
    sweep.resume()


def take_mlflow_away(sweep: Sweeping) -> None:
    """Have no MLflow for a while."""
    head = sweep.cluster.head
    (server,) = head.find(ROLES["mlflow"])
    keeper = _parent(server.pid)
    os.kill(keeper, signal.SIGSTOP)  # which would start it again
    os.killpg(os.getpgid(server.pid), signal.SIGKILL)
    time.sleep(1)
    assert head.ssh("curl -s 127.0.0.1:5001/health", check=False).returncode, "it is away"
    time.sleep(AWAY_SECONDS)
    os.kill(keeper, signal.SIGCONT)
    wait(lambda: head.find(ROLES["mlflow"]), 90, "MLflow's return")


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def restart_postgresql(sweep: Sweeping) -> None:
    """Have PostgreSQL end as `systemctl restart` does; it is started again."""
    sweep.cluster.kill(sweep.cluster.head, "postgres", signal.SIGINT)


def fill_the_spool(sweep: Sweeping) -> None:
    """Leave no room on the spool's disk for a while; see :func:`small_spool`."""
    head = sweep.cluster.head
    head.ssh("cat /dev/zero >~/gatelab/spool/other", check=False)
    warned = "no room on the disk"
    wait(lambda: warned in sweep.log(), 180, "the driver's warning", every=0.5)
    time.sleep(FULL_SECONDS)
    head.ssh("rm ~/gatelab/spool/other")


def small_spool(head: Host) -> None:
    """Give the next sweep's spool a small disk of its own, until the head is switched off."""
    head.ssh(
        "mkdir -p ~/gatelab/spool; umount ~/gatelab/spool 2>/dev/null; "
        f"mount -t tmpfs -o size={SPOOL_KIB}k spool ~/gatelab/spool"
    )


def add_a_node(sweep: Sweeping) -> None:
    """Have one more host join, which does its part."""
    cluster = sweep.cluster
    host = cluster.add()
    assert cluster.nodes() == len(cluster.hosts) and host.address in cluster.file.read_text()
    wait(lambda: host.find(ROLES["trial"]), 240, "a trial on the new node")


def _worker(sweep: Sweeping) -> Host:
    return random.choice(sweep.cluster.hosts[1:])


Fault = Callable[[Sweeping], None]
GROUPS: tuple[tuple[Fault, ...], ...] = (
    (stop_the_cluster, add_a_node, kill_a_trial, restart_postgresql, cut_a_link),
    (kill_the_driver, kill_a_raylet, fill_the_spool, take_mlflow_away),
)
"""Those that one sweep can survive one after another, each hiding nothing of what another may have
lost: a resume, which reads everything again, comes first, and what takes long comes last."""
FAULTS = tuple(fault for group in GROUPS for fault in group)
