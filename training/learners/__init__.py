"""Learners: each one file, what a member's step minimises and what happens beside it."""

from gatelab.training.learners import anil, em, gossip, joint, mean_regularized
from gatelab.training.learners.learner import (
    DEFAULT,
    LEARNER_MODULE,
    Learner,
    LearnerOption,
    RowOrder,
    learners,
    register_learner,
)
from gatelab.training.learners.shared import Shared

__all__ = [
    "DEFAULT",
    "LEARNER_MODULE",
    "Learner",
    "LearnerOption",
    "RowOrder",
    "Shared",
    "anil",
    "em",
    "gossip",
    "joint",
    "learners",
    "mean_regularized",
    "register_learner",
]
