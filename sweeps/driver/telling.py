"""What a command waits for, said while it does: nothing takes seconds in silence."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Timer

from rich.console import Console

SILENT_SECONDS = 3.0
"""After which a log is told, too, what is being waited for."""


@contextmanager
def telling(console: Console, what: str) -> Iterator[None]:
    """Say what is being waited for: as long as it lasts in a terminal, in a log once it is slow.

    Args:
        console: Where.
        what: Is under way, as ``Ray starts``.
    """
    if console.is_terminal:
        with console.status(what):
            yield
        return
    timer = Timer(SILENT_SECONDS, _say, (console, what))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _say(console: Console, what: str) -> None:
    with suppress(OSError):  # a full disk: what is being waited for says so itself
        say(console, f"{what} ...")


def say(console: Console, line: str) -> None:
    """Print a line as it is: no part of it is taken for a colour or a style.

    A terminal breaks it between words; in a log it stays in one piece, for who searches it.
    """
    whole = not console.is_terminal
    console.print(line, highlight=False, markup=False, emoji=False, soft_wrap=whole)
