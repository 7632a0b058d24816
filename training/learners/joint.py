"""Joint training."""

from __future__ import annotations

from gatelab.training.learners.learner import Learner, register_learner


@register_learner("joint")
class Joint(Learner):
    """One model for all targets, which minimises the sum of their losses.

    Source: Caruana, Multitask Learning, Machine Learning 28, 1997: min over theta of
    sum_t w_t L_t(theta), a step on rows that all targets share.
    """
