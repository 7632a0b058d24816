"""The command ``gatelab``, whose libraries are imported only where Ctrl-C ends it with one line."""

from __future__ import annotations

import atexit
import os
import signal
import sys
import warnings


def run_command() -> None:
    """Run the command line; what interrupts it before it can say so itself is said here."""
    codes: list[int] = []
    atexit.register(_leave, codes)  # before any library's, so that it comes after all of them
    try:
        _run()
    except SystemExit as error:
        if error.code is None or isinstance(error.code, int):
            codes.append(error.code or 0)
            _leave_when_hurried(codes)
        raise


def _run() -> None:
    try:
        from gatelab.sweeps.cli import main
        from gatelab.torch_words import FALLS_BACK

        warnings.filterwarnings("ignore", FALLS_BACK, UserWarning)  # a rehearsal says it in a line

        main()
    except KeyboardInterrupt:
        sys.stderr.write("Stopped.\n")
        sys.exit(130)


def _leave_when_hurried(codes: list[int]) -> None:
    """Let whoever stops a command again, which has said its last line, end it at once.

    Libraries tidy up for a second or more, Ray's processes among them, which end by themselves too.
    An interrupt there would be a traceback of theirs.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if callable(signal.getsignal(number)):  # not one that is ignored, or ends it anyway
            signal.signal(number, lambda *_: _leave(codes))


def _leave(codes: list[int]) -> None:
    """End at once, with the code of a command that has one.

    All is done that was to be done at its end. What is left is to take torch, MLflow and Ray apart,
    object by object, which takes Python one second after a comparison and two after a sweep.
    """
    if not codes:
        return
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):  # Python says so, with a code of its own
            return
        except RuntimeError:  # a signal has come while this stream is written out: the rest follows
            return
    os._exit(codes[0] & 0xFF)
