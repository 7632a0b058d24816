"""A range of a spec: every value from one number to another."""

from __future__ import annotations

from fractions import Fraction
from math import isfinite
from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator

from gatelab.rules import written

MOST_STEPS = 10**9
"""Of a range: a finer grid is none, and Optuna cannot count it."""
MOST_REAL_STEPS = 10**7
"""From 0 to an end of a grid of real numbers, which Optuna takes within 1e-8 of a step."""


class Range(BaseModel):
    """Every value from ``low`` to ``high``, both included."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    low: int | float
    high: int | float
    log: bool = False
    """Whether to draw uniformly in the logarithm; ``low`` is then above 0."""
    step: int | float | None = None
    """Of a grid from ``low`` to ``high``; not with ``log``."""

    @model_validator(mode="before")
    @classmethod
    def _kinds(cls, data: Any) -> Any:
        for name in ("low", "high", "step"):
            value = data.get(name, 0)
            if not _is_number(value) and not (name == "step" and value is None):
                raise ValueError(f"`{name}` must be a number, but got {written(value)}.")
        if not isinstance(data.get("log", False), bool):
            raise ValueError(f"`log` must be true or false, but got {written(data['log'])}.")
        return data

    @model_validator(mode="after")
    def _check(self) -> Range:
        low, high, step = self.low, self.high, self.step
        if not low <= high:
            raise ValueError(f"`low <= high` must hold, but got ({low=}, {high=}).")
        if self.log and not low > 0:
            raise ValueError(f"`low > 0` must hold with `log`, but got ({low=}).")
        if step is not None and not step > 0:
            raise ValueError(f"`step > 0` must hold, but got ({step=}).")
        if self.log and step is not None:
            raise ValueError(f"`log` and `step` exclude each other, but got ({step=}).")
        if step is not None:
            _check_step(low, high, step)
        return self


def _check_step(low: float, high: float, step: float) -> None:
    least, most, each = (Fraction(str(number)) for number in (low, high, step))
    steps = (most - least) / each
    if steps > MOST_STEPS:
        raise ValueError(_too_fine(f"`high - low` must have {MOST_STEPS:,}", low, high, step))
    if each.denominator != 1 and max(steps, -least / each, most / each) > MOST_REAL_STEPS:
        what = f"`low`, `high` and `high - low` must have {MOST_REAL_STEPS:,}"
        raise ValueError(_too_fine(what, low, high, step))
    if steps.denominator != 1:
        raise ValueError(
            f"`step` must divide `high - low`, but got ({low=}, {high=}, {step=}): "
            "the last value would not be `high`."
        )


def _too_fine(rule: str, low: float, high: float, step: float) -> str:
    return (
        f"{rule} steps at most, but got ({low=}, {high=}, {step=}): "
        "a range without `step` has every value."
    )


def _is_number(value: Any) -> bool:
    finite = isinstance(value, int) or (isinstance(value, float) and isfinite(value))
    return finite and not isinstance(value, bool)
