"""Ctrl-C that Python loses in a callback of its garbage collector."""

from __future__ import annotations

import signal
import sys
import time
import weakref
from collections.abc import Iterator

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
