"""What must hold before a sweep begins or goes on: its name, and the nodes."""

from __future__ import annotations

import os
from pathlib import Path

from gatelab.sweeps.cluster.sizing import Needs
from gatelab.sweeps.home.files import is_half_made
from gatelab.sweeps.home.home import DamagedHome, Home
from gatelab.sweeps.home.making import taken
from gatelab.sweeps.spec.spec import Spec, SpecError
from gatelab.tasks.task import Task

ANOTHER_NAME = "`--name` launches under another name."


def check_free(name: str, folder: Path) -> None:
    """Check that no sweep of a folder has a name.

    Raises:
        SpecError: If one has.
    """
    path = folder / "sweeps" / name
    if not os.path.lexists(path) or is_half_made(path):
        return
    try:
        Home(folder, name)
    except DamagedHome as error:
        raise SpecError("spec", "name", f"{error} {ANOTHER_NAME}") from error
    raise taken(name)


def check_nodes(spec: Spec, task: Task, storage: str, code: Path | None = None) -> Needs:
    """Check that the sweep can run where it is to run; return what a job occupies there.

    Raises:
        ClusterError: If there is no cluster to join.
        SpecError: If no node can run a job.
    """
    from gatelab.sweeps.cluster.doctor import (  # here: Ray takes a second to import
        check_cluster,
        check_machine,
    )
    from gatelab.sweeps.cluster.nodes import on_cluster

    if on_cluster():
        return check_cluster(spec, task, storage, code)
    return check_machine(spec, task, storage)
