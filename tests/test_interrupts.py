"""Ctrl-C while libraries are imported: at once, and where Python loses it in a callback."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
import tomllib
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest

from gatelab.sweeps.cli.interrupts import interrupts_come_again


class Collected:
    """Something that ends."""


@pytest.fixture(autouse=True)
def interrupts_raise() -> Iterator[None]:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def lose(error: type[BaseException]) -> None:
    """Raise an error where Python goes on after it."""

    def raise_it(_: object) -> None:
        raise error

    collected = Collected()
    reference = weakref.ref(collected, raise_it)
    del collected
    assert reference() is None


def test_an_interrupt_that_was_lost_comes_again() -> None:
    with pytest.raises(KeyboardInterrupt), interrupts_come_again():
        lose(KeyboardInterrupt)
        time.sleep(20)


def test_other_errors_go_where_they_went(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda ignored: seen.append(ignored.exc_type))
    mine = sys.unraisablehook
    with interrupts_come_again():
        lose(ValueError)
    assert seen == [ValueError] and sys.unraisablehook is mine


INTERRUPTED = """
import os, runpy, signal, sys

class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == sys.argv[1]:
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupting())
runpy.run_module("gatelab", run_name="__main__")
"""


@pytest.mark.parametrize("library", ["gatelab.sweeps.cli", "click", "rich.console"])
def test_an_interrupt_while_a_command_imports_is_one_line(library: str) -> None:
    words = [sys.executable, "-c", INTERRUPTED, library]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "Stopped.\n")


def test_the_installed_command_begins_there_too() -> None:
    project = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text())
    assert project["project"]["scripts"] == {"gatelab": "gatelab.command:run_command"}


ANSWERING = """
import os, sys, time
from pathlib import Path
from gatelab.durable import draft_of
from gatelab.sweeps.cli.answering import answering

try:
    with answering("The rows are predicted"), draft_of(Path(sys.argv[1])) as draft:
        draft.write_text("half")
        os.kill(os.getpid(), int(sys.argv[2]))
        time.sleep(20)
except KeyboardInterrupt:
    sys.exit(130)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_what_ends_a_command_that_answers_leaves_no_draft(number: int, tmp_path: Path) -> None:
    words = [sys.executable, "-c", ANSWERING, str(tmp_path / "predictions.csv"), str(number)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr, list(tmp_path.iterdir())) == (130, "", [])
