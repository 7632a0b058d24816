"""Ray started as on a host: a head with a token of its own, and nodes that join it."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import psutil
import ray
import requests
from ray._raylet import AuthenticationTokenLoader

T = TypeVar("T")
ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent


@dataclass(frozen=True)
class Head:
    """A head that runs."""

    address: str
    """Of its dashboard."""
    ray_address: str
    """Which nodes and drivers join."""
    token: str
    token_path: Path
    folder: Path
    """What GATELAB_FOLDER names there; not made yet."""
    logs: Path
    """All that Ray has written."""

    def environment(self) -> dict[str, str]:
        """Return what a command of ours needs to reach it from elsewhere."""
        return {"RAY_AUTH_TOKEN_PATH": str(self.token_path), "GATELAB_ADDRESS": self.address}


def clean_environment(**more: str) -> dict[str, str]:
    """Return this process's environment without what a user may have set for a cluster."""
    users = ("RAY_", "GATELAB_", "MLFLOW_TRACKING", "AWS_")
    found = {name: value for name, value in os.environ.items() if not name.startswith(users)}
    ours = {"RAY_AUTH_MODE": "token", "MLFLOW_DISABLE_TELEMETRY": "true"}
    return {**found, **ours, **more}


@contextmanager
def head(**environment: str) -> Iterator[Head]:
    """Run a head with two CPUs; drivers and workers inherit the environment."""
    folder = Path(tempfile.mkdtemp(prefix="gl", dir="/tmp"))  # sockets' paths must be short
    token = secrets.token_hex(32)
    path = folder / "token"
    path.touch(0o600)
    path.write_text(token)
    try:
        started, process = again(lambda: _start_head(folder, token, environment))
        try:
            yield started
        finally:
            _stop(process)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _start_head(
    folder: Path, token: str, environment: Mapping[str, str]
) -> tuple[Head, subprocess.Popen[bytes]]:
    dashboard, gcs, client = free_ports(3)
    path = folder / "token"
    started = Head(
        f"http://127.0.0.1:{dashboard}",
        f"{_own_address()}:{gcs}",
        token,
        path,
        folder / "sweeps",
        folder / "ray",
    )
    settings = {"RAY_AUTH_TOKEN_PATH": str(path), "GATELAB_FOLDER": str(started.folder)}
    options = ["--head", f"--port={gcs}", f"--temp-dir={started.logs}", "--num-cpus=2"]
    options += [f"--dashboard-port={dashboard}", f"--ray-client-server-port={client}"]
    process = start(options, folder, {**settings, **environment})
    _wait_for(started, process, client)
    return started, process


@contextmanager
def node(head: Head, folder: Path, *options: str, **environment: str) -> Iterator[psutil.Process]:
    """Run one more node, which works in a folder; yield its raylet."""
    settings = {"RAY_AUTH_TOKEN_PATH": str(head.token_path), **environment}
    joining = [f"--address={head.ray_address}", *options]
    process = again(lambda: start(joining, folder, settings))
    try:
        yield _raylet(process.pid)
    finally:
        _stop(process)


class NotUp(Exception):
    """Ray gave up its own start."""


def again(begin: Callable[[], T]) -> T:
    """Begin what may not come up, and if it does not, anew: three times in all.

    A node ends itself when one of its parts, which imports as much as a driver, takes more than 15
    seconds to begin, as on a busy machine; no setting changes that (ray#65983). Or a port that was
    free is taken meanwhile.
    """
    for _ in range(2):
        with suppress(NotUp):
            return begin()
    return begin()


def start(
    options: Sequence[str], folder: Path, environment: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    """Start Ray in a folder, and wait until its node has joined.

    A head's dashboard answers before that, and for half a minute after the node has given up.
    """
    # Ports of its own choice, not fixed ones: other tests start Ray at the same time.
    ports = ["--min-worker-port=0", "--max-worker-port=0", "--dashboard-agent-listen-port=0"]
    settings = {"RAY_USAGE_STATS_ENABLED": "0", **environment}
    with (folder / "console").open("wb") as console:
        process = subprocess.Popen(
            [BIN / "ray", "start", "--block", *options, *ports],
            cwd=folder,
            env=clean_environment(PATH=f"{BIN}{os.pathsep}{os.environ['PATH']}", **settings),
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=console,
        )
    try:
        _wait_until_joined(process, folder / "console")
    except BaseException:
        _stop(process)
        raise
    return process


def _wait_until_joined(process: subprocess.Popen[bytes], console: Path) -> None:
    deadline = time.monotonic() + 120
    while "Ray runtime started." not in console.read_text():
        if process.poll() is not None or time.monotonic() > deadline:
            raise NotUp(console.read_text())
        time.sleep(0.2)


def _stop(process: subprocess.Popen[bytes]) -> None:
    family = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
    process.terminate()
    psutil.wait_procs(family, timeout=10)
    for member in family:
        if member.is_running():
            member.kill()
    process.kill()
    process.wait()


def _raylet(pid: int) -> psutil.Process:
    family = psutil.Process(pid).children(recursive=True)
    return next(child for child in family if child.name() == "raylet")


def _wait_for(head: Head, process: subprocess.Popen[bytes], client: int) -> None:
    """Wait until a head takes jobs, and all that is part of it is up: else it takes it down.

    Its last part, which serves ``ray://``, ends itself if the node has not joined in 30 seconds.
    """
    deadline = time.monotonic() + 90
    while not (_takes_jobs(head) and _listens(client)):
        if process.poll() is not None or time.monotonic() > deadline:
            _stop(process)
            raise NotUp((head.folder.parent / "console").read_text())
        time.sleep(0.3)


def _takes_jobs(head: Head) -> bool:
    request = {"Authorization": f"Bearer {head.token}"}
    try:
        return requests.get(f"{head.address}/api/jobs/", headers=request, timeout=10).ok
    except requests.RequestException:
        return False


def _listens(port: int) -> bool:
    try:
        socket.create_connection((_own_address(), port), timeout=3).close()
    except OSError:
        return False
    return True


def forget_token() -> None:
    """Let Ray look for this process's token again."""
    AuthenticationTokenLoader.instance().reset_cache()


def free_ports(count: int) -> list[int]:
    """Return ports that were free a moment ago."""
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [int(each.getsockname()[1]) for each in sockets]
    for each in sockets:
        each.close()
    return ports


def _own_address() -> str:
    """Return the address by which Ray knows this machine."""
    return str(ray.util.get_node_ip_address())
