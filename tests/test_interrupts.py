"""What a signal does to a driver, however it was started."""

from __future__ import annotations

import signal
import subprocess
import sys
from functools import partial

import pytest

from tests.commands import PROCESSES
from tests.ray_heads import clean_environment

IGNORE_CTRL_C = partial(signal.signal, signal.SIGINT, signal.SIG_IGN)
"""What a shell does with what it starts in the background."""

WAITING = """
import time
from gatelab.sweeps.driver.processes import interrupt_on_term
interrupt_on_term()
try:
    print("ready", flush=True)
    time.sleep(60)
except KeyboardInterrupt:
    print("interrupted")
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_driver_started_in_the_background_can_be_stopped(number: signal.Signals) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", WAITING],
        env=clean_environment(),
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=IGNORE_CTRL_C,
    )
    PROCESSES.append(process)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    assert process.communicate(timeout=120)[0] == "interrupted\n"
