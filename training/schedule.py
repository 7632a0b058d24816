"""The schedule of the learning rate: a factor at every step, of all that a training may have."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

MILESTONES, DECAY = (0.5, 0.75), 0.1
"""At these shares ``step`` multiplies the rate by so much: half and three quarters, a tenth (He et
al., Deep Residual Learning for Image Recognition, CVPR 2016, for CIFAR-10)."""


def _constant(share: float) -> float:
    return 1.0


def _cosine(share: float) -> float:
    """Fall to 0 along half a cosine (Loshchilov and Hutter, SGDR, ICLR 2017, equation 5)."""
    return (1 + math.cos(math.pi * share)) / 2


def _step(share: float) -> float:
    return DECAY ** sum(share >= milestone for milestone in MILESTONES)


SCHEDULES: dict[str, Callable[[float], float]] = {
    "constant": _constant,
    "cosine": _cosine,
    "step": _step,
}
"""The factor at a share in [0, 1) of the steps after the warm-up."""


class Schedule(NamedTuple):
    """How one member's learning rate goes."""

    name: str
    """Of :data:`SCHEDULES`."""
    warmup: float
    """The share of all steps, in [0, 1), in which the rate rises to its full height."""
    steps: int
    """That there are up to ``max_epochs``, whether or not the training ends before."""

    @property
    def constant(self) -> bool:
        """Whether every factor is 1."""
        return self.name == "constant" and not self.warmup

    def factor(self, step: int) -> float:
        """Return the factor of a step, counted from 0."""
        warm = max(1, round(self.warmup * self.steps)) if self.warmup else 0
        if step < warm:
            return (step + 1) / warm
        return SCHEDULES[self.name]((step - warm) / (self.steps - warm))
