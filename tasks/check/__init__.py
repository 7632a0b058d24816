"""The conformance suite of tasks: what every task keeps to, one function a check."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from gatelab.conformance import Outcome, as_test, run_all
from gatelab.tasks.check import (
    all_rows,
    data,
    declared,
    network,
    passes,
    rounding,
    sameness,
    stacked,
    weights,
)
from gatelab.tasks.check.subject import Subject
from gatelab.tasks.task import Task, tasks

CHECKS = (
    *declared.CHECKS,
    *data.CHECKS,
    *rounding.CHECKS,
    *weights.CHECKS,
    *sameness.CHECKS,
    *network.CHECKS,
    *all_rows.CHECKS,
    *passes.CHECKS,
    *stacked.CHECKS,
)
"""In the order in which a mistake is best mended."""


def run_checks(cls: type[Task], **options: Any) -> list[Outcome]:
    """Run the suite over a task.

    Args:
        cls: The task's class.
        options: Other values than its defaults; few rows make the suite fast.
    """
    return run_all(CHECKS, Subject(cls, options), cls.expected_failed_checks)


def check_task(key: str, **options: Any) -> Callable[..., None]:
    """Return a test for pytest with one case a check, to be assigned to a name like ``test_task``.

    Args:
        key: A registered name, or ``"package.module:name"``.
        options: Other values than the task's defaults; few rows make the suite fast.
    """
    return as_test(
        CHECKS,
        cache(lambda: Subject(tasks.get(key), options)),  # whose data are read once for all cases
        lambda subject: subject.cls.expected_failed_checks,
    )
