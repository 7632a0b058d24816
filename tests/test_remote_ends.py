"""What a command says of a driver that ended on a cluster, by its last line and its exit code."""

from __future__ import annotations

import subprocess
import sys

import pytest

from gatelab.sweeps.cli.remote import NO_PYTHON, end_as
from gatelab.sweeps.cluster.client import DriverJob


def ended(exit_code: int) -> DriverJob:
    return DriverJob("a-1", "a", 1, "failed", exit_code, None, "")


def test_a_python_without_gatelab_is_told_whose_it_must_be(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """By the line that Python itself says then."""
    bare = [sys.executable, "-I", "-S", "-m", "gatelab"]
    done = subprocess.run(bare, capture_output=True, text=True)
    with pytest.raises(SystemExit, match="1"):
        end_as(ended(done.returncode), done.stderr.strip(), shown=False)
    assert capsys.readouterr().err == f"gatelab: {done.stderr.strip()}; {NO_PYTHON}.\n"


def test_another_end_is_the_drivers_own(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="4"):
        end_as(ended(4), "a: nothing has a score", shown=False)
    assert capsys.readouterr().err == "a: nothing has a score\n"
