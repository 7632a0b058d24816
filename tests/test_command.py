"""The command's process: what it does at its end, and what it does not wait for."""

from __future__ import annotations

import os
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
