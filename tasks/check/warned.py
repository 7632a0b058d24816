"""What makes a task's scores doubtful, looked for before anything is trained."""

from __future__ import annotations

from gatelab.tasks.check.scales import uneven_losses
from gatelab.tasks.task import Task


def warnings_of(task: Task) -> tuple[str, ...]:
    """Return a line for each reason to doubt scores on a task: those of any, then its own."""
    uneven = uneven_losses(task)
    return (*([] if uneven is None else [uneven]), *task.warnings())
