"""Differences of paired values, as far as metrics in single precision tell them apart."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

RESOLUTION = 1e-6
"""Of metrics in single precision: less than this share of the values is no difference."""


def deviation(values: Sequence[float] | Array) -> float:
    """Return the standard deviation; 0 of what single precision cannot tell apart.

    NaN of fewer than 2 values, and of what is not finite.
    """
    array = np.asarray(values, dtype=float)
    if len(array) < 2 or not np.isfinite(array).all():
        return math.nan
    spread = np.ptp(array) > RESOLUTION * abs(array).max()
    return float(array.std(ddof=1)) if spread else 0.0


def resolution(first: Sequence[float] | Array, second: Sequence[float] | Array) -> Array:
    """Return of each pair the least difference that single precision can tell from none."""
    found: Array = RESOLUTION * np.maximum(np.abs(first), np.abs(second), dtype=np.float64)
    return found


def differences(first: Sequence[float] | Array, second: Sequence[float] | Array) -> Array:
    """Return ``first - second``; what single precision cannot tell apart is made equal.

    A difference is 0 by its own pair's resolution, so that one large value hides no other; all are
    the same where one number lies within half a resolution of each.

    Raises:
        ValueError: If the values are not paired.
    """
    if len(first) != len(second):
        raise ValueError(f"Values must be paired, but got {len(first)} and {len(second)}.")
    with np.errstate(invalid="ignore"):
        found: Array = np.subtract(first, second, dtype=np.float64)
    if len(found) == 0 or not np.isfinite(found).all():
        return found
    units = resolution(first, second)
    low, high = (found - units / 2).max(), (found + units / 2).min()
    if low <= high:
        same = np.clip(found.mean(), low, high)
        return np.full_like(found, same if abs(same) > units.min() else 0.0)
    found[abs(found) <= units] = 0.0
    return found


def levelled(values: Sequence[float] | Array, units: Array) -> Array:
    """Return values in which one is made equal to the least that it is level with.

    Args:
        values: What to rank.
        units: Of each, within how much of another it is level with it: the larger one's counts.
    """
    found = np.array(values, dtype=np.float64)
    order = np.argsort(found, kind="stable")
    least = order[0] if len(order) else 0
    for place in order:
        if found[place] - found[least] > max(units[place], units[least]):
            least = place
        found[place] = found[least]
    return found
