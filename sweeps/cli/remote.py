"""Launch and resume on a cluster, as commands: what is shown, and with which code they end."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from gatelab.sweeps.cli.console import show_line
from gatelab.sweeps.cli.ending import FAILED, INTERRUPTED, end, refuse
from gatelab.sweeps.cli.error_lines import show_error
from gatelab.sweeps.cli.rows import show_commands
from gatelab.sweeps.cluster.access import ClusterError

if TYPE_CHECKING:
    from gatelab.sweeps.cluster.client import Cluster, DriverJob
    from gatelab.sweeps.spec.spec import Spec

NO_PYTHON = "the `python` of the head's PATH must be that of gatelab: see ~/.gatelab/env there"

address_option = click.option(
    "--address",
    envvar="GATELAB_ADDRESS",
    help="The dashboard of a Ray cluster, http://HOST:8265; by default this machine.",
)
follow_option = click.option("--follow", is_flag=True, help="Show its lines until it ends.")


def launch_remote(spec: Spec, path: Path, address: str, folder: Path, follow: bool) -> NoReturn:
    """Launch a sweep on a cluster, and end with its driver's exit code if that is known."""
    from gatelab.sweeps.cluster import submission  # here: it takes seconds to import
    from gatelab.sweeps.spec.spec import SpecError

    with refusals():
        cluster = reached(address)
        try:
            job = submission.submit_launch(cluster, spec, path.name, never=[folder], tell=tell)
        except SpecError as error:
            refuse(error.at(str(path)))
        _watch(cluster, job, follow)


def resume_remote(
    sweep: str,
    address: str,
    follow: bool,
    redeliver: bool,
    overrides: Sequence[str] = (),
    successor: str | None = None,
) -> NoReturn:
    """Resume a sweep on a cluster, or let a successor go on; end as :func:`launch_remote` does."""
    from gatelab.sweeps.cluster import submission

    with refusals():
        cluster = reached(address)
        if successor is None:
            job = submission.submit_resume(cluster, sweep, redeliver)
        else:
            job = submission.submit_successor(cluster, sweep, overrides, successor)
        _watch(cluster, job, follow)


def tell(line: str) -> None:
    """Say what is shipped."""
    show_line(f"Ships {line}")


def reached(address: str) -> Cluster:
    """Return the cluster of a dashboard."""
    from gatelab.sweeps.cluster.client import Cluster  # here: Ray takes a second to import

    return Cluster(address)


@contextmanager
def refusals() -> Iterator[None]:
    """Turn what is wrong with a cluster, or with what is asked of it, into one line and code 2."""
    try:
        yield
    except (ClusterError, LookupError) as error:
        refuse(error)


def _watch(cluster: Cluster, job: DriverJob, follow: bool) -> NoReturn:
    """Show a driver's lines to its end, or wait only until it is under way."""
    from gatelab.sweeps.cluster.watching import follow as lines_of
    from gatelab.sweeps.driver.processes import UNDER_WAY  # here: Optuna takes a second to import

    show_line(f"{job.sweep}: submitted as job {job.id}; its driver checks the cluster.")
    last = ""
    try:
        for line in lines_of(cluster, job):
            last = line.strip() or last
            if follow:
                (show_error if line.startswith("gatelab: ") else click.echo)(line)
            elif line.startswith(f"{job.sweep}: {UNDER_WAY}"):
                show_line(f"{job.sweep}: {UNDER_WAY} on {cluster.address}.")
                _tell_how(cluster, job.sweep)
                sys.exit(0)
    except KeyboardInterrupt:
        show_error(f"\n{job.sweep} goes on without this command.")
        _tell_how(cluster, job.sweep)
        sys.exit(INTERRUPTED)
    end_as(cluster.now(job), last, shown=follow)


def end_as(job: DriverJob, last: str, shown: bool) -> NoReturn:
    """End with a driver's exit code; say why it ended, unless its lines were shown."""
    if job.exit_code == 0:
        if not shown:
            show_line(f"{job.sweep}: finished; `gatelab compare {job.sweep}` shows it.")
        sys.exit(0)
    if job.exit_code in (126, 127) or "No module named gatelab" in last:
        end(f"gatelab: {last}; {NO_PYTHON}.", FAILED)
    if not last:  # it never began
        why = job.message.strip().splitlines() or [f"job {job.id} has {job.status}"]
        end(f"gatelab: {why[-1]}", FAILED)
    if not shown:
        show_error(last)
    sys.exit(job.exit_code or FAILED)


def _tell_how(cluster: Cluster, sweep: str) -> None:
    where = option(cluster)
    show_commands(
        {
            f"gatelab status {sweep}{where}": "how far it is",
            f"gatelab logs {sweep} --follow{where}": "its lines",
            f"gatelab stop {sweep}{where}": "`gatelab resume` goes on later",
        }
    )


def option(cluster: Cluster) -> str:
    """Return the option that leads to a cluster, where no variable does."""
    named = os.environ.get("GATELAB_ADDRESS", "").rstrip("/") == cluster.address
    return "" if named else f" --address {cluster.address}"
