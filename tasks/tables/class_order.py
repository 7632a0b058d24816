"""The order of a target's classes, where its user gives one in place of that by value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from gatelab.registry import near_misses
from gatelab.rules import shown
from gatelab.tasks.tables.cells import texts_of
from gatelab.tasks.tables.coded import Coded
from gatelab.tasks.tables.contents import Column, TableError
from gatelab.tasks.tables.kinds import pair_of
from gatelab.tasks.tables.lines import missing_key, shown_text
from gatelab.tasks.target import Kind

FOUND, LARGER = "found", "larger"
"""What `classes` and `positive` are where nothing is said: those of the column, and of two values
the larger."""


def asked_order(name: str, kind: Kind, positive: Any, classes: Any) -> tuple[str, ...]:
    """Return the classes of a target in the order that its user gives, in one spelling a value.

    Args:
        name: The target's column.
        kind: Its kind.
        positive: Of a binary target the value that is 1, which is returned alone; None: the larger.
        classes: All of them, of a binary target that of 0 and that of 1; None or ``found``: those
            of the column, by value, of which nothing is returned.

    Raises:
        TableError: If they have another form, or such a target has none.
    """
    given = {"positive": positive, "classes": None if classes == FOUND else classes}
    given = {key: value for key, value in given.items() if value is not None}
    if not given:
        return ()
    fault = _fault(kind, given)
    if fault:
        raise TableError(f"target {name!r}: {fault}.")
    return tuple(texts_of(given.get("classes", [positive])))


def _fault(kind: Kind, given: Mapping[str, Any]) -> str | None:
    """Return what is wrong with the keys that say an order, if anything."""
    if kind == "regression":
        return f"only classes have `{next(iter(given))}`, but its kind is regression"
    if len(given) > 1:
        return "say `positive` or `classes`, whose last is the positive, not both"
    if "classes" in given:
        return _fault_of_classes(kind, given["classes"])
    return _fault_of_positive(kind, given["positive"])


def _fault_of_positive(kind: Kind, value: Any) -> str | None:
    if kind != "binary":
        return f"only binary ones have a `positive`, but its kind is {kind}; `classes` orders all"
    several = isinstance(value, Mapping | list | tuple)
    return f"`positive` must be a value of the column, but got {shown(value)}" if several else None


def _fault_of_classes(kind: Kind, values: Any) -> str | None:
    listed = isinstance(values, Sequence) and not isinstance(values, str)
    count = len({*texts_of(values)}) if listed else 0
    if listed and count == len(values) and (count == 2 or count > 2 and kind == "multiclass"):
        return None
    told = "both values" if kind == "binary" else "two values or more"
    return f"`classes` must be a list of {told} of the column, each once, but got {shown(values)}"


def in_given_order(column: Column, coded: Coded, given: Sequence[str]) -> Column:
    """Return a target's column with its classes in the order that its user gives.

    Args:
        column: Of a binary or multiclass target, its classes by value.
        coded: The cells that it was read from, in one spelling a value.
        given: From :func:`asked_order`.

    Raises:
        TableError: If these are not the column's values.
    """
    if [*given] == [LARGER] and LARGER not in column.values:
        return column
    values = [_spelled(it, column) for it in given]
    if len(values) > 1:
        _check_all(column, coded, values)
    if not values or values[-1] == column.values[-1] and column.kind == "binary":
        return column
    if column.kind != "binary":
        return replace(column, values=tuple(values))
    assert column.numbers is not None
    return replace(column, numbers=1 - column.numbers, values=column.values[::-1])


def _spelled(value: str, column: Column) -> str:
    """Return a class as the column spells it: words of a pair, as Yes and no, in any case."""
    if value in column.values:
        return value
    pair = {it.casefold(): it for it in column.values} if pair_of([*column.values]) else {}
    if value.casefold() in pair:
        return pair[value.casefold()]
    key = "positive" if column.kind == "binary" else "classes"
    raise TableError(
        f"target `{column.name}`: `{key}` names `{shown_text(value)}`, which no row has; "
        f"{near_misses(value, column.values)}"
    )


def _check_all(column: Column, coded: Coded, values: Sequence[str]) -> None:
    """Check that the value of each row is among those that are named."""
    outside: npt.NDArray[np.bool_] = ~np.isin(np.array(coded.texts, dtype=object), [*values])
    if pair_of(coded.texts) or not outside.any():
        return
    row, value = coded.row(outside)
    raise TableError(
        f"target `{column.name}` has `{shown_text(value)}` (row {row}), which is none of its "
        f"`classes` ({', '.join(map(shown_text, values))}): add it there, or "
        f"{missing_key(column.name, [value])}."
    )
