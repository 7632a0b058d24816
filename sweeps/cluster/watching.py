"""Watching: the drivers on a cluster, found, followed and stopped."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

from gatelab.registry import near_misses
from gatelab.sweeps.cluster.access import ClusterError
from gatelab.sweeps.cluster.client import Cluster, DriverJob

POLL_SECONDS = 1.0
AWAY_SECONDS = 60.0
"""For so long a cluster may be away that is followed, as while a tunnel is made again."""


def newest(jobs: Iterable[DriverJob]) -> dict[str, DriverJob]:
    """Return the last job of each sweep, of those that were not refused."""
    return {job.sweep: job for job in jobs if job.status != "refused"}


def find_job(cluster: Cluster, sweep: str) -> DriverJob:
    """Return the last job of a sweep.

    Raises:
        LookupError: If the cluster knows no such sweep.
    """
    found = newest(cluster.jobs())
    if sweep not in found:
        raise LookupError(f"no sweep {sweep!r} on {cluster.address}; {near_misses(sweep, found)}")
    return found[sweep]


def follow(cluster: Cluster, job: DriverJob) -> Iterator[str]:
    """Yield a driver's lines, those of before too, until it ends.

    Raises:
        ClusterError: If the cluster is away for long; the sweep goes on.
    """
    said, reached = 0, time.monotonic()
    while True:
        try:
            live, text = cluster.now(job).live, cluster.log(job)
        except ClusterError:
            if time.monotonic() - reached > AWAY_SECONDS:
                raise
        else:
            reached = time.monotonic()
            end = text.rfind("\n") + 1 if live else len(text)  # a line may be half written
            yield from text[said:end].splitlines()
            said = max(said, end)
            if not live:
                return
        time.sleep(POLL_SECONDS)


def stop_job(cluster: Cluster, job: DriverJob) -> DriverJob:
    """Stop a driver as Ctrl-C does; return the job as it is once all is saved."""
    cluster.stop(job)
    while (now := cluster.now(job)).live:
        time.sleep(POLL_SECONDS)
    return now
