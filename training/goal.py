"""The goal: which of several weights, trials and configurations is the best."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

VAL_LOSS = "val/loss"
AT_MOST_K = "gate/at_most_k"
"""The share of val rows that use at most as many experts as the gate states."""


class Rank(NamedTuple):
    """What weights are worth: the lower, the better."""

    broken: bool
    """Whether they break what is required; those that keep it are better, whatever their cost."""
    cost: float
    """The objective, or its negative where the higher is the better."""


NO_RANK = Rank(True, math.nan)
"""Of weights that could not be scored."""


@dataclass(frozen=True)
class Goal:
    """By what weights are kept, trials compared, configurations selected: for all gates alike."""

    objective: str = VAL_LOSS
    """The key of a metric of the val split."""
    higher_is_better: bool = False
    at_most_k: float | None = None
    """The share of val rows, in [0, 1], that must use at most ``k`` experts where a gate states
    one: what breaks this is worse than whatever keeps it. ``None``: nothing is required."""

    def rank(self, scores: Mapping[str, float]) -> Rank:
        """Return the rank of an epoch's scores, by their keys in the record."""
        kept = scores.get(AT_MOST_K, 1.0)
        broken = self.at_most_k is not None and not kept >= self.at_most_k
        return Rank(broken, self.cost(scores.get(self.objective, math.nan)))

    def cost(self, value: float) -> float:
        """Return what is minimised of an objective's value, and the other way round."""
        return -value if self.higher_is_better else value


BY_LOSS = Goal()
"""The validation loss alone."""
