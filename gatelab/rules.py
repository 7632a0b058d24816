"""Rules of values: each is checked where a value comes in, and says in one line what must hold."""

from __future__ import annotations

from typing import Any


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
