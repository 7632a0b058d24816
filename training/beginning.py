"""The beginning of a job: training, or none where there is nothing to train."""

from __future__ import annotations

from collections.abc import Sequence

from gatelab.gates.gate import gates
from gatelab.tasks.task import Task
from gatelab.training.constant import ConstantWork
from gatelab.training.goal import BY_LOSS, Goal
from gatelab.training.jobs import Job
from gatelab.training.member import Recipe
from gatelab.training.work import STEP_SECONDS, Work


def begin_work(
    task: Task,
    jobs: Sequence[Job],
    recipe: Recipe,
    metrics: Sequence[str] | None = None,
    device: str = "cpu",
    step_seconds: float = STEP_SECONDS,
    goal: Goal = BY_LOSS,
) -> Work | ConstantWork:
    """Return the work that the jobs' gate takes; the arguments are those of :class:`Work`.

    Raises:
        ValueError: If a hyperparameter is out of its range.
    """
    if gates.get(jobs[0].gate).trained:
        return Work(task, jobs, recipe, metrics, device, step_seconds, goal)
    return ConstantWork(task, jobs[0], metrics, goal)
