"""Tasks: what is learned."""

from tasks.digits_pairs import DigitsPairs
from tasks.synthetic_groups import SyntheticGroups
from tasks.task import Kind, Network, Split, SplitName, Target, Task, Truth, register_task, tasks

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
