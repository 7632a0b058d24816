"""gatelab's command line in processes of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
WAITING = " ...\n"
"""How a line ends that says what a slow machine waits for."""
PROCESSES: list[subprocess.Popen[str]] = []
"""Those started; what a test leaves of them is ended (conftest.py)."""


def gatelab(folder: Path, *arguments: str, **more: Any) -> subprocess.Popen[str]:
    """Start a command in a folder, in a session of its own, its two outputs as one."""
    process = subprocess.Popen(
        [sys.executable, "-m", "gatelab", *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        **more,
    )
    PROCESSES.append(process)
    return process


def launched(folder: Path, *arguments: str, **more: Any) -> subprocess.Popen[str]:
    """Start a command that runs a sweep; it is under way, or its one line is an error."""
    return _begun(folder, *arguments, **more)[0]


def run(folder: Path, *arguments: str) -> str:
    process, first = _begun(folder, *arguments)
    output = first + process.communicate()[0]
    assert process.returncode == 0, output
    return output


def _begun(folder: Path, *arguments: str, **more: Any) -> tuple[subprocess.Popen[str], str]:
    """Return a process and its first line; it is started anew where Ray was not up in time."""
    from gatelab.sweeps.cluster.joining import TIMED_OUT  # here: Ray takes a second to import

    for _ in range(3):
        process = gatelab(folder, *arguments, **more)
        assert process.stdout is not None
        line = process.stdout.readline()
        while line.endswith(WAITING):
            line = process.stdout.readline()
        if TIMED_OUT not in line:
            break
        end(process)
    return process, line


def untold(text: str) -> str:
    """Return what a command says without the lines of what a slow machine waits for."""
    return "".join(line for line in text.splitlines(True) if not line.endswith(WAITING))


def kill_session(process: subprocess.Popen[str]) -> None:
    """Kill the driver and all that it started, as a lost machine would."""
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def end(process: subprocess.Popen[str]) -> None:
    """Leave nothing of a process.

    A pipe that stays open is closed by the garbage collector, long after a test that has failed,
    and a warning of it fails whatever test runs then.
    """
    if process.poll() is None:
        kill_session(process)
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()
