"""Drivers sent to a cluster from any machine that reaches it: a launch, a resume, the doctor."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

from gatelab.sweeps.cluster import probes
from gatelab.sweeps.cluster.access import ClusterError
from gatelab.sweeps.cluster.client import Cluster, DriverJob
from gatelab.sweeps.cluster.shipping import LAUNCHED_FROM, pack
from gatelab.sweeps.cluster.watching import newest
from gatelab.sweeps.spec.spec import Spec


def submit_launch(
    cluster: Cluster,
    spec: Spec,
    name: str,
    *,
    never: Iterable[Path] = (),
    tell: Callable[[str], None] = lambda line: None,
) -> DriverJob:
    """Start a sweep as a job.

    Args:
        cluster: Where.
        spec: What.
        name: Of the spec's file.
        never: Folders that must not be shipped.
        tell: Is given what is shipped, a line each, before any of it is.

    Raises:
        ClusterError: If the name is taken there.
        SpecError: If a module cannot be shipped.
    """
    _check_free_there(cluster, spec.name)
    with TemporaryDirectory() as folder:
        for part in pack(spec, name, Path(folder), never):
            tell(part.line)
        command = f"launch -- {shlex.quote(name)}"
        return _submit(cluster, command, cluster.next_id(spec.name), spec.name, Path(folder))


def submit_resume(cluster: Cluster, sweep: str, redeliver: bool = False) -> DriverJob:
    """Go on with a sweep that has stopped, with the code that was shipped for its launch.

    Args:
        cluster: Where.
        sweep: Which.
        redeliver: Whether everything is written into MLflow again, of a finished sweep too.

    Raises:
        ClusterError: If it is running or finished.
    """
    last = newest(cluster.jobs(sweep)).get(sweep)
    if last is not None and last.live:
        raise ClusterError(
            f"sweep {sweep!r} is running: `gatelab logs {sweep} --follow` shows it, "
            f"`gatelab stop {sweep}` stops it."
        )
    if last is not None and last.status == "finished" and not redeliver:
        raise ClusterError(f"sweep {sweep!r} is finished: `gatelab compare {sweep}` shows it.")
    options = ["--redeliver"] if redeliver else []
    # The head may know it from before it was rebooted.
    command = shlex.join(["resume", *options, "--", sweep])
    return _submit(cluster, command, cluster.next_id(sweep), sweep)


def submit_successor(
    cluster: Cluster, sweep: str, overrides: Sequence[str], successor: str
) -> DriverJob:
    """Let a sweep go on from a finished one, with the code that was shipped for that.

    Args:
        cluster: Where.
        sweep: The finished one; its home is on the head, which says so if it is not.
        overrides: What there is to be more of.
        successor: The name of the sweep that goes on.

    Raises:
        ClusterError: If that name is taken there.
    """
    _check_free_there(cluster, successor)
    command = shlex.join(["resume", "--name", successor, "--", sweep, *overrides])
    return _submit(cluster, command, cluster.next_id(successor), successor)


def _check_free_there(cluster: Cluster, name: str) -> None:
    if any(job.status != "refused" for job in cluster.jobs(name)):
        raise ClusterError(
            f"sweep {name!r} is on the cluster already: `gatelab status {name}` shows "
            "how far it is, `--name` launches under another name."
        )


def submit_doctor(
    cluster: Cluster,
    spec: Spec | None,
    name: str,
    tell: Callable[[str], None] = lambda line: None,
) -> DriverJob:
    """Start the doctor on the head; with a spec it looks at what that needs too."""
    identity = f"doctor-{uuid4().hex[:8]}"
    if spec is None:
        return _submit(cluster, "doctor", identity, None)
    with TemporaryDirectory() as folder:
        for part in pack(spec, name, Path(folder)):
            tell(part.line)
        return _submit(cluster, f"doctor -- {shlex.quote(name)}", identity, None, Path(folder))


def _submit(
    cluster: Cluster, command: str, identity: str, sweep: str | None, folder: Path | None = None
) -> DriverJob:
    # No shell stays between Ray, which stops and counts its child, and the driver.
    environment = {LAUNCHED_FROM: json.dumps(probes.versions()), "GATELAB_ADDRESS": ""}
    return cluster.submit(
        f"exec python -m gatelab {command}",
        identity,
        sweep=sweep,
        folder=folder,
        environment=environment,
    )
