"""`told.sh`: a long command of the Makefile's shows that it lives, and leaves nothing behind."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.commands import ROOT


def line(folder: Path, command: str) -> list[str]:
    (folder / "made").mkdir(exist_ok=True)
    log = folder / "build" / "said.log"
    return ["sh", str(ROOT / "told.sh"), str(log), str(folder / "made"), "sh", "-c", command]


def test_what_fails_shows_its_last_words_and_nothing_else(tmp_path: Path) -> None:
    words = "for i in $(seq 30); do echo word $i; done; echo why >&2; exit 3"
    found = subprocess.run(line(tmp_path, words), capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout) == (3, "")
    assert found.stderr.splitlines() == [*(f"word {i}" for i in range(12, 31)), "why"]


def test_what_works_says_nothing_where_nobody_looks_on(tmp_path: Path) -> None:
    found = subprocess.run(
        line(tmp_path, "echo word"), capture_output=True, text=True, check=True, timeout=5
    )
    assert (found.stdout, found.stderr) == ("", "")
    assert (tmp_path / "build" / "said.log").read_text() == "word\n"


@pytest.mark.slow
def test_a_terminal_has_one_line_that_changes_and_then_goes(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    subprocess.run(line(tmp_path, "echo word; sleep 3"), stdout=theirs, check=True, timeout=30)
    os.close(theirs)
    said = os.read(ours, 10_000).decode()
    os.close(ours)
    assert said.startswith("\r\x1b[K  2 s, ") and said.endswith(": word\r\x1b[K")
    assert "\n" not in said


@pytest.mark.slow
def test_ctrl_c_leaves_no_process(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    running = subprocess.Popen(line(tmp_path, "sleep 60"), stdout=theirs, start_new_session=True)
    time.sleep(0.5)
    os.killpg(running.pid, signal.SIGINT)
    assert running.wait(timeout=5) == -signal.SIGINT
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and _there(running.pid):
        time.sleep(0.1)
    assert not _there(running.pid)
    os.close(theirs)
    os.close(ours)


def _there(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
