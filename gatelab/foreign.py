"""Code of others: run so that whatever it does ends in one line, or not at all."""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from dis import opmap
from pathlib import Path
from threading import get_ident
from traceback import FrameSummary, walk_tb
from typing import NoReturn, TextIO, cast

from gatelab.rules import as_line

_CALLED = ("gatelab", "torch", "numpy")
"""Packages that code of others calls: a place in them tells its author nothing."""
_RAISE = opmap["RAISE_VARARGS"]
"""What a ``raise`` is run as; what is written in C raises without."""
_STDOUT, _STDERR = 1, 2
_PYTHONS_OWN = Path(sysconfig.get_path("stdlib"))
_INSTALLED = [Path(sysconfig.get_path(name)) for name in ("purelib", "platlib")]


class ForeignError(ValueError):
    """What code of others has raised, in one line."""


@contextmanager
def foreign() -> Iterator[None]:
    """Run code of others: what it prints goes to stderr, what it raises becomes one error.

    Raises:
        ForeignError: For whatever it raises but Ctrl-C, ``sys.exit`` and ``os._exit`` included. A
            ``ValueError`` that its own lines raise is a rule of its author's, and says it all; of
            others, as of a library's that it calls, the class and the place are said.
    """
    try:
        with redirect_stdout(sys.stderr), _output_aside(), _no_exit():
            yield
    except (KeyboardInterrupt, GeneratorExit):
        raise
    except ValueError as error:
        text = text_of(error) if _is_rule(error) else ""
        raise ForeignError(text or told(error)) from error
    except BaseException as error:
        raise ForeignError(told(error)) from error


def _is_rule(error: ValueError) -> bool:
    """Return whether a line of its author's raises an error, or one of ours, and nothing below."""
    last, place = error.__traceback__, place_of(error)
    while last and last.tb_next:
        last = last.tb_next
    if last is None or place is None:
        return True
    code = last.tb_frame.f_code
    if last.tb_frame.f_globals.get("__name__", "").partition(".")[0] == "gatelab":
        return True
    return code.co_filename == place.filename and code.co_code[last.tb_lasti] == _RAISE


def lines_by(say: Callable[[], Iterable[object]]) -> list[str]:
    """Return the lines that code of others says; a text, whose letters would be lines, is one.

    Raises:
        ForeignError: As :func:`foreign`.
    """
    with foreign():
        found = say()
        lines = [found] if isinstance(found, str) else list(found)
        return [as_line(str(line)) for line in lines]


@contextmanager
def _output_aside() -> Iterator[None]:
    """Let what goes to stdout by other ways than ``print``, as of a program, go to stderr too."""
    _flush()
    try:
        kept = os.dup(_STDOUT)
    except OSError:  # it is closed
        yield
        return
    try:
        with suppress(OSError):
            os.dup2(_STDERR, _STDOUT)
        yield
    finally:
        _flush()
        os.dup2(kept, _STDOUT)
        os.close(kept)


def _flush() -> None:
    with suppress(OSError, ValueError, AttributeError):  # it is closed, or there is none
        cast(TextIO, sys.__stdout__).flush()


class _Exit(SystemExit):
    """What code of others has called ``os._exit`` with."""


@contextmanager
def _no_exit() -> Iterator[None]:
    """Let ``os._exit``, which ends a command without a word, raise in this very thread."""
    real, ours = os._exit, (os.getpid(), get_ident())

    def leave(status: int) -> NoReturn:
        if (os.getpid(), get_ident()) != ours:
            real(status)
        raise _Exit(status)

    os._exit = leave
    try:
        yield
    finally:
        os._exit = real


def is_ours(cls: type) -> bool:
    """Return whether a class is gatelab's own, whose ways are known."""
    return cls.__module__.partition(".")[0] == "gatelab"


def told(error: BaseException) -> str:
    """Return an error in one line: its class, what it says, and where code of others raised it."""
    text = text_of(error)
    if isinstance(error, SystemExit):
        called = "os._exit" if isinstance(error, _Exit) else "sys.exit"
        what = f"SystemExit: it calls {called}({text})"
    else:
        what = f"{type(error).__name__}: {text}" if text else type(error).__name__
    place = place_of(error)
    return f"{what} ({place.filename}, line {place.lineno})" if place else what


def text_of(error: BaseException) -> str:
    """Return what an error says in one line, with the notes that were added to it."""
    try:
        said = [str(error), *map(str, getattr(error, "__notes__", ()))]
    except Exception as other:  # a stranger's way to say it
        said = [f"what it says cannot be made, for {type(other).__name__}"]
    return ", ".join(text for part in said if (text := as_line(part)))


def place_of(error: BaseException) -> FrameSummary | None:
    """Return the innermost place in code of others, rather than in what that code calls."""
    if isinstance(error, SyntaxError):  # says its place itself
        return None
    frames = [
        FrameSummary(frame.f_code.co_filename, line, frame.f_code.co_name)
        for frame, line in reversed(list(walk_tb(error.__traceback__)))
        if frame.f_globals.get("__name__", "").partition(".")[0] not in _CALLED
    ]
    others = [frame for frame in frames if not _is_pythons_own(frame.filename)]
    own = [frame for frame in others if not _lies_in(frame.filename, _INSTALLED)]
    return next(iter(own or others), None)


def _is_pythons_own(file: str) -> bool:
    return file.startswith("<") or (
        _lies_in(file, [_PYTHONS_OWN]) and not _lies_in(file, _INSTALLED)
    )


def _lies_in(file: str, folders: list[Path]) -> bool:
    return any(Path(file).is_relative_to(folder) for folder in folders)
