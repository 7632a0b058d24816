"""The group of all commands: each is imported when it is called, and ends with one line."""

from __future__ import annotations

import gc
import io
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from importlib import import_module
from typing import Any

import click
from click.shell_completion import CompletionItem

from gatelab.registry import near_misses
from gatelab.sweeps.cli.console import busy, settle_size
from gatelab.sweeps.cli.ending import INTERRUPTED, end, end_unread, refuse
from gatelab.sweeps.cli.help import FittedContext, fit_help
from gatelab.sweeps.cli.interrupts import interrupts_come_again
from gatelab.sweeps.cli.last_net import failure, is_closed_pipe, raised_by
from gatelab.tracking.store_errors import StoreUnavailable

MADE = 20_000
"""Objects made between two looks for garbage: with Python's 700 they are a fifth of imports."""
RAISING = ("strict", "surrogateescape")
"""So Python opens outputs, the second way in the locale C: what they cannot hold raises there."""


class Commands(click.Group):
    """Commands that are imported when they are called, since some need seconds for it.

    One whose store cannot be used, that is stopped, or that fails as nobody has foreseen, ends with
    one line.
    """

    context_class = FittedContext

    def __init__(
        self,
        *args: Any,
        modules: Mapping[str, str],
        sections: Mapping[str, Mapping[str, str]] | None = None,
        **options: Any,
    ) -> None:
        """Make the group.

        Args:
            args: Of click's group.
            modules: By command the module that has it in ``COMMANDS``.
            sections: For the help, what each command does, by section and command.
            options: Of click's group.
        """
        super().__init__(*args, **options)
        self.modules, self.sections = modules, sections or {}

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands' names in the order of the help."""
        return list(self.modules)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command; ``None`` where there is none of this name."""
        if cmd_name not in self.modules:
            return None
        with nullcontext() if ctx.resilient_parsing else busy("The libraries are read"):
            commands = import_module(self.modules[cmd_name]).COMMANDS
        found: click.Command = next(c for c in commands if c.name == cmd_name)
        fit_help(found)
        return found

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Return the commands that begin so, without importing one."""
        told = {n: text for commands in self.sections.values() for n, text in commands.items()}
        begun = [name for name in self.modules if name.startswith(incomplete)]
        return [CompletionItem(name, help=told.get(name)) for name in begun]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the sections of the help, without importing a command."""
        for title, commands in self.sections.items():
            with formatter.section(title):
                formatter.write_dl(list(commands.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Refuse a command that is none, with those that may be meant."""
        if args and args[0] not in self.modules and not args[0].startswith("-"):
            refuse(f"unknown command {args[0]!r}; {near_misses(args[0], self.modules)}")
        return super().resolve_command(ctx, args)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take ``--debug`` wherever it stands."""
        ours = args.index("--") if "--" in args else len(args)
        found = [word for word in args[:ours] if word != "--debug"]
        debug = ["--debug"] if len(found) < ours else []
        return super().parse_args(ctx, [*debug, *found, *args[ours:]])

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        """Read the words of a command; the help is written meanwhile."""
        settle_size()
        with _last_net(info_name or "gatelab", lambda: "--debug" in args):
            return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command."""
        gc.set_threshold(MADE)
        if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors in RAISING:
            sys.stdout.reconfigure(errors="replace")  # no sign is worth a command
        with _last_net(lambda: str(ctx.invoked_subcommand), lambda: bool(ctx.params.get("debug"))):
            with interrupts_come_again():
                return super().invoke(ctx)


@contextmanager
def _last_net(command: str | Callable[[], str], debug: Callable[[], bool]) -> Iterator[None]:
    """End with one line, whatever a command raises that it has not foreseen."""
    try:
        yield
    except StoreUnavailable as error:
        refuse(error)
    except KeyboardInterrupt:
        end("Stopped.", INTERRUPTED)
    except (click.exceptions.NoArgsIsHelpError, click.exceptions.Exit, click.Abort):
        raise
    except click.UsageError as error:
        refuse(_in_one_line(error))
    except click.ClickException:
        raise
    except BaseException as error:
        if isinstance(error, SystemExit) and raised_by(error, "gatelab", "click"):
            raise  # of others it would be an end without a word
        if is_closed_pipe(error):
            end_unread()
        if debug():
            traceback.print_exception(error)
        refuse(failure(error, command if isinstance(command, str) else command()))


def _in_one_line(error: click.UsageError) -> str:
    """Return what is wrong with the words of a command, which click says in four lines."""
    near = getattr(error, "possibilities", None)  # of an option or a command that is none
    message = (error.message if near else error.format_message()).removesuffix(".")
    command = error.ctx.command_path if error.ctx else "gatelab"
    told = f"did you mean {' or '.join(map(repr, near))}?" if near else ""
    told = told or f"`{command} --help` says what it takes."
    return f"{message[:1].lower()}{message[1:]}; {told}"
