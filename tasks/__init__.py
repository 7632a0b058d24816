"""Tasks: what is learned."""

from gatelab.tasks.digits_pairs import DigitsPairs
from gatelab.tasks.synthetic_groups import SyntheticGroups
from gatelab.tasks.task import (
    Kind,
    Network,
    Split,
    SplitName,
    Target,
    Task,
    Truth,
    register_task,
    tasks,
)

__all__ = [
    "DigitsPairs",
    "Kind",
    "Network",
    "Split",
    "SplitName",
    "SyntheticGroups",
    "Target",
    "Task",
    "Truth",
    "register_task",
    "tasks",
]
