"""The lines of a sweep that nobody can read: they must not end Ray's loop, which saves nothing."""

from __future__ import annotations

import errno
import signal
from typing import Any

import pytest
from rich.console import Console

from gatelab.sweeps.driver.display import Display


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
