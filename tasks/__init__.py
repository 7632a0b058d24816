"""Tasks: what is learned."""

from gatelab.tasks.digits_pairs import DigitsPairs
from gatelab.tasks.loss import Loss, register_loss
from gatelab.tasks.metric import Metric, register_metric
from gatelab.tasks.metrics import AUROC, F1, MAE, MSE, R2, RMSE, Accuracy
from gatelab.tasks.synthetic_groups import SyntheticGroups
from gatelab.tasks.tables.table import Table
from gatelab.tasks.task import (
    Kind,
    Network,
    Regimes,
    Split,
    SplitName,
    Target,
    Task,
    Truth,
    register_task,
    split_seeds,
    tasks,
)

__all__ = [
    "AUROC",
    "F1",
    "MAE",
    "MSE",
    "R2",
    "RMSE",
    "Accuracy",
    "DigitsPairs",
    "Kind",
    "Loss",
    "Metric",
    "Network",
    "Regimes",
    "Split",
    "SplitName",
    "SyntheticGroups",
    "Table",
    "Target",
    "Task",
    "Truth",
    "register_loss",
    "register_metric",
    "register_task",
    "split_seeds",
    "tasks",
]
