"""How a command waits for a function's answer, and refuses what the function does."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from gatelab.sweeps.cli.console import busy
from gatelab.sweeps.cli.ending import refuse
from gatelab.sweeps.cli.error_lines import show_error
from gatelab.sweeps.cli.interrupts import stopped_by


@contextmanager
def answering(what: str, in_words_of: Callable[[str], str] = str) -> Iterator[None]:
    """Say in a terminal what is being waited for, and end with one line where it is refused.

    SIGTERM and a terminal that closes stop it as Ctrl-C does, so that no draft of a file is left.

    Args:
        what: A sentence, without its point.
        in_words_of: As :func:`gatelab.sweeps.cli.ending.refuse` takes it.
    """
    try:
        with stopped_by(signal.SIGTERM, signal.SIGHUP), busy(what):
            yield
    except (LookupError, ValueError) as error:
        refuse(error, in_words_of)


def tell_partial(line: str) -> None:
    """Say on the error stream how far a sweep is of which the best gate so far was taken."""
    if line:
        show_error(line)
