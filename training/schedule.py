"""The schedule of the learning rate: a factor at every step, of all that a training may have."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from torch import Tensor

MILESTONES, DECAY = (0.5, 0.75), 0.1
"""At these shares ``step`` multiplies the rate by so much: half and three quarters, a tenth (He et
al., Deep Residual Learning for Image Recognition, CVPR 2016, for CIFAR-10)."""
BLOCK = 1024
"""For so many steps factors are put on the device at once, so that no step copies any."""


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


class Factors:
    """The factors of several members, each by its own schedule."""

    def __init__(self, schedules: Sequence[Schedule], like: Tensor) -> None:
        """Begin; factors have the type and place of ``like``."""
        self.schedules, self.like = list(schedules), like.new_empty(0)
        self.constant = all(schedule.constant for schedule in schedules)
        self._block, self._table = -1, self.like

    def at(self, step: int) -> Tensor:
        """Return the factors of a step, counted from 0, ``(members, 1)``."""
        block, place = divmod(step, BLOCK)
        if block != self._block:
            self._block, self._table = block, self._made(block * BLOCK)
        return self._table[place]

    def _made(self, start: int) -> Tensor:
        """Return the factors of a block of steps, ``(steps, members, 1)``."""
        rows = [[s.factor(step) for s in self.schedules] for step in self._steps(start)]
        return self.like.new_tensor(rows).unsqueeze(2)

    def _steps(self, start: int) -> range:
        return range(start, min(start + BLOCK, self.schedules[0].steps))

    def keep(self, members: Sequence[int]) -> None:
        """Go on with some of the members only."""
        self.schedules, self._block = [self.schedules[member] for member in members], -1
