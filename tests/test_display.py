"""The lines of a sweep: what they say, and that nobody can read them must not end Ray's loop."""

from __future__ import annotations

import errno
import signal
import time
from contextlib import suppress
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from rich.text import Text

from gatelab.sweeps.driver.display import Display
from gatelab.sweeps.driver.notebook import as_html
from gatelab.sweeps.driver.telling import _say, say, telling
from gatelab.sweeps.search.studies import open_studies
from gatelab.sweeps.spec.rounds import Rounds
from gatelab.sweeps.spec.space import SearchSpace
from gatelab.training.goal import Goal
from gatelab.training.jobs import Job
from gatelab.training.steps import Ending, Step


class Unread(Console):
    """Prints nothing."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number

    def print(self, *_: Any, **__: Any) -> None:
        raise OSError(self.number, "why")


def test_when_nobody_reads_on_the_sweep_stops_as_by_ctrl_c() -> None:
    came: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: came.append(number))  # as Tune's
    try:
        Display(Unread(errno.EPIPE), {}, 1, 1).note("one")
    finally:
        signal.signal(signal.SIGINT, before)
    assert came == [signal.SIGINT]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_a_log_that_takes_no_line_stops_nothing(number: int) -> None:
    Display(Unread(number), {}, 1, 1).note("one")


def test_the_best_is_so_by_the_goal_of_the_sweep(tmp_path: Path) -> None:
    """Of a metric that is better when higher, and first by what is required."""
    goal = Goal("val/mean/r2", higher_is_better=True, at_most_k=0.99)
    text = StringIO()
    rounds, space = {"one": Rounds(3)}, {"one": SearchSpace({}, {})}
    studies = open_studies(tmp_path / "j", space, rounds, sampler="tpe", seed=0, goal=goal)
    display = Display(Console(file=text, width=200), studies, 3, 8, goal)
    for number, (r2, broken) in enumerate(((0.5, False), (0.7, False), (0.9, True))):
        job = Job("search", "one", "softmax", (), number)
        display.ended(job, [Ending("finished", "", 8, r2, broken)])
    assert "one: trial 2 finished, val/mean/r2 0.9, epoch 8 (3 of 3)" in text.getvalue()
    assert display._note("one") == "best val/mean/r2 0.7"


def test_a_gate_without_a_search_waits_for_its_evaluation(tmp_path: Path) -> None:
    """Of no trials none is counted: what is left to do are the epochs of its seeds."""
    rounds = {"constant": Rounds(0), "one": Rounds(3)}
    space = dict.fromkeys(rounds, SearchSpace({}, {}))
    studies = open_studies(tmp_path / "j", space, rounds, sampler="tpe", seed=0, goal=Goal("loss"))
    shown = StringIO()
    console = Console(file=shown, width=120, force_terminal=True)
    console.print(Display(console, studies, 3, 8).progress)
    search, evaluation = sorted(shown.getvalue().splitlines(), key=lambda it: "constant" in it)
    assert "search" in search and "0/3" in search
    assert "evaluate" in evaluation and "0/8" in evaluation


def test_evaluations_that_run_at_once_are_counted_together(tmp_path: Path) -> None:
    """One has ended, of eight epochs at most, and another has done four."""
    space, rounds = {"constant": SearchSpace({}, {})}, {"constant": Rounds(0)}
    studies = open_studies(tmp_path / "journal", space, rounds, sampler="random", seed=0)
    shown = Display(Console(file=StringIO(), force_terminal=True), studies, 0, 8)
    first, other = (Job("evaluate", "constant", "constant", (), n) for n in (0, 2))
    shown.started(first)
    shown.started(other)
    shown.progressed(other, Step(4, 0.5, False, [], None))
    shown.ended(first, [Ending("finished", "", 8, 0.5)])
    (bar,) = shown.progress.tasks
    assert (bar.completed, bar.total, bar.description) == (12, 16, "evaluate")


def test_what_is_waited_for_is_worth_no_traceback() -> None:
    """Of the thread that says it, where its line cannot be written."""
    with Path("/dev/full").open("w", buffering=1) as full:
        _say(Console(file=full), "Ray starts")
        with suppress(OSError):
            full.close()


def test_a_line_is_printed_as_it_is() -> None:
    """A folder may be called as rich calls a style, or as the end of none that was begun."""
    text, line = StringIO(), "warning: /data/[run-3]/[bold]/[/x] is gone " + "or empty " * 20
    say(Console(file=text, width=40), line)
    assert text.getvalue() == line + "\n"


def test_a_log_is_told_what_takes_long_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gatelab.sweeps.driver.telling.SILENT_SECONDS", 0.01)
    text = StringIO()
    with telling(Console(file=text), "Ray starts"):
        deadline = time.monotonic() + 20
        while not text.getvalue() and time.monotonic() < deadline:
            time.sleep(0.01)
    assert text.getvalue() == "Ray starts ...\n"
    monkeypatch.setattr("gatelab.sweeps.driver.telling.SILENT_SECONDS", 60)
    with telling(Console(file=text), "The report is drawn"):
        pass
    assert text.getvalue() == "Ray starts ...\n"


def test_a_terminal_is_told_at_once() -> None:
    text = StringIO()
    with telling(Console(file=text, force_terminal=True, width=60), "Ray starts"):
        pass
    assert "Ray starts" in text.getvalue()


def test_a_notebook_shows_what_a_terminal_would() -> None:
    page = as_html(Text("<one>", "bold"))
    assert page.startswith("<pre") and "bold" in page and "&lt;one&gt;" in page
