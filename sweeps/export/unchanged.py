"""Whether data and code still are what a model was trained with: its scores are of these."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from gatelab.sweeps.cluster.provenance import fingerprint
from gatelab.tasks.tables.table import Table
from gatelab.tasks.task import Task
from gatelab.training.copies import Copies
from gatelab.training.evaluation import evaluate
from gatelab.training.members import Members
from gatelab.training.model import Model
from gatelab.training.placed_splits import PlacedSplits

RELATIVE, ABSOLUTE = 5e-3, 1e-3
"""So far may losses be apart that are of one model, in another precision or on another machine."""


def with_same_data(make: Callable[[], Task], recorded: str) -> Task:
    """Make a task, and check that it has the rows that a model was trained on.

    Args:
        make: Makes the task.
        recorded: The fingerprint of its data at that time; empty where there is none.

    Raises:
        ValueError: If its data have another one.
    """
    task = make()
    found = fingerprint(task)
    if not recorded or found == recorded:
        return task
    what = "table" if isinstance(task, Table) else "task"
    raise ValueError(
        f"the {what} is another than the one it was trained on: its train and val rows have the "
        f"hash {found}, but {recorded} is recorded."
    )


def check_same_loss(task: Task, models: Sequence[Model], recorded: float | None) -> None:
    """Check that a model which was made again has the loss on val that is recorded.

    Args:
        task: Has the val split.
        models: The one that it is, or one for each target.
        recorded: Its ``val/loss``; None where there is none.

    Raises:
        ValueError: If it has another one.
    """
    if recorded is None:
        return
    members, copies = Members(models), Copies(len(models))
    val = PlacedSplits(task, members.device).get("val")
    (found,) = evaluate(members, models[0], val, copies)
    if not math.isclose(found.loss, recorded, rel_tol=RELATIVE, abs_tol=ABSOLUTE):
        raise ValueError(
            f"its val/loss is {found.loss:.4g} here, but {recorded:.4g} is recorded: the code of "
            "its gate or task has changed, or its data had changed while its sweep ran."
        )
