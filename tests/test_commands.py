"""Processes of tests: what a test that fails leaves is no other test's fault."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.commands import end

pytest_plugins = ["pytester"]

TWO_TESTS = """
import gc, subprocess, sys
from tests.commands import PROCESSES
from tests.conftest import no_process_is_left

def test_that_fails():
    command = [sys.executable, "-c", "print('unread')"]
    PROCESSES.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
    PROCESSES[-1].wait()
    assert False

def test_that_comes_later():
    gc.collect()
"""


def test_a_pipe_that_a_failed_test_left_open_fails_no_later_one(pytester: pytest.Pytester) -> None:
    """Python warns of it whenever it finds it, and a warning fails the test that runs then."""
    pytester.makepyfile(TWO_TESTS)
    result = pytester.runpytest_inprocess("-W", "error", "-p", "no:xdist", "-p", "no:cacheprovider")
    result.assert_outcomes(failed=1, passed=1)


@pytest.mark.parametrize("seconds", [0, 60], ids=["ended", "running"])
def test_nothing_is_left_of_a_process(seconds: int) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", f"import time; time.sleep({seconds})"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    if not seconds:
        process.wait()
    end(process)
    assert process.returncode == (-9 if seconds else 0)
    assert process.stdout is not None and process.stdout.closed
    assert process.stderr is not None and process.stderr.closed
