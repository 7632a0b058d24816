"""How commands end: their exit codes, and the one line that says why."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn

from gatelab.sweeps.cli.error_lines import show_error
from gatelab.sweeps.cli.last_net import is_said_by_us

UNREAD = 128 + signal.SIGPIPE
"""As a shell says it of programs that this signal ends, which Python ignores."""
FAILED, BAD_INPUT, UNDELIVERED, NO_SCORE, INTERRUPTED = 1, 2, 3, 4, 130


def end_unread() -> NoReturn:
    """End without a word, as programs do that write into a pipe that nobody reads."""
    forget_output()
    sys.exit(UNREAD)


def forget_output() -> None:
    """Let go what is still to be written, or Python says at its end that nobody reads it."""
    with suppress(OSError, AttributeError):  # of a test, or where there is no output
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def refuse(error: object, in_words_of: Callable[[str], str] = str) -> NoReturn:
    """Say what was wrong with the input, and end with 2.

    Args:
        error: What says it.
        in_words_of: Turns its text into what a command's own arguments are called.

    Raises:
        Exception: That error, if it is a library's or a slip of ours: then it is no rule that the
            input breaks, and for the last net.
    """
    if isinstance(error, Exception) and not is_said_by_us(error):
        raise error
    message = in_words_of(str(error.args[0] if isinstance(error, LookupError) else error))
    end("\n".join(f"gatelab: {line}" for line in message.splitlines()), BAD_INPUT)


def end(message: str, code: int) -> NoReturn:
    """Say why the command ends, and end."""
    show_error(message)
    sys.exit(code)
