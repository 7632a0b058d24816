"""One job at a time from a sweep whose jobs are handed out singly."""

from __future__ import annotations

from gatelab.sweeps.driver.sweep import Sweep
from gatelab.training.jobs import Job


def next_job(sweep: Sweep) -> Job | None:
    """Return the next job; ``None`` while all that is left waits."""
    jobs = sweep.next_jobs()
    assert len(jobs) < 2
    return jobs[0] if jobs else None
