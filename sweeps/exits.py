"""How a command ends early: one line, and an exit code."""

from __future__ import annotations

import sys
from typing import NoReturn

import click

FAILED, BAD_INPUT, UNDELIVERED, INTERRUPTED = 1, 2, 3, 130


def refuse(error: object) -> NoReturn:
    """Say what was wrong with the input, and end with 2."""
    message = error.args[0] if isinstance(error, LookupError) else error
    stop(f"gatelab: {message}", BAD_INPUT)


def stop(message: str, code: int) -> NoReturn:
    """Say why the command ends, and end."""
    click.echo(message, err=True)
    sys.exit(code)
