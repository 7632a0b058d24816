"""Conformance: checks of a class that anyone may register, each failure with its likely cause."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

from gatelab.foreign import told
from gatelab.registry import near_misses
from gatelab.torch_words import found_and_cause

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


def _explained(error: BaseException) -> str:
    """Return what an error means that says little to who wrote the class; empty for others."""
    if (meant := found_and_cause(error)) is None:
        return ""
    found, cause = meant
    return f"{found}; likely cause: {cause}."


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
