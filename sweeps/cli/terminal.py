"""What commands have in common: their options, their console, and how they end early."""

from __future__ import annotations

import errno
import gc
import io
import json
import os
import re
import signal
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any, NoReturn

import click
from click.shell_completion import CompletionItem
from rich.console import Console, RenderableType
from rich.text import Text

from gatelab.registry import near_misses
from gatelab.rules import check_paths
from gatelab.sweeps.cli.hints import FOLDER_VARIABLE
from gatelab.sweeps.cli.interrupts import interrupts_come_again
from gatelab.sweeps.cli.last_net import failure, is_closed_pipe, is_said_by_us, raised_by
from gatelab.sweeps.cli.local_path import LocalPath
from gatelab.tracking.schema import FOLDER
from gatelab.tracking.store_errors import StoreUnavailable

if TYPE_CHECKING:
    from gatelab.results.comparison.tables import Grid

TRAILING = re.compile(r"[ ]+(?=(?:\x1b\[[0-9;]*m)*$)")
"""Blanks at a line's end, before codes of the terminal's."""
LOG_WIDTH, LEAST_WIDTH = 120, 20
"""Characters of a line in a file or a pipe, and the fewest in which no number is cut."""
MADE = 20_000
"""Objects made between two looks for garbage: with Python's 700 they are a fifth of imports."""
RAISING = ("strict", "surrogateescape")
"""So Python opens outputs, the second way in the locale C: what they cannot hold raises there."""
UNREAD = 128 + signal.SIGPIPE
"""As a shell says it of programs that this signal ends, which Python ignores."""
FAILED, BAD_INPUT, UNDELIVERED, NO_SCORE, INTERRUPTED = 1, 2, 3, 4, 130

folder_option = click.option(
    "--folder",
    type=LocalPath(file_okay=False),
    default=FOLDER,
    envvar=FOLDER_VARIABLE,
    show_default=True,
    help="Where the store and the sweeps' files lie.",
)
uri_option = click.option(
    "--tracking-uri",
    envvar="MLFLOW_TRACKING_URI",
    help="MLflow's store; by default a SQLite file in the folder.",
)


json_option = click.option("--json", "as_json", is_flag=True, help="As JSON, for a program.")


def _without_key(_: click.Context, __: click.Parameter, place: str | None) -> str | None:
    from gatelab.sweeps.cluster.storage import check_no_key  # here: pyarrow takes a while to import

    try:
        if place is not None:
            check_paths(storage=place)
        check_no_key(place or "")
    except ValueError as error:
        refuse(error)
    return place


storage_option = click.option(
    "--storage",
    envvar="GATELAB_STORAGE",
    callback=_without_key,
    help="Where workers leave states and models, if not in the folder: a path or s3://...",
)


class Commands(click.Group):
    """Commands that are imported when they are called, since some need seconds for it.

    One whose store cannot be used, that is stopped, or that fails as nobody has foreseen, ends with
    one line.
    """

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
        _settle_size()
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
            _end_unread()
        if debug():
            traceback.print_exception(error)
        refuse(failure(error, command if isinstance(command, str) else command()))


def _in_one_line(error: click.UsageError) -> str:
    """Return what is wrong with the words of a command, which click says in four lines."""
    message = error.format_message().removesuffix(".")
    command = error.ctx.command_path if error.ctx else "gatelab"
    return f"{message[:1].lower()}{message[1:]}; `{command} --help` says what it takes."


class _Console(Console):
    """Rich's, which ends the process without a word when nobody reads its lines any more."""

    def on_broken_pipe(self) -> None:
        """Let the command say what that means."""
        self.quiet = True
        _forget_output()
        raise BrokenPipeError(errno.EPIPE, "nobody reads the lines")


def _end_unread() -> NoReturn:
    """End without a word, as programs do that write into a pipe that nobody reads."""
    _forget_output()
    sys.exit(UNREAD)


def _forget_output() -> None:
    """Let go what is still to be written, or Python says at its end that nobody reads it."""
    with suppress(OSError, AttributeError):  # of a test, or where there is no output
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def open_console() -> Console:
    """Return a console that leaves a table its width where neither a terminal nor COLUMNS does."""
    return _Console() if _is_limited() else _Console(width=LOG_WIDTH)


def _is_limited() -> bool:
    terminal = sys.stdout is not None and sys.stdout.isatty()
    return terminal or bool(_asked("COLUMNS"))


def _settle_size() -> None:
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


def show_sentences(console: Console, lines: Iterable[str]) -> None:
    """Print sentences, between whose words a narrow console breaks; a log has each in one line."""
    for line in lines:
        if _is_limited():
            show_trimmed(console, Text(line))
        else:
            console.print(line, highlight=False, markup=False, soft_wrap=True)


def print_json(content: object) -> None:
    """Print what a program reads."""
    click.echo(json.dumps(content, indent=2, default=str))


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
    click.echo(message, err=True)
    sys.exit(code)
