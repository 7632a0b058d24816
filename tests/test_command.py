"""The command's process: what it does at its end, and what it does not wait for."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

ENDING = """
import atexit, sys, threading, time
from gatelab import command


class Late:
    def __del__(self):
        print("taken apart")


def run():
    atexit.register(print, "at its end")
    threading.Thread(target=lambda: (time.sleep(0.2), print("a thread"))).start()
    {last}


late = Late()
cycle = [late]
cycle.append(cycle)
command._run = run
print("begins")
command.run_command()
"""


def ended(last: str) -> subprocess.CompletedProcess[str]:
    """Return how a command has ended whose last line that is."""
    code = ENDING.format(last=last)
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)


@pytest.mark.parametrize(("code", "seen"), [("0", 0), ("2", 2), ("", 0), ("True", 1), ("-1", 255)])
def test_all_is_done_and_nothing_is_taken_apart(code: str, seen: int) -> None:
    found = ended(f"sys.exit({code})")
    assert found.returncode == seen
    assert found.stdout.split("\n") == ["begins", "a thread", "at its end", ""]


def test_what_python_says_at_the_end_it_says() -> None:
    found = ended("raise ValueError('a slip')")
    assert found.returncode == 1 and "ValueError: a slip" in found.stderr
    assert "at its end\ntaken apart\n" in found.stdout
    found = ended("sys.exit('in words')")
    assert (found.returncode, found.stderr) == (1, "in words\n")


def test_output_that_cannot_be_written_is_told() -> None:
    code = (
        "import sys\nfrom gatelab import command\n"
        "command._run = lambda: (print('x'), sys.exit(0))\ncommand.run_command()\n"
    )
    buffered = {**os.environ, "PYTHONUNBUFFERED": ""}
    with open("/dev/full", "w") as full:
        found = subprocess.run(
            [sys.executable, "-c", code], stdout=full, stderr=subprocess.PIPE, env=buffered
        )
    assert found.returncode == 120 and b"No space left" in found.stderr


AT_ITS_END = """
import atexit, os, signal, sys, time
from gatelab import command
from gatelab.sweeps.driver.processes import interrupt_on_term

def tidy():
    print("tidies", end="")
    os.kill(os.getpid(), int(sys.argv[1]))
    time.sleep(20)
    print("for long")

def run():
    interrupt_on_term()
    atexit.register(tidy)
    sys.exit(4)

command._run = run
command.run_command()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_who_stops_it_again_at_its_end_waits_no_longer(number: int) -> None:
    """Without a library's traceback, and with the code that it had."""
    words = [sys.executable, "-c", AT_ITS_END, str(number)]
    found = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert (found.returncode, found.stdout, found.stderr) == (4, "tidies", "")
