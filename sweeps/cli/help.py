"""The help of commands in a narrow terminal, for which click has 50 columns at the least."""

from __future__ import annotations

from collections.abc import Iterable
from shutil import get_terminal_size

import click

HELP_WIDTH, MARGIN = 80, 2
"""Columns of a help's line at most, as click has them, and those that stay free."""


class FittedHelp(click.HelpFormatter):
    """Click's, in which a narrow terminal leaves what an option does more room than its name."""

    def __init__(
        self, indent_increment: int = 2, width: int | None = None, max_width: int | None = None
    ) -> None:
        """Make one as wide as the terminal is, if no width is given."""
        room = min(get_terminal_size().columns, max_width or HELP_WIDTH) - MARGIN
        super().__init__(indent_increment, width or room, max_width)

    def write_dl(
        self, rows: Iterable[tuple[str, str]], col_max: int = 30, col_spacing: int = 2
    ) -> None:
        """Write names and what they do, which stands below a name that is long."""
        super().write_dl(rows, min(col_max, self.width // 3), col_spacing)


class FittedContext(click.Context):
    """Click's, with this help."""

    formatter_class = FittedHelp


def fit_help(command: click.Command) -> None:
    """Let a command and those below it have this help, in which no sentence is cut."""
    command.context_class = FittedContext
    if command.short_help is None:
        command.short_help = (command.help or "").partition("\n\n")[0].replace("\n", " ")
    if isinstance(command, click.Group):
        for each in command.commands.values():
            fit_help(each)
