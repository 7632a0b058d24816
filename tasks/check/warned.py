"""What makes a task's scores doubtful, looked for before anything is trained."""

from __future__ import annotations

from gatelab.foreign import ForeignError, foreign, lines_by
from gatelab.tasks.check.chances import towers_of_chances
from gatelab.tasks.check.own_rows import told_rows
from gatelab.tasks.check.scales import uneven_losses
from gatelab.tasks.data_sets.checking import unlike_published
from gatelab.tasks.tables.table import Table
from gatelab.tasks.task import Task


def warnings_of(task: Task) -> tuple[str, ...]:
    """Return a line for each reason to doubt scores on a task: those of any, then its own.

    A task whose own cannot be had is warned of for that: it can be trained all the same.
    """
    uneven = uneven_losses(task)
    rows = () if isinstance(task, Table) else _rows(task)  # a table tells of its own
    unlike = [line for data_set in task.data_sets for line in unlike_published(data_set)]
    first = [] if uneven is None else [uneven]
    return (*first, *towers_of_chances(task), *rows, *unlike, *_own(task))


def _rows(task: Task) -> tuple[str, ...]:
    try:
        with foreign():  # which makes test once more: it may be spoilt since the launch
            return told_rows(task)
    except (ForeignError, ValueError) as error:
        return (f"the rows cannot be looked at: {error}",)


def _own(task: Task) -> tuple[str, ...]:
    try:
        return tuple(lines_by(task.warnings))
    except ForeignError as error:
        return (f"what the task warns of cannot be had: {error}",)
