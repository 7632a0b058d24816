"""Ctrl-C that Python has lost comes once more, and other signals stop a command as it does."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Timer, main_thread
from typing import Any

LATER_SECONDS = 0.1
"""By then what lost it has ended: a callback of the garbage collector."""


@contextmanager
def interrupts_come_again() -> Iterator[None]:
    """Interrupt the main thread anew where Python ignores that it was.

    An error in a finaliser or in a weak reference's callback is printed and goes no further; a
    Ctrl-C that comes meanwhile is such an error. Importing a large library, where a command spends
    its first seconds, runs many of them.
    """
    before = sys.unraisablehook

    def hook(ignored: Any) -> None:
        if isinstance(ignored.exc_value, KeyboardInterrupt):
            again = Timer(LATER_SECONDS, _interrupt_main)
            again.daemon = True
            again.start()
        else:
            before(ignored)

    sys.unraisablehook = hook
    try:
        yield
    finally:
        sys.unraisablehook = before


@contextmanager
def stopped_by(*numbers: signal.Signals) -> Iterator[None]:
    """Let signals that would end the process at once stop it as Ctrl-C does, which tidies up.

    One that is ignored, as SIGHUP is by nohup, stays so.
    """
    taken = [number for number in numbers if signal.getsignal(number) is signal.SIG_DFL]

    def stop(_: int, __: object) -> None:
        raise KeyboardInterrupt

    for number in taken:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number in taken:
            signal.signal(number, signal.SIG_DFL)


def _interrupt_main() -> None:
    # As a signal, so that a call in which the main thread waits ends too.
    identity = main_thread().ident
    if identity is not None:
        signal.pthread_kill(identity, signal.SIGINT)
