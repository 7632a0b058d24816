"""Learners: each one file, what a member's step minimises and what happens beside it."""

from gatelab.training.learners import anil, gossip, joint, mean_regularized
from gatelab.training.learners.learner import (
    DEFAULT,
    Learner,
    LearnerOption,
    RowOrder,
    learners,
    register_learner,
)
from gatelab.training.learners.shared import Shared

__all__ = [
    "DEFAULT",
    "Learner",
    "LearnerOption",
    "RowOrder",
    "Shared",
    "anil",
    "gossip",
    "joint",
    "learners",
    "mean_regularized",
    "register_learner",
]
