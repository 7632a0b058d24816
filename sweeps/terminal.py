"""What commands have in common: their console, and how they end early."""

from __future__ import annotations

import sys
from typing import NoReturn

import click
from rich.console import Console

LOG_WIDTH = 120
"""Characters of a line in a file or a pipe."""
FAILED, BAD_INPUT, UNDELIVERED, INTERRUPTED = 1, 2, 3, 130


def open_console() -> Console:
    """Return a console that leaves a table its width where no terminal limits it."""
    return Console() if sys.stdout.isatty() else Console(width=LOG_WIDTH)


def refuse(error: object) -> NoReturn:
    """Say what was wrong with the input, and end with 2."""
    message = error.args[0] if isinstance(error, LookupError) else error
    stop(f"gatelab: {message}", BAD_INPUT)


def stop(message: str, code: int) -> NoReturn:
    """Say why the command ends, and end."""
    click.echo(message, err=True)
    sys.exit(code)
