"""The nodes of the cluster that this process has joined, and what runs on every one of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import ray
from ray.exceptions import GetTimeoutError, RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from gatelab.sweeps.cluster.joining import find_modules, is_started_here, users_folder

T = TypeVar("T")


@dataclass(frozen=True)
class Node:
    """A machine of the cluster."""

    id: str
    name: str
    """Its address, or what tells it from others of that address."""
    cpus: float
    gpus: float
    head: bool


@dataclass(frozen=True)
class Answers(Generic[T]):
    """What a function returned on every node, by the node's name."""

    values: Mapping[str, T]
    failures: Mapping[str, str]
    """Why there is no value, in one line."""


def on_cluster() -> bool:
    """Return whether sweeps of this process run on a cluster, or will once it has joined one."""
    if ray.is_initialized():
        return len(nodes()) > 1
    return bool(os.environ.get("RAY_ADDRESS"))


def told_joined() -> str:
    """Return a line that says which Ray was joined, if it is none that a sweep has started here."""
    if not ray.is_initialized():
        return ""
    asked, address = os.environ.get("RAY_ADDRESS"), ray.get_runtime_context().gcs_address
    if not asked and is_started_here(address):
        return ""
    count = len(nodes())
    size = f"{count} node{'s' * (count != 1)}"
    why = f"RAY_ADDRESS={asked} says" if asked else "this process was joined to it before"
    return f"The Ray at {address} is joined, of {size}, as {why}."


def nodes() -> list[Node]:
    """Return the nodes that are alive, the head first."""
    alive = [node for node in ray.nodes() if node["Alive"]]
    found = [
        Node(
            id=node["NodeID"],
            name=_name(node, alive),
            cpus=node["Resources"].get("CPU", 0),
            gpus=node["Resources"].get("GPU", 0),
            head="node:__internal_head__" in node["Resources"],
        )
        for node in alive
    ]
    return sorted(found, key=lambda node: (not node.head, node.name))


def _name(node: Mapping[str, Any], others: Iterable[Mapping[str, Any]]) -> str:
    address = str(node["NodeManagerAddress"])
    same = sum(other["NodeManagerAddress"] == address for other in others)
    return address if same == 1 else f"{address} ({node['NodeID'][:6]})"


def ask(
    nodes: Iterable[Node], function: Callable[..., T], *arguments: Any, seconds: float
) -> Answers[T]:
    """Call a function on every node.

    Args:
        nodes: Where.
        function: A function of a module that every node has.
        arguments: Its arguments.
        seconds: After which a node counts as one that does not answer.
    """
    return ask_each({node: (function, *arguments) for node in nodes}, seconds=seconds)


def ask_each(calls: Mapping[Node, tuple[Any, ...]], *, seconds: float) -> Answers[Any]:
    """Call on every node a function of its own, given with its arguments; see :func:`ask`."""
    waiting = {_call(node, *call): node.name for node, call in calls.items()}
    ready, late = ray.wait(list(waiting), num_returns=len(waiting), timeout=seconds)
    values: dict[str, Any] = {}
    failures = {waiting[reference]: f"no answer in {seconds:g} s" for reference in late}
    for reference in ready:
        try:
            values[waiting[reference]], failure = ray.get(reference)
        except RayError as error:
            failure = _why_no_answer(error)
        if failure:
            failures[waiting[reference]] = failure
            values.pop(waiting[reference], None)
    for reference in late:
        ray.cancel(reference, force=True)
    return Answers(values, failures)


def ask_where(
    needs: tuple[float, float], function: Callable[..., T], *arguments: Any, seconds: float
) -> tuple[T | None, str]:
    """Call a function on whatever node has so many CPUs and GPUs free, which are its meanwhile.

    Returns:
        What it returned, or ``None`` and why there is nothing.
    """
    cpus, gpus = needs
    task = ray.remote(_attempt).options(num_cpus=cpus, num_gpus=gpus, max_retries=0)
    waiting = task.remote(users_folder(), function, *arguments)
    try:
        answer: tuple[T | None, str] = ray.get(waiting, timeout=seconds)
    except GetTimeoutError:
        ray.cancel(waiting, force=True)
        return None, f"no answer in {seconds:g} s"
    except RayError as error:
        return None, _why_no_answer(error)
    return answer


def _call(node: Node, function: Callable[..., Any], *arguments: Any) -> Any:
    there = NodeAffinitySchedulingStrategy(node.id, soft=False)
    task = ray.remote(_attempt).options(num_cpus=0, max_retries=0, scheduling_strategy=there)
    return task.remote(users_folder(), function, *arguments)


def _attempt(
    folder: str | None, function: Callable[..., T], *arguments: Any
) -> tuple[T | None, str]:
    """Call a function; an error goes back as text, since not every process can read its class."""
    find_modules(folder)
    try:
        return function(*arguments), ""
    except ValueError as error:  # ours, and says it all
        return None, " ".join(str(error).split())
    except Exception as error:  # whatever it is, it says what is wrong with this node
        return None, f"{type(error).__name__}: {' '.join(str(error).split())}"


def _why_no_answer(error: RayError) -> str:
    """Return why a function did not run at all: a package, a node or a worker is missing."""
    text = error.cause if isinstance(error, RayTaskError) else error
    lines = [line.strip() for line in str(text).splitlines() if line.strip()]
    found = [line for line in lines if "Error" in line]
    return (found or lines or [type(error).__name__])[-1]
