"""The nodes of the cluster that this process has joined, and what runs on every one of them."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, Generic, TypeVar

# Ray reads these when it is imported.
os.environ.setdefault("RAY_AUTH_MODE", "token")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

import ray
from ray.exceptions import AuthenticationError, GetTimeoutError, RayError, RayTaskError
from ray.job_config import JobConfig
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from gatelab.sweeps.cluster.access import CONNECT_SECONDS, ClusterError, keep_own_token, one_line

T = TypeVar("T")
TIMED_OUT = "timed out during startup"


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


def join(code: Path | None = None) -> None:
    """Join the cluster that RAY_ADDRESS names, or start Ray on this machine alone.

    Args:
        code: The working directory of all workers, where a job has not set it.

    Raises:
        ClusterError: If the cluster cannot be joined.
    """
    if ray.is_initialized():
        return
    address = os.environ.get("RAY_ADDRESS")
    if address:
        _check_port(address)
    else:
        _check_files()
    try:
        with _terms_as_before():
            _init_in_time(address, code)
    except (AuthenticationError, OSError, RuntimeError, ValueError) as error:
        raise ClusterError(_why_not_joined(address, error)) from error
    except Exception as error:
        if TIMED_OUT not in str(error):
            raise
        raise ClusterError(f"Ray {TIMED_OUT}, twice: is the machine busy? Try again.") from error
    if not address:
        keep_own_token()


@contextmanager
def _terms_as_before() -> Iterator[None]:
    """Let SIGTERM do afterwards what it did before; Ray's own handler saves nothing.

    That ends the process with the signal's number; while Ray starts, it is a Ctrl-C as any other.
    """
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    except SystemExit as error:
        if error.code != signal.SIGTERM:
            raise
        raise KeyboardInterrupt from None
    finally:
        if callable(before) and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


def _init_in_time(address: str | None, code: Path | None) -> None:
    try:
        _init(address, code)
    except Exception as error:  # of no class of its own: a part of a node was not up in 15 s
        if TIMED_OUT not in str(error):
            raise
        ray.shutdown()
        _init(address, code)  # a busy machine has read from its disk by now what Ray needs


def _init(address: str | None, code: Path | None) -> None:
    with warnings.catch_warnings(), _silent() if address else nullcontext():
        warnings.simplefilter("ignore", FutureWarning)  # Ray's, of its own changes to come
        ray.init(
            address or "local",  # else Ray waits for any that was once started here, and killed
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
            runtime_env={"working_dir": str(code)} if code else None,
            job_config=JobConfig() if code else _without_folder(),
        )


def _without_folder() -> JobConfig:
    """Keep Ray from making the working directory a place of modules in its workers by itself.

    It would do so before they import gatelab, and a folder `gatelab` there would be taken for it;
    :func:`find_modules` does so afterwards. Ray's private ``_client_job``, made for drivers whose
    directory is on another machine, changes nothing else where no code is uploaded.
    """
    return JobConfig(_client_job=True)


def users_folder() -> str | None:
    """Return where the user's own modules lie; ``None`` where Ray has given them to its workers."""
    shipped = "working_dir" in ray.get_runtime_context().runtime_env
    return None if shipped else os.getcwd()


def find_modules(folder: str | None) -> None:
    """Let this process find the modules of the driver's :func:`users_folder`, before any other."""
    if folder is not None and folder not in sys.path:
        sys.path.insert(0, folder)


@contextmanager
def _silent() -> Iterator[None]:
    """Hide what Ray's core prints, past Python, at each of its tries with a wrong token."""
    kept = os.dup(2)
    with open(os.devnull, "w") as nothing:
        os.dup2(nothing.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _check_files() -> None:
    """Find out at once that no file can be written; Ray's processes die of it without a word."""
    place = Path(os.environ.get("RAY_TMPDIR", "/tmp"))
    if not place.is_dir():  # Ray makes it
        return
    try:
        with TemporaryFile(dir=place) as file:
            file.write(b"x")
            file.flush()
    except OSError as error:
        raise ClusterError(
            f"Ray cannot be started: no file can be written in {place}: {error.strerror}; make "
            "room there, or see `ulimit -f`."
        ) from error


def _check_port(address: str) -> None:
    """Find out in seconds that nobody listens; Ray tries for minutes."""
    if "://" in address:
        raise ClusterError(
            f"RAY_ADDRESS must be HOST:PORT, of Ray itself, but got {address!r}: unset it, and "
            "launch with --address from elsewhere."
        )
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():  # "auto", "local", or what Ray refuses itself
        return
    try:
        socket.create_connection((host, int(port)), timeout=CONNECT_SECONDS).close()
    except OSError as error:
        raise ClusterError(
            f"no cluster answers at RAY_ADDRESS={address}: {one_line(error)}; unset it to run on "
            "this machine, or start Ray there."
        ) from error


def _why_not_joined(address: str | None, error: Exception) -> str:
    if address is None:
        return f"Ray cannot be started: {one_line(error)}."
    if isinstance(error, ConnectionError):
        return (
            f"the cluster at RAY_ADDRESS={address} cannot be joined: the token must be the one "
            "that its head was started with."
        )
    return f"the cluster at RAY_ADDRESS={address} cannot be joined: {str(error).splitlines()[0]}"


def on_cluster() -> bool:
    """Return whether sweeps of this process run on a cluster, or will once it has joined one."""
    if ray.is_initialized():
        return len(nodes()) > 1
    return bool(os.environ.get("RAY_ADDRESS"))


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
