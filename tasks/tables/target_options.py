"""What a user asks of each target of a table: the option `targets`."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

from gatelab.registry import near_misses
from gatelab.rules import LONGEST_NAME, NAME, shown
from gatelab.tasks.tables.class_order import asked_order
from gatelab.tasks.tables.contents import TableError
from gatelab.tasks.tables.lines import name_in_yaml
from gatelab.tasks.target import MEAN, Kind


@dataclass(frozen=True)
class Asked:
    """What a user asks of one target."""

    kind: Kind
    weight: float = 1.0
    class_weight: Literal["balanced"] | None = None
    name: str = ""
    """In metrics, where it is not the column's."""
    vector: str = ""
    """The name of the target of several columns that it is one of."""
    classes: tuple[str, ...] = ()
    """In order, in one spelling a value, or a binary target's positive alone; none: by value."""


TARGET_KEYS = ("kind", "weight", "class_weight", "positive", "classes", "name")
"""What may be said of a target."""
VECTOR_KEYS = ("columns", "kind", "weight")
"""What may be said of a target of several columns."""


def asked_targets(given: object) -> dict[str, Asked]:
    """Return the targets of the option ``targets``, by column.

    Args:
        given: ``{column: kind}``, or ``{column: {kind: kind, weight: 1, class_weight: null,
            positive: value, classes: found, name: name}}``, or ``{name: {columns: [column, column],
            kind: regression, weight: 1}}``.

    Raises:
        TableError: If it has another form, or a kind is unknown.
    """
    if not isinstance(given, Mapping) or not given:
        raise TableError(
            "`targets` must say the kind of each target, such as {income: binary}, "
            f"but got {shown(given)}."
        )
    asked: dict[str, Asked] = {}
    for name, value in given.items():
        several = isinstance(value, Mapping) and "columns" in value
        found = (_asked_vector if several else _asked_alone)(str(name), value)
        for column in found:
            if column in asked:
                raise TableError(f"column {column!r} is of two targets: name it in one of them.")
        asked |= found
    return asked


def _asked_vector(name: str, given: Mapping[Any, Any]) -> dict[str, Asked]:
    """Return what is asked of each column of a target of several."""
    options = dict(given)
    _check_keys(name, options, VECTOR_KEYS)
    _check_weight(name, options)
    columns = options.pop("columns")
    listed = isinstance(columns, Sequence) and not isinstance(columns, str)
    if not listed or not all(isinstance(it, str) for it in columns) or len({*columns}) < 2:
        raise TableError(
            f"target {name!r}: `columns` must be a list of two columns or more, as [x, y], a "
            f"number in quotes, but got {shown(columns)}."
        )
    if len({*columns}) < len(columns):
        raise TableError(f"target {name!r}: `columns` names a column twice, in {shown(columns)}.")
    if options.get("kind") != "regression":
        raise TableError(
            f"target {name!r} has several columns, so that its kind must be regression, but is "
            f"{shown(options.get('kind'))}."
        )
    if not can_be_recorded(name):
        raise TableError(_no_name(name, f"{recordable(name)}: {{columns: {shown(columns)}, ...}}"))
    return {column: Asked(**options, vector=name) for column in columns}


def _check_weight(name: str, options: Mapping[Any, Any]) -> None:
    weight, called = options.get("weight", 1), options.get("name", name_in_yaml(name))
    if not isinstance(weight, int | float):
        raise TableError(
            f"target {name!r}: `weight` must be a number, but got {shown(weight)}; a spec's "
            f"`training: {{target_weights: {{{called}: ...}}}}` searches one to train by."
        )


def _no_name(name: str, instead: str) -> str:
    return (
        f"target {name!r}: metrics need a name of 1 to {LONGEST_NAME} letters, digits and "
        f"`_.:-`, not {MEAN!r}: `targets: {{{instead}}}`."
    )


def _check_keys(name: str, options: Mapping[Any, Any], valid: Sequence[str]) -> None:
    for key in options.keys() - {*valid}:
        raise TableError(
            f"target {name!r} has the unknown key {key!r}; {near_misses(str(key), valid)}"
        )


def _asked_alone(name: str, given: Any) -> dict[str, Asked]:
    return {name: _asked(name, given)}


def _asked(name: str, given: Any) -> Asked:
    options = dict(given) if isinstance(given, Mapping) else {"kind": given}
    _check_keys(name, options, TARGET_KEYS)
    _check_weight(name, options)
    kind = options.get("kind")
    if kind not in get_args(Kind):
        near = near_misses(str(kind), get_args(Kind))
        raise TableError(f"target {name!r} has the unknown kind {shown(kind)}; {near}")
    if not can_be_recorded(options.get("name", name)):
        spelled = f"{name_in_yaml(name)}: {{kind: {kind}, name: {recordable(name)}}}"
        raise TableError(_no_name(name, spelled))
    order = asked_order(
        name, cast(Kind, kind), options.pop("positive", None), options.pop("classes", None)
    )
    asked = Asked(**options, classes=order)
    _check_class_weight(name, asked)
    return asked


def _check_class_weight(name: str, asked: Asked) -> None:
    if asked.class_weight not in (None, "balanced"):
        raise TableError(
            f"target {name!r}: `class_weight` must be balanced or null, but got "
            f"{shown(asked.class_weight)}."
        )
    if asked.class_weight and asked.kind == "regression":
        raise TableError(
            f"target {name!r}: only classes have a `class_weight`, but its kind is regression."
        )


def can_be_recorded(name: object) -> bool:
    """Return whether a name can be that of a target."""
    fits = isinstance(name, str) and NAME.fullmatch(name) and len(name) <= LONGEST_NAME
    return bool(fits) and str(name).casefold() != MEAN


def recordable(name: str, taken: Collection[str] = ()) -> str:
    """Return a name that can be a target's for a column's, unlike those that are taken."""
    plain = re.sub(r"[^\w.-]+", "_", name)[: LONGEST_NAME - 4].strip("_.-") or "target"
    plain = f"{plain}_" if plain.casefold() == MEAN else plain
    lower = {it.casefold() for it in taken}
    tried = (plain, *(f"{plain}_{at}" for at in range(2, len(lower) + 3)))
    return next(it for it in tried if it.casefold() not in lower)
