"""The conformance suite of gates: what every gate keeps to, one function a check."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gatelab.conformance import Outcome, as_test, run_all
from gatelab.gates.check import (
    devices,
    learning,
    making,
    outputs,
    reading,
    schedules,
    stacking,
    state,
)
from gatelab.gates.check.subject import Subject
from gatelab.gates.gate import Gate, gates

CHECKS = (
    *(*making.CHECKS, *outputs.CHECKS, *state.CHECKS, *learning.CHECKS, *reading.CHECKS),
    *(*schedules.CHECKS, *stacking.CHECKS, *devices.CHECKS),
)
"""In the order in which a mistake is best mended."""


def run_checks(cls: type[Gate], **hyperparameters: Any) -> list[Outcome]:
    """Run the suite over a gate; where it cannot be made or called, that is the only outcome.

    Args:
        cls: The gate's class.
        hyperparameters: Other values than its defaults.
    """
    subject = Subject(cls, hyperparameters)
    return run_all(CHECKS, subject, cls.expected_failed_checks, making.CHECKS)


def check_gate(key: str, **hyperparameters: Any) -> Callable[..., None]:
    """Return a test for pytest with one case a check, to be assigned to a name like ``test_gate``.

    Args:
        key: A registered name, or ``"package.module:name"``.
        hyperparameters: Other values than the gate's defaults.
    """
    return as_test(
        CHECKS,
        lambda: Subject(gates.get(key), hyperparameters),
        lambda subject: subject.cls.expected_failed_checks,
    )
