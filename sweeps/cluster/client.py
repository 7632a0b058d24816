"""A Ray cluster, seen from outside: the jobs that are drivers of its sweeps."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from ray.exceptions import AuthenticationError
from ray.job_submission import JobDetails, JobSubmissionClient

from gatelab.sweeps.cluster.access import (
    ClusterError,
    check_address,
    check_locked,
    check_token,
    one_line,
    token_source,
)

for _name in ("ray.dashboard.modules.dashboard_sdk", "ray._private.runtime_env.packaging"):
    logging.getLogger(_name).setLevel(logging.WARNING)  # they tell of every upload

STOP_SECONDS = 120
"""A driver that is told to stop has so long to save what a resume needs; Ray's default is 3."""
STATUSES = {
    "PENDING": "starting",
    "RUNNING": "running",
    "SUCCEEDED": "finished",
    "STOPPED": "stopped",
}
EXITS = {2: "refused", 3: "undelivered", 4: "incomplete", 130: "stopped"}


@dataclass(frozen=True)
class DriverJob:
    """A Ray job that launched or resumed a sweep."""

    id: str
    sweep: str
    """Empty for another job of ours."""
    number: int
    """Of the sweep's jobs, from 1."""
    status: str
    """``starting``, ``running``, ``finished``, ``stopped``, ``undelivered``, ``incomplete``,
    ``refused`` or ``failed``."""
    exit_code: int | None
    """The driver's, once it has ended."""
    started: datetime | None
    message: str
    """Ray's own."""

    @property
    def live(self) -> bool:
        """Whether its driver is there, or on its way."""
        return self.status in ("starting", "running")


class Cluster:
    """The jobs of a cluster, through the dashboard of its head."""

    def __init__(self, address: str) -> None:
        """Connect.

        Args:
            address: Of the dashboard: ``http://host:8265``.

        Raises:
            ClusterError: If no Ray answers there, or it is open to anyone, or refuses the token.
        """
        self.address = check_address(address)
        check_token()
        check_locked(self.address)
        with self._errors(), _only_this_address():
            self.client = JobSubmissionClient(self.address)

    def next_id(self, sweep: str) -> str:
        """Return the id of the job that comes next for a sweep."""
        return f"{sweep}-{max((job.number for job in self.jobs(sweep)), default=0) + 1}"

    def submit(
        self,
        entrypoint: str,
        identity: str,
        *,
        sweep: str | None,
        folder: Path | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> DriverJob:
        """Start a job on the head.

        Args:
            entrypoint: Its shell command.
            identity: Its id.
            sweep: Whose driver it is, if a sweep's.
            folder: What becomes the working directory of the job on every node.
            environment: Variables of the driver and all its workers: no secrets, since the
                dashboard shows them.
        """
        variables = {"RAY_JOB_STOP_WAIT_TIME_S": str(STOP_SECONDS), **(environment or {})}
        runtime: dict[str, object] = {"env_vars": variables}
        if folder is not None:
            runtime["working_dir"] = str(folder)
        with self._errors():
            self.client.submit_job(
                entrypoint=entrypoint,
                submission_id=identity,
                runtime_env=runtime,
                metadata={} if sweep is None else {"sweep": sweep},
            )
            return _driver_job(self.client.get_job_info(identity))

    def jobs(self, sweep: str | None = None) -> list[DriverJob]:
        """Return the jobs of a sweep, or of all, first to last."""
        with self._errors():
            found = self.client.list_jobs()
        ours = [_driver_job(job) for job in found if "sweep" in (job.metadata or {})]
        mine = [job for job in ours if sweep in (None, job.sweep)]
        return sorted(mine, key=lambda job: (job.sweep, job.number))

    def now(self, job: DriverJob) -> DriverJob:
        """Return a job as it is now."""
        with self._errors():
            return _driver_job(self.client.get_job_info(job.id))

    def log(self, job: DriverJob) -> str:
        """Return what a driver has said so far, without what Ray says before it."""
        with self._errors():
            text = self.client.get_job_logs(job.id)
        return text.partition(f"Running entrypoint for job {job.id}: ")[2].partition("\n")[2]

    def stop(self, job: DriverJob) -> None:
        """Tell a driver to stop; it takes a while."""
        with self._errors():
            self.client.stop_job(job.id)

    def forget(self, job: DriverJob) -> None:
        """Take a job that has ended off the cluster's list."""
        with self._errors():
            self.client.delete_job(job.id)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Turn what a request raises into one line."""
        try:
            yield
        except AuthenticationError as error:
            raise ClusterError(
                f"the cluster at {self.address} refuses the token in {token_source()}: it must be "
                "the one that the head was started with."
            ) from error
        except (RuntimeError, OSError) as error:  # those of requests are OSErrors
            raise ClusterError(f"the cluster at {self.address}: {one_line(error)}.") from error


def _driver_job(job: JobDetails) -> DriverJob:
    word, code = job.status.value, job.driver_exit_code
    number = re.search(r"-(\d+)$", job.submission_id or "")
    return DriverJob(
        id=job.submission_id or "",
        sweep=(job.metadata or {}).get("sweep", ""),
        number=int(number[1]) if number else 0,
        status=STATUSES.get(word) or EXITS.get(code or 1, "failed"),
        exit_code={"SUCCEEDED": 0, "STOPPED": 130}.get(word, code),
        started=datetime.fromtimestamp(job.start_time / 1000) if job.start_time else None,
        message=job.message or "",
    )


@contextmanager
def _only_this_address() -> Iterator[None]:
    """Hide the variables that Ray's client prefers to the address that it is given."""
    names = ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS")
    hidden = {name: os.environ.pop(name) for name in names if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(hidden)
