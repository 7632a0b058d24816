"""Tasks: what is learned."""

from gatelab.tasks.brain_encoding import BrainEncoding
from gatelab.tasks.census_income import CensusIncome
from gatelab.tasks.data_sets.data_set import DataFile, DataSet
from gatelab.tasks.digits_pairs import DigitsPairs
from gatelab.tasks.encoding import TwoAgainstTwo
from gatelab.tasks.image_pairs import MNISTFashion, MultiFashion, MultiMNIST
from gatelab.tasks.landmine import Landmine
from gatelab.tasks.loss import Loss, register_loss
from gatelab.tasks.metric import Metric, register_metric
from gatelab.tasks.metrics import AUROC, F1, MAE, MSE, R2, RMSE, Accuracy
from gatelab.tasks.mmoe_synthetic import MMoESynthetic
from gatelab.tasks.movielens import MovieLens1M, MovieLens100K
from gatelab.tasks.polyhedral import Polyhedral
from gatelab.tasks.recommender import Recommender8
from gatelab.tasks.sarcos import Sarcos
from gatelab.tasks.school import School
from gatelab.tasks.synthetic_groups import SyntheticGroups
from gatelab.tasks.tables.table import Table
from gatelab.tasks.target import Kind, Target
from gatelab.tasks.task import (
    Network,
    Regimes,
    Split,
    SplitName,
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
    "BrainEncoding",
    "CensusIncome",
    "DataFile",
    "DataSet",
    "DigitsPairs",
    "Kind",
    "Landmine",
    "MMoESynthetic",
    "MNISTFashion",
    "Loss",
    "Metric",
    "MovieLens1M",
    "MovieLens100K",
    "MultiFashion",
    "MultiMNIST",
    "Network",
    "Polyhedral",
    "Recommender8",
    "Regimes",
    "Sarcos",
    "School",
    "Split",
    "SplitName",
    "SyntheticGroups",
    "Table",
    "Target",
    "Task",
    "Truth",
    "TwoAgainstTwo",
    "register_loss",
    "register_metric",
    "register_task",
    "split_seeds",
    "tasks",
]
