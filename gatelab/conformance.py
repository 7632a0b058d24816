"""Conformance: checks of a class that anyone may register, each failure with its likely cause."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

from gatelab.foreign import place_of, told
from gatelab.registry import near_misses

BRANCHES = ("data-dependent control flow", ".item() on a Tensor", ".item() cannot be called")
"""What torch says, stacked or without data, where Python asks for a tensor's value."""
MIXED = (
    "expected scalar type",
    "expected m1 and m2 to have the same dtype",
    "must have the same dtype",
)
"""What torch says where numbers of two types meet in a product."""
_MIXES = "numbers of two types, as after `.double()` or of a tensor made without the input's dtype"
S = TypeVar("S")
Check = Callable[[S], None]


class CheckFailed(AssertionError):
    """What a check found, and what most likely causes it."""


@dataclass(frozen=True)
class Outcome:
    """What became of one check."""

    check: str
    ok: bool
    reason: str
    """Why it failed, or why it was expected to; empty where it passed."""


def fail(found: str, cause: str) -> NoReturn:
    """End a check that failed.

    Raises:
        CheckFailed: Always; one line of what was found and its likely cause.
    """
    raise CheckFailed(f"{found}; likely cause: {cause}.")


def name_of(check: Callable[..., None]) -> str:
    """Return a check's name: its function's, without ``check_``."""
    return check.__name__.removeprefix("check_")


def run(check: Check[S], subject: S, expected: Mapping[str, str]) -> Outcome:
    """Run one check; an expected failure that passes is a failure."""
    name = name_of(check)
    reason = ""
    try:
        check(subject)
    except CheckFailed as error:
        reason = str(error)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # whatever the class raises is what the check found
        reason = _explained(error) or f"raised {told(error)}"
    if name not in expected:
        return Outcome(name, not reason, reason)
    if reason:
        return Outcome(name, True, f"fails as expected: {expected[name]}")
    return Outcome(name, False, f"passes, but is expected to fail: {expected[name]}")


def asks_for_a_value(error: BaseException) -> bool:
    """Return whether an error is torch's where Python asks for the value of a tensor."""
    return any(sign in str(error) for sign in BRANCHES)


def _explained(error: BaseException) -> str:
    """Return what an error means that says little to who wrote the class; empty for others."""
    if any(sign in str(error) for sign in MIXED):
        return f"raised {told(error)}; likely cause: {_MIXES}."
    if not asks_for_a_value(error):
        return ""
    place = place_of(error)
    where = f" ({place.filename}, line {place.lineno})" if place else ""
    return (
        f"Python asks for the value of a tensor{where}; likely cause: an `if` on a tensor, or "
        "`.item()`, `bool()` or `float()` of one: `torch.where` chooses by element."
    )


def unknown_names(checks: Sequence[Check[S]], expected: Mapping[str, str]) -> list[Outcome]:
    """Return a failure for every expected failure that is no check's name."""
    names = [name_of(check) for check in checks]
    return [
        Outcome("expected_failed_checks", False, f"unknown check {n!r}; {near_misses(n, names)}")
        for n in expected
        if n not in names
    ]


def run_all(
    checks: Sequence[Check[S]],
    subject: S,
    expected: Mapping[str, str],
    first: Sequence[Check[S]] = (),
) -> list[Outcome]:
    """Run every check.

    Args:
        checks: All of them.
        subject: What is checked.
        expected: Why a check must fail, by its name.
        first: Those of them without which the others can find nothing: the first that fails is the
            only outcome.
    """
    outcomes: list[Outcome] = []
    for check in checks:
        outcomes.append(run(check, subject, expected))
        if check in first and not outcomes[-1].ok:
            return outcomes[-1:]
    return outcomes + unknown_names(checks, expected)


def as_test(
    checks: Sequence[Check[S]], subject: Callable[[], S], expected: Callable[[S], Mapping[str, str]]
) -> Callable[..., None]:
    """Return a function that pytest runs once for every check."""
    import pytest  # here: only who tests needs it

    cases: list[Any] = [pytest.param(check, id=name_of(check)) for check in checks]

    @pytest.mark.parametrize("check", [*cases, pytest.param(None, id="expected_failed_checks")])
    def test(check: Check[S] | None) -> None:
        made = subject()
        known = expected(made)
        outcomes = unknown_names(checks, known) if check is None else [run(check, made, known)]
        failures = [outcome.reason for outcome in outcomes if not outcome.ok]
        if failures:
            pytest.fail("; ".join(failures), pytrace=False)

    return test
