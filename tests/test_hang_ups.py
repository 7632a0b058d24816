"""A terminal that closes under a sweep stops it as Ctrl-C does, unless nohup has started it."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import subprocess
import sys
import termios
from functools import partial
from pathlib import Path

import pytest

from gatelab.sweeps.driver.processes import status
from gatelab.sweeps.home.home import Home
from tests.commands import PROCESSES

SPEC = """
name: c
task: {name: synthetic_groups, num_targets: 2, train_rows: 960, val_rows: 48, test_rows: 48}
gates: [softmax]
baselines: false
training: {max_epochs: 300, batch_size: 32}
search: {trials: 60, early_stopping: false}
evaluation: {seeds: 2}
resources: {members: 1}
"""


@pytest.mark.slow
@pytest.mark.ray
def test_a_terminal_that_closes(place: Path) -> None:
    """Nobody reads the lines any more: the driver ends well all the same, and all is saved."""
    (place / "c.yaml").write_text(SPEC)
    process, terminal = in_terminal(place, "launch", "c.yaml")
    read_until(terminal, "/60")
    os.close(terminal)
    assert process.wait(120) == 130
    assert status(Home(place / "gatelab_runs", "c")) == "stopped"


def in_terminal(folder: Path, *words: str) -> tuple[subprocess.Popen[str], int]:
    """Start a command in a terminal of its own; return them."""
    terminal, inside = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "gatelab", *words],
        cwd=folder,
        stdin=inside,
        stdout=inside,
        stderr=inside,
        text=True,
        start_new_session=True,
        preexec_fn=partial(fcntl.ioctl, inside, termios.TIOCSCTTY, 0),
    )
    os.close(inside)
    PROCESSES.append(process)
    return process, terminal


def read_until(terminal: int, text: str) -> None:
    said = b""
    while text.encode() not in said:
        said += os.read(terminal, 4096)


HANGING = """
import signal, time
from gatelab.sweeps.driver.processes import interrupt_on_term
interrupt_on_term()
try:
    print("begun", flush=True)
    time.sleep({seconds})
except KeyboardInterrupt:
    print("stopped", flush=True)
"""


@pytest.mark.parametrize(
    ("before", "seconds", "said"), [("SIG_DFL", 60, "stopped\n"), ("SIG_IGN", 1, "")]
)
def test_a_signal_and_outputs_that_are_read_still(before: str, seconds: int, said: str) -> None:
    """As in a log; where SIGHUP is ignored it is so afterwards."""
    process = subprocess.Popen(
        [sys.executable, "-c", HANGING.format(seconds=seconds)],
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=partial(signal.signal, signal.SIGHUP, getattr(signal, before)),
    )
    assert process.stdout is not None and process.stdout.readline() == "begun\n"
    process.send_signal(signal.SIGHUP)
    assert process.communicate(timeout=60)[0] == said
    assert process.returncode == 0
