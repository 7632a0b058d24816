"""Slots: how many jobs run at once on the nodes that there are, or that may come."""

from __future__ import annotations

import ray

from gatelab.sweeps.cluster.autoscaling import may_come


def slots(cpus: float, gpus: float) -> int:
    """Return how many jobs that take so many CPUs and GPUs run at once, at least 1."""
    now, coming = ray.cluster_resources(), may_come()
    has = {
        "CPU": max(now.get("CPU", 0), sum(node.cpus for node in coming)),
        "GPU": max(now.get("GPU", 0), sum(node.gpus for node in coming)),
    }
    needs = {"CPU": cpus, "GPU": gpus}
    return max(1, min(int(has[name] / need) for name, need in needs.items() if need))
