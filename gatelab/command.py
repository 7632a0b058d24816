"""The command ``gatelab``, whose libraries are imported only where Ctrl-C ends it with one line."""

from __future__ import annotations

import sys


def run_command() -> None:
    """Run the command line; what interrupts it before it can say so itself is said here."""
    try:
        from gatelab.sweeps.cli import main

        main()
    except KeyboardInterrupt:
        sys.stderr.write("Stopped.\n")
        sys.exit(130)
