"""Jobs that train together: which of the members are whose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from gatelab.training.jobs import Job
from gatelab.training.steps import Trial


@dataclass(frozen=True)
class JobMembers:
    """A job's part of the work."""

    job: Job
    members: range
    """Of all that train together."""
    trial: Trial | None
    """Of a search, whose members are told as one."""


def parts_of_jobs(jobs: Sequence[Job]) -> list[JobMembers]:
    """Return each job's part, the members of all counted on in the jobs' order."""
    ends = [0, *accumulate(len(job.members) for job in jobs)]
    return [
        JobMembers(job, range(start, end), Trial() if job.stage == "search" else None)
        for job, (start, end) in zip(jobs, pairwise(ends), strict=True)
    ]
