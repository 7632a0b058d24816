"""What commands print on: a console of this size, and what it shows on it."""

from __future__ import annotations

import errno
import json
import os
import re
import sys
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

import click
from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.text import Text

from gatelab.sweeps.cli.ending import forget_output

if TYPE_CHECKING:
    from gatelab.results.comparison.tables import Grid

TRAILING = re.compile(r"[ ]+(?=(?:\x1b\[[0-9;]*m)*$)")
"""Blanks at a line's end, before codes of the terminal's."""
JOINED = re.compile(r"(?<=\S)\n(?=[^\s*-])")
"""A line's end within a paragraph: what is indented or begins with a sign stays a line."""
LOG_WIDTH, LEAST_WIDTH = 120, 20
"""Characters of a line in a file or a pipe, and the fewest in which no number is cut."""


class _Console(Console):
    """Rich's, which ends the process without a word when nobody reads its lines any more."""

    def on_broken_pipe(self) -> None:
        """Let the command say what that means."""
        self.quiet = True
        forget_output()
        raise BrokenPipeError(errno.EPIPE, "nobody reads the lines")


def open_console(log_width: int = LOG_WIDTH) -> Console:
    """Return a console that leaves a table its width where neither a terminal nor COLUMNS does."""
    width = None if is_limited() else log_width
    return _Console(width=width, emoji=False)  # with it `tasks.py:100:` has a picture


def is_limited() -> bool:
    """Return whether a terminal or COLUMNS says how wide a line may be."""
    terminal = sys.stdout is not None and sys.stdout.isatty()
    return terminal or bool(_asked("COLUMNS"))


def settle_size() -> None:
    """Let every console find a size in the environment that can be one, or none.

    rich takes all that Unicode calls digits, and draws nothing in a width of 0.
    """
    for name, least in (("COLUMNS", LEAST_WIDTH), ("LINES", 1)):
        if asked := _asked(name):
            os.environ[name] = str(max(least, asked))
        else:
            os.environ.pop(name, None)


def _asked(name: str) -> int:
    """Return a size that the environment asks for; 0 where it asks for none."""
    text = os.environ.get(name, "")
    return int(text) if text.isascii() and text.isdigit() else 0


def busy(what: str) -> AbstractContextManager[object]:
    """Say in a terminal what is being waited for, as long as it lasts; nothing in a log."""
    console = Console(stderr=True)
    return console.status(what) if console.is_terminal else nullcontext()


def show_trimmed(console: Console, what: RenderableType) -> None:
    """Print a table or a text without the blanks at the ends of its lines."""
    with console.capture() as captured:
        console.print(what)
    for line in captured.get().splitlines():
        console.out(TRAILING.sub("", line), highlight=False)


def show_grid(console: Console, grid: Grid) -> None:
    """Print a grid, in parts where the console is too narrow for all of it."""
    from gatelab.results.comparison.tables import fitted, rich_table

    console.print()
    show_trimmed(console, Text(grid.title, "italic"))
    for part in fitted(grid, console.width):
        show_trimmed(console, rich_table(part, console.width))
    if grid.caption:
        show_trimmed(console, Text(grid.caption, "dim italic"))


def show_sentences(console: Console, lines: Iterable[str], hang: int = 0) -> None:
    """Print sentences, between whose words a narrow console breaks; a log has each in one line.

    Args:
        console: Where.
        lines: Of one sentence or several each.
        hang: Blanks before what follows such a break.
    """
    for line in lines:
        if is_limited():
            show_trimmed(console, _hanging(console, line, hang))
        else:
            console.print(line, highlight=False, markup=False, emoji=False, soft_wrap=True)


def _hanging(console: Console, line: str, hang: int) -> Text:
    """Return a line as the console breaks it, with blanks before all parts but the first.

    None are left where a word would have to be broken for them.
    """
    room = console.width - hang
    if max(map(cell_len, line.split()), default=0) > room:
        return Text(line)
    parts = Text(line[hang:]).wrap(console, room)
    return Text(line[:hang]) + Text("\n" + " " * hang).join(parts)


def show_line(line: str, hang: int = 0) -> None:
    """Print one line, as :func:`show_sentences` does."""
    show_sentences(open_console(), [line], hang)


def show_finding(ok: bool, line: str) -> None:
    """Print what was found of a check."""
    show_line(f"{'ok  ' if ok else 'FAIL'}  {line}", hang=6)


def show_text(console: Console, text: str) -> None:
    """Print a docstring: where a width is given, its paragraphs are filled anew."""
    paragraphs = [JOINED.sub(" ", it) if is_limited() else it for it in text.split("\n\n")]
    show_sentences(console, "\n\n".join(paragraphs).splitlines())


def print_json(content: object) -> None:
    """Print what a program reads."""
    click.echo(json.dumps(content, indent=2, default=str))
