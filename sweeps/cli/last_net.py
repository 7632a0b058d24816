"""What no command has foreseen: one line, and the traceback where it can be read."""

from __future__ import annotations

import errno
import os
from tempfile import NamedTemporaryFile
from traceback import format_exception, walk_tb

from gatelab.foreign import told
from gatelab.rules import as_line

MOST_SHOWN = 800
"""Characters of the line at most."""
KNOWN = {
    MemoryError: "the memory of this machine is not enough",
    RecursionError: "something is nested too deeply",
}
"""What errors mean that say little themselves."""


def is_closed_pipe(error: BaseException) -> bool:
    """Return whether nobody reads what a command prints any more, as after ``| head -1``."""
    return isinstance(error, OSError) and error.errno == errno.EPIPE


def is_said_by_us(error: Exception) -> bool:
    """Return whether an error was raised to be read: by our code, and of a class that tells."""
    return not isinstance(error, KeyError | IndexError) and raised_by(error, "gatelab")


def raised_by(error: BaseException, *packages: str) -> bool:
    """Return whether an error was raised by the code of packages, or by nobody yet."""
    frames = [frame for frame, _ in walk_tb(error.__traceback__)]
    return not frames or frames[-1].f_globals.get("__name__", "").partition(".")[0] in packages


def failure(error: BaseException, command: str) -> str:
    """Return what a command ended with: what, where, and where the traceback lies."""
    what = as_line(_explained(error) or told(error), MOST_SHOWN)
    return f"{command} has failed: {what}; {_kept(error)}"


def _explained(error: BaseException) -> str | None:
    if isinstance(error, OSError) and error.strerror:
        files = " and ".join(repr(os.fsdecode(f)) for f in (error.filename, error.filename2) if f)
        return f"{error.strerror}: {files}" if files else error.strerror
    return next((why for cls, why in KNOWN.items() if isinstance(error, cls)), None)


def _kept(error: BaseException) -> str:
    """Keep the traceback in a file that its user alone can read; say where."""
    text = "".join(format_exception(error))
    try:
        with NamedTemporaryFile(
            "w", prefix="gatelab-", suffix=".log", delete=False, errors="backslashreplace"
        ) as file:
            file.write(text)
    except OSError:
        return "`gatelab --debug ...` shows the traceback, for which there is no room."
    return f"the traceback is in {file.name}, and `gatelab --debug ...` shows it."
