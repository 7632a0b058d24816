"""gatelab's command line in processes of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

PROCESSES: list[subprocess.Popen[str]] = []
"""Those started; what a test leaves of them is ended (conftest.py)."""


def gatelab(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start a command in a folder, in a session of its own, its two outputs as one."""
    process = subprocess.Popen(
        [sys.executable, "-m", "gatelab", *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    PROCESSES.append(process)
    return process


def run(folder: Path, *arguments: str) -> str:
    process = gatelab(folder, *arguments)
    output, _ = process.communicate()
    assert process.returncode == 0, output
    return output


def wait_for(path: Path, text: str, count: int, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 240
    while not (path.exists() and path.read_text().count(text) >= count):
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.1)


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
