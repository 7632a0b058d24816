"""Rules of values: each is checked where a value comes in, and says in one line what must hold."""

from __future__ import annotations

import re
from os import PathLike
from reprlib import Repr
from typing import Any

_SHOWN_WIDTH = 120
NAME = re.compile(r"\w[\w.:-]*")
"""What a part of a metric's key may be: MLflow takes no other sign, and a slash parts keys."""
LONGEST_NAME = 100
"""In characters: a key is made of up to two names, and MLflow takes 250."""


def check_name(what: str, name: object) -> None:
    """Check that a name can be a part of a metric's key.

    Args:
        what: Of what it is the name, for the message.
        name: The name.

    Raises:
        ValueError: If it cannot be.
    """
    if not (isinstance(name, str) and NAME.fullmatch(name) and len(name) <= LONGEST_NAME):
        raise ValueError(
            f"the name of a {what} must be 1 to {LONGEST_NAME} letters, digits and `_.:-`, "
            f"the first no sign, but got {shown(name)}."
        )


def check_positive(**values: Any) -> None:
    """Check that each named value is a number above zero.

    Raises:
        ValueError: If one is not.
    """
    for name, value in values.items():
        if not value > 0:
            raise ValueError(f"`{name} > 0` must hold, but got ({name}={value!r}).")


def check_not_negative(**values: Any) -> None:
    """Check that each named value is a number of zero or more.

    Raises:
        ValueError: If one is not.
    """
    for name, value in values.items():
        if not value >= 0:
            raise ValueError(f"`{name} >= 0` must hold, but got ({name}={value!r}).")


def check_counts(**values: int) -> None:
    """Check that each named value counts something: is at least one.

    Raises:
        ValueError: If one is not.
    """
    for name, value in values.items():
        if not value >= 1:
            raise ValueError(f"`{name} >= 1` must hold, but got ({name}={value!r}).")


def check_shares(**values: float) -> None:
    """Check that each named value is a share of less than all: in [0, 1).

    Raises:
        ValueError: If one is not.
    """
    for name, value in values.items():
        if not 0 <= value < 1:
            raise ValueError(f"`0 <= {name} < 1` must hold, but got ({name}={value!r}).")


def check_paths(**values: object) -> None:
    """Check that each named value is a path; an empty one would be the current folder.

    Raises:
        ValueError: If one is not.
    """
    for name, value in values.items():
        if not (isinstance(value, (str, PathLike)) and str(value)):
            raise ValueError(f"`{name}` must be a path, but got {shown(value)}.")


def shown(value: Any) -> str:
    """Return a value as a message shows it: as Python writes it, cut where it is long."""
    return _cut(_SHOWN.repr(value))


def written(value: Any) -> str:
    """Return a value of a spec as a message shows it: with YAML's words for Python's."""
    return _cut(_WRITTEN.repr(value))


def as_line(text: str, most: int = 10_000) -> str:
    """Return a text as one line of so many characters at most, with codes for signs not to print.

    Half a character, a zero or a colour would else stop who writes it, or change the terminal.
    """
    words = " ".join(text[: 4 * most].split())
    shown = "".join(sign if sign.isprintable() else _code(sign) for sign in words)
    return shown if len(shown) <= most and len(text) <= 4 * most else f"{shown[:most]}..."


def _code(sign: str) -> str:
    return sign.encode("unicode_escape").decode("ascii")


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN_WIDTH else f"{text[:_SHOWN_WIDTH]}..."


class _Shown(Repr):
    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxlong = self.maxother = 60


class _Written(_Shown):
    """Names its methods by the classes of values, as the library wants it."""

    def repr_bool(self, value: bool, level: int) -> str:
        return str(value).lower()

    def repr_NoneType(self, value: None, level: int) -> str:  # noqa: N802
        return "null"


_SHOWN, _WRITTEN = _Shown(), _Written()
