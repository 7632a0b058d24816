"""One hyperparameter of a spec: a value, a list of choices, or a range."""

from __future__ import annotations

from fractions import Fraction
from math import isfinite
from typing import Annotated, Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from pydantic import BaseModel, BeforeValidator, ConfigDict, model_validator

from gatelab.registry import near_misses
from gatelab.rules import written
from gatelab.sweeps.spec.notation import is_number

Scalar = bool | int | float | str | None
MOST_STEPS = 10**9
"""Of a range: a finer grid is none, and Optuna cannot count it."""


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
    steps = (Fraction(str(high)) - Fraction(str(low))) / Fraction(str(step))
    if steps > MOST_STEPS:
        raise ValueError(
            f"`high - low` must have {MOST_STEPS:,} steps at most, but got "
            f"({low=}, {high=}, {step=}): a range without `step` has every value."
        )
    if steps.denominator != 1:
        raise ValueError(
            f"`step` must divide `high - low`, but got ({low=}, {high=}, {step=}): "
            "the last value would not be `high`."
        )


def _form(value: Any) -> Any:
    """Return a scalar as it is, a list as a tuple, a mapping as a range."""
    if isinstance(value, dict):
        unknown = [key for key in value if key not in Range.model_fields]
        if unknown:
            near = near_misses(str(unknown[0]), Range.model_fields)
            raise ValueError(f"unknown key {written(unknown[0])}; {near}")
        missing = [key for key in ("low", "high") if key not in value]
        if missing:
            raise ValueError(f"a range needs `low` and `high`, but {missing[0]!r} is missing.")
        return Range.model_validate(value)
    if isinstance(value, (list, tuple)):
        if not value:
            raise ValueError("a list of choices must not be empty, but got [].")
        if len({repr(choice) for choice in value}) < len(value):
            raise ValueError(f"choices must differ, but got {written(list(value))}.")
        return tuple(_scalar(choice) for choice in value)
    return value if isinstance(value, Range) else _scalar(value)


def _scalar(value: Any) -> Scalar:
    if isinstance(value, float) and not isfinite(value):
        raise ValueError(f"must be finite, but got {value}.")
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise ValueError(f"must be a number, a text, a list or a range, but got {written(value)}.")


def _is_number(value: Any) -> bool:
    finite = isinstance(value, int) or (isinstance(value, float) and isfinite(value))
    return finite and not isinstance(value, bool)


def scalars_of(value: Any) -> Any:
    """Return what YAML can write of hyperparameters: mappings and lists of scalars."""
    if isinstance(value, Range):
        value = value.model_dump(exclude_defaults=True)
    if isinstance(value, dict):
        return {key: scalars_of(item) for key, item in value.items()}
    return [scalars_of(item) for item in value] if isinstance(value, (tuple, list)) else value


Hyperparameter = Annotated[Any, BeforeValidator(_form)]
"""A scalar, a tuple of choices or a :class:`Range`."""


def typed(value: Any, like: Any) -> Any:
    """Return a hyperparameter's value or distribution, in the type of its default.

    Args:
        value: A scalar, a tuple of choices or a range.
        like: The default; where it is ``None`` every scalar is taken as it is.

    Raises:
        ValueError: If a value is of another type.
    """
    if isinstance(value, Range):
        return _distribution(value, like)
    if isinstance(value, tuple):
        choices = tuple(_cast(choice, like) for choice in value)
        if len({repr(choice) for choice in choices}) < len(choices):
            raise ValueError(f"choices must differ, but got {written(list(value))}.")
        return choices[0] if len(choices) == 1 else CategoricalDistribution(choices)
    return _cast(value, like)


def _distribution(value: Range, like: Any) -> BaseDistribution:
    if isinstance(like, (bool, str)):
        raise ValueError(f"must be {_kind(like)}, or a list of such, but got a range.")
    low: Any = _cast(value.low, like)
    high: Any = _cast(value.high, like)
    step: Any = None if value.step is None else _cast(value.step, like)
    if isinstance(low, int) and isinstance(high, int):
        return IntDistribution(low, high, log=value.log, step=step or 1)
    return FloatDistribution(float(low), float(high), log=value.log, step=step)


def _cast(value: Scalar, like: Any) -> Scalar:
    """Return a value in the type of a default: an integer is a float too, but nothing else."""
    if like is None:
        return value
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if isinstance(like, bool) or isinstance(like, str):
        fits = type(value) is type(like)
    elif isinstance(like, int):
        fits = number and not isinstance(value, float)
    else:
        fits = number
    if not fits:
        raise ValueError(f"must be {_kind(like)}, but got {written(value)}{_hint(value, like)}.")
    return float(value) if isinstance(like, float) and number else value  # type: ignore[arg-type]


def _hint(value: Scalar, like: Any) -> str:
    """Return what to write instead, where that is plain."""
    if isinstance(like, str):
        return ": write it in quotes"
    if isinstance(value, str) and is_number(value):
        return ": write it without quotes"
    if isinstance(like, int) and isinstance(value, float) and value.is_integer():
        return f": write {int(value)}"
    return ""


def _kind(like: Any) -> str:
    kinds = {bool: "true or false", int: "an integer", float: "a number", str: "a text"}
    return kinds.get(type(like), "a value")
