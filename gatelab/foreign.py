"""Code of others: run so that whatever it does ends in one line, or not at all."""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from traceback import FrameSummary, walk_tb

_CALLED = ("gatelab", "torch", "numpy")
"""Packages that code of others calls: a place in them tells its author nothing."""
_PYTHONS_OWN = Path(sysconfig.get_path("stdlib"))
_INSTALLED = [Path(sysconfig.get_path(name)) for name in ("purelib", "platlib")]


class ForeignError(ValueError):
    """What code of others has raised, in one line."""


@contextmanager
def foreign() -> Iterator[None]:
    """Run code of others: what it prints goes to stderr, what it raises becomes one error.

    Raises:
        ForeignError: For whatever it raises but Ctrl-C, ``sys.exit`` included. A ``ValueError`` is
            a rule of its author's, and says it all; of others, the class and the place are said.
    """
    try:
        with redirect_stdout(sys.stderr):
            yield
    except (KeyboardInterrupt, GeneratorExit):
        raise
    except ValueError as error:
        raise ForeignError(_text(error) or told(error)) from error
    except BaseException as error:
        raise ForeignError(told(error)) from error


def told(error: BaseException) -> str:
    """Return an error in one line: its class, what it says, and where code of others raised it."""
    text = _text(error)
    if isinstance(error, SystemExit):
        what = f"it calls sys.exit({text})"
    else:
        what = f"{type(error).__name__}: {text}" if text else type(error).__name__
    place = place_of(error)
    return f"{what} ({place.filename}, line {place.lineno})" if place else what


def _text(error: BaseException) -> str:
    """Return what an error says, with the notes that were added to it."""
    said = [str(error), *getattr(error, "__notes__", ())]
    return ", ".join(text for part in said if (text := " ".join(part.split())))


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
