"""What commands say on the error stream."""

from __future__ import annotations

import sys

import click
from rich.console import Console
from rich.text import Text


def show_error(lines: str) -> None:
    """Print lines on the error stream; a terminal breaks them between words, a log never.

    Args:
        lines: One or several.
    """
    click.echo(_fitted(lines) if _is_terminal() else lines, err=True)


def show_warning(line: str) -> None:
    """Print what a command goes on after, in the one form by which a log is searched for it.

    Args:
        line: A sentence that says what is doubtful.
    """
    show_error(f"gatelab: warning: {line}")


def _is_terminal() -> bool:
    return sys.stderr is not None and sys.stderr.isatty()


def _fitted(lines: str) -> str:
    console = Console(stderr=True)
    parts = Text(lines).wrap(console, console.width)
    return "\n".join(part.plain.rstrip() for part in parts)
