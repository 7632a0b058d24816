"""One hyperparameter of a spec: a value, a list of choices, or a range; and when it is searched."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Annotated, Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from pydantic import BaseModel, BeforeValidator, ConfigDict, model_serializer

from gatelab.registry import near_misses
from gatelab.rules import written
from gatelab.sweeps.spec.notation import is_number, write_inline
from gatelab.sweeps.spec.ranges import Range

Scalar = bool | int | float | str | None


class Conditional(BaseModel):
    """What is searched only where other hyperparameters have certain values."""

    model_config = ConfigDict(frozen=True)

    form: tuple[Scalar, ...] | Range
    when: Mapping[str, tuple[Scalar, ...]]
    """By name, as the spec has it, of each other one the values at which this one is searched."""

    @model_serializer
    def written(self) -> dict[str, Any]:
        """Return it as a spec writes it."""
        form = scalars_of(self.form)
        when = {name: scalars_of(v[0] if len(v) == 1 else v) for name, v in self.when.items()}
        return {**(form if isinstance(form, dict) else {"choices": form}), "when": when}

    def __str__(self) -> str:
        """Return the same in a line."""
        return write_inline(self.written())


def _form(value: Any) -> Any:
    """Return a scalar as it is, a list as a tuple, a mapping as what it says."""
    if isinstance(value, dict):
        return _conditional(value) if "when" in value else _searched(value)
    if isinstance(value, (list, tuple)):
        if not value:
            raise ValueError("a list of choices must not be empty, but got [].")
        if len({repr(choice) for choice in value}) < len(value):
            raise ValueError(f"choices must differ, but got {written(list(value))}.")
        return tuple(_scalar(choice) for choice in value)
    return value if isinstance(value, (Range, Conditional)) else _scalar(value)


def _searched(value: dict[Any, Any]) -> Any:
    """Return what a mapping says is searched: choices or a range."""
    valid = ("choices",) if "choices" in value else tuple(Range.model_fields)
    unknown = [key for key in value if key not in valid]
    if unknown:
        near = near_misses(str(unknown[0]), (*valid, "choices", "when"))
        raise ValueError(f"unknown key {written(unknown[0])}; {near}")
    if "choices" in value:
        if not isinstance(value["choices"], (list, tuple)):
            raise ValueError(f"`choices` must be a list, but got {written(value['choices'])}.")
        return _form(value["choices"])
    missing = [key for key in ("low", "high") if key not in value]
    if missing:
        raise ValueError(f"a range needs `low` and `high`, but {missing[0]!r} is missing.")
    return Range.model_validate(value)


def _conditional(value: dict[Any, Any]) -> Conditional:
    when = value["when"]
    if not isinstance(when, dict) or not when:
        raise ValueError(
            "`when` must be a mapping of other hyperparameters to values of theirs, "
            f"but got {written(when)}."
        )
    named = {str(name): _listed(str(name), listed) for name, listed in when.items()}
    form = _searched({key: item for key, item in value.items() if key != "when"})
    return Conditional(form=form, when=named)


def _listed(name: str, listed: Any) -> tuple[Scalar, ...]:
    """Return the values that a `when` says of one hyperparameter."""
    found = _form(listed) if isinstance(listed, (list, tuple)) else listed
    if isinstance(found, dict):
        raise ValueError(
            f"`when` must say a value or a list of {written(name)}, but got {written(found)}."
        )
    return found if isinstance(found, tuple) else (_scalar(found),)


def _scalar(value: Any) -> Scalar:
    if isinstance(value, float) and not isfinite(value):
        raise ValueError(f"must be finite, but got {value}.")
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise ValueError(f"must be a number, a text, a list or a range, but got {written(value)}.")


def scalars_of(value: Any) -> Any:
    """Return what YAML can write of hyperparameters: mappings and lists of scalars."""
    if isinstance(value, Conditional):
        return value.written()
    if isinstance(value, Range):
        value = value.model_dump(exclude_defaults=True)
    if isinstance(value, dict):
        return {key: scalars_of(item) for key, item in value.items()}
    return [scalars_of(item) for item in value] if isinstance(value, (tuple, list)) else value


Hyperparameter = Annotated[Any, BeforeValidator(_form)]
"""A scalar, a tuple of choices, a :class:`Range` or a :class:`Conditional`."""


def typed(value: Any, like: Any) -> Any:
    """Return a hyperparameter's value or distribution, in the type of its default.

    Args:
        value: A scalar, a tuple of choices or a range, with a condition or without.
        like: The default; where it is ``None`` every scalar is taken as it is.

    Raises:
        ValueError: If a value is of another type.
    """
    if isinstance(value, Conditional):
        found = typed(value.form, like)
        one = isinstance(value.form, tuple) and len(value.form) == 1
        return CategoricalDistribution((found,)) if one else found
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
