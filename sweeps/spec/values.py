"""Values of a distribution: at a share of it, nearest to another, and as a person writes them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from fractions import Fraction
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
        return _on_grid(distribution, int(share * (_places(distribution, high) + 1)))
    return _between(low, high, share)


def nearest(distribution: BaseDistribution, value: Any) -> Any:
    """Return the value of a distribution that is nearest to another value; its middle for none.

    Of a grid it is what a person would write, as 0.3, where sums of steps give
    0.30000000000000004.
    """
    if isinstance(distribution, CategoricalDistribution):
        choices = distribution.choices
        return next((it for it in choices if is_one_of(value, (it,))), choices[0])
    assert isinstance(distribution, (FloatDistribution, IntDistribution))
    if value is None:
        return value_at(distribution, 0.5)
    inside = min(max(value, distribution.low), distribution.high)
    if distribution.step is not None:
        return _on_grid(distribution, round(_places(distribution, inside)))
    return float(inside)


def holds(distribution: BaseDistribution, value: Any) -> bool:
    """Return whether a value is one of a distribution's."""
    if isinstance(distribution, CategoricalDistribution):
        return is_one_of(value, distribution.choices)
    assert isinstance(distribution, (FloatDistribution, IntDistribution))
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    if isinstance(distribution, IntDistribution) and value != int(value):
        return False
    return distribution.low <= value <= distribution.high and math.isclose(
        value, nearest(distribution, value), rel_tol=1e-9, abs_tol=1e-12
    )


def is_one_of(value: Any, listed: Iterable[Any]) -> bool:
    """Return whether a value is in a list: 0 is 0.0 there, but not false."""
    return any(value == it and isinstance(value, bool) == isinstance(it, bool) for it in listed)


def _places(distribution: FloatDistribution | IntDistribution, value: float) -> Fraction:
    """Return how many steps of a grid a value lies above its lowest, both taken as written."""
    return (_as_written(value) - _as_written(distribution.low)) / _as_written(distribution.step)


def _on_grid(distribution: FloatDistribution | IntDistribution, place: int) -> Any:
    exact = _as_written(distribution.low) + place * _as_written(distribution.step)
    return int(exact) if isinstance(distribution, IntDistribution) else float(exact)


def _as_written(value: Any) -> Fraction:
    """Return a number as its digits say it: of 0.1 a tenth, and not the double beside it."""
    return Fraction(str(value))


def _between(low: float, high: float, share: float) -> float:
    return low + share * (high - low)
