"""The doctor: what a cluster needs for a sweep, looked at before anything is written."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from gatelab.sweeps.cluster.access import ClusterError, check_token
from gatelab.sweeps.cluster.autoscaling import may_come
from gatelab.sweeps.cluster.joining import join
from gatelab.sweeps.cluster.node_checks import (
    NodeCheck,
    check_gpus,
    check_names,
    check_plug_ins,
    check_resources,
    check_same_data,
    check_storage,
    check_versions,
)
from gatelab.sweeps.cluster.nodes import Node, nodes, on_cluster
from gatelab.sweeps.cluster.shipping import launched_from
from gatelab.sweeps.cluster.sizing import Needs, needs
from gatelab.sweeps.spec.made_task import make_task
from gatelab.sweeps.spec.spec import Spec, SpecError
from gatelab.tasks.task import Task
from gatelab.tracking.masking import masked
from gatelab.tracking.mlflow_check import check_store
from gatelab.tracking.store_errors import StoreUnavailable


def check_cluster(spec: Spec, task: Task, storage: str, code: Path | None = None) -> Needs:
    """Join the cluster, and check what must hold there for a sweep; nothing stays written.

    Args:
        spec: The sweep's.
        task: Its task.
        storage: The place of :class:`gatelab.sweeps.cluster.storage.Storage`.
        code: The working directory of all workers, where a job has not set it.

    Returns:
        What a job occupies there.

    Raises:
        SpecError: With the first thing that does not hold.
    """
    try:
        join(code)
    except ClusterError as error:
        raise SpecError("", "", str(error)) from error
    found = nodes()
    job = needs(spec, task, _known(found))
    for check in _needed(found, spec, job, storage):
        _insist(check)
    return job


def check_machine(spec: Spec, task: Task, storage: str) -> Needs:
    """Start Ray on this machine, and check that a job of a sweep fits, and finds the storage.

    Returns:
        What a job occupies.

    Raises:
        SpecError: If it does not.
    """
    join()
    found = nodes()
    job = needs(spec, task, found)
    _insist(check_resources(found, job))
    if "://" in storage:  # a folder of this machine is there, or made
        _insist(check_storage(found, storage))
    return job


def _insist(check: NodeCheck) -> None:
    if not check.ok:
        raise SpecError("", check.path, check.line)


def _needed(found: Sequence[Node], spec: Spec, job: Needs, storage: str) -> Iterator[NodeCheck]:
    yield check_folder()
    yield check_versions(found, launched_from())
    yield check_resources(_known(found), job)
    yield check_names(found, spec)
    if len(found) > 1:  # the driver has read its own node's data
        yield check_same_data(found, spec)
    yield check_storage(found, storage)


def examine(spec: Spec | None, storage: str, uri: str) -> Iterator[NodeCheck]:
    """Yield every check as soon as it is done.

    Args:
        spec: What is to be launched, where that is known.
        storage: As above.
        uri: MLflow's tracking URI.
    """
    steps = [("token", check_token), ("cluster", _joined)]
    for name, act in steps if on_cluster() else reversed(steps):  # Ray makes a token for itself
        yield (check := _tried(name, act))
        if not check.ok:
            return
    found = nodes()
    if launched_from() is not None:
        yield check_folder()
    yield check_versions(found, launched_from())
    yield check_gpus(found)
    yield check_plug_ins(found)
    if spec is not None:
        yield check_resources(_known(found), needs(spec, make_task(spec), _known(found)))
        yield check_names(found, spec)
        yield check_same_data(found, spec)
    yield check_storage(found, storage)
    yield check_mlflow(uri)


def _known(found: Sequence[Node]) -> list[Node]:
    """Return the nodes that there are, and those that may come."""
    return [*found, *may_come()]


def _tried(name: str, act: Callable[[], str]) -> NodeCheck:
    try:
        return NodeCheck(name, True, act())
    except ClusterError as error:
        return NodeCheck(name, False, str(error))


def _joined() -> str:
    join()
    found = nodes()
    cpus, gpus = sum(node.cpus for node in found), sum(node.gpus for node in found)
    return f"nodes: {len(found)}, CPUs: {cpus:g}, GPUs: {gpus:g}"


def check_folder() -> NodeCheck:
    """Check that a job's driver keeps its files where they outlive the job."""
    folder = os.environ.get("GATELAB_FOLDER", "")
    if launched_from() is None or Path(folder).is_absolute():
        return NodeCheck("folder", True, folder)
    return NodeCheck(
        "folder",
        False,
        f"GATELAB_FOLDER must be an absolute path on the head, but there it is {folder!r}",
        "set it in ~/.gatelab/env on the head, and start Ray there again",
    )


def check_mlflow(uri: str) -> NodeCheck:
    """Check that MLflow can be reached from here, where the driver runs."""
    try:
        check_store(uri)
    except StoreUnavailable as error:
        return NodeCheck("mlflow", False, str(error))
    return NodeCheck("mlflow", True, masked(uri))
