"""Values of a distribution: at a share of it, and nearest to another."""

from __future__ import annotations

import math
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)


def value_at(distribution: BaseDistribution, share: float) -> Any:
    """Return the value below which a share in [0, 1) of a distribution lies."""
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[int(share * len(distribution.choices))]
    assert isinstance(distribution, (FloatDistribution, IntDistribution))
    low, high, step = distribution.low, distribution.high, distribution.step
    if distribution.log and isinstance(distribution, IntDistribution):
        # Each integer has the part of the axis that rounds to it, as in Optuna.
        value = round(math.exp(_between(math.log(low - 0.5), math.log(high + 0.5), share)))
        return min(max(value, low), high)
    if distribution.log:
        return min(max(math.exp(_between(math.log(low), math.log(high), share)), low), high)
    if step is not None:
        return low + step * int(share * (round((high - low) / step) + 1))
    return _between(low, high, share)


def nearest(distribution: BaseDistribution, value: Any) -> Any:
    """Return the value of a distribution that is nearest to another value; its middle for none."""
    if isinstance(distribution, CategoricalDistribution):
        choices = distribution.choices
        return choices[choices.index(value) if value in choices else 0]
    assert isinstance(distribution, (FloatDistribution, IntDistribution))
    if value is None:
        return value_at(distribution, 0.5)
    low, high, step = distribution.low, distribution.high, distribution.step
    inside = min(max(value, low), high)
    return inside if step is None else low + step * round((inside - low) / step)


def holds(distribution: BaseDistribution, value: Any) -> bool:
    """Return whether a value is one of a distribution's."""
    if isinstance(distribution, CategoricalDistribution):
        return any(value == it and type(value) is type(it) for it in distribution.choices)
    assert isinstance(distribution, (FloatDistribution, IntDistribution))
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    if isinstance(distribution, IntDistribution) and value != int(value):
        return False
    return distribution.low <= value <= distribution.high and math.isclose(
        value, nearest(distribution, value), rel_tol=1e-9, abs_tol=1e-12
    )


def _between(low: float, high: float, share: float) -> float:
    return low + share * (high - low)
