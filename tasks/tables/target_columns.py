"""The targets of a table: what the user asks for, and what the rows hold of it."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from gatelab.registry import near_misses
from gatelab.rules import LONGEST_NAME, NAME, shown
from gatelab.tasks.tables.contents import Column, Contents, TableError
from gatelab.tasks.tables.fitted import Numbers, category_texts, ids, numbers_of
from gatelab.tasks.tables.lines import name_in_yaml
from gatelab.tasks.task import MEAN, Kind

Rare = Literal["ask", "drop", "train"]
FEWEST_OF_A_CLASS = 3
"""One for each split."""
MOST_CLASSES = 1000


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


TARGET_KEYS = ("kind", "weight", "class_weight", "name")
"""What may be said of a target."""
VECTOR_KEYS = ("columns", "kind", "weight")
"""What may be said of a target of several columns."""


def asked_targets(given: object) -> dict[str, Asked]:
    """Return the targets of the option ``targets``, by column.

    Args:
        given: ``{column: kind}``, or ``{column: {kind: kind, weight: 1, class_weight: null, name:
            name}}``, or ``{name: {columns: [column, column], kind: regression, weight: 1}}``.

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
    asked = Asked(**options)
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


@dataclass(frozen=True)
class TargetColumn:
    """What the rows of a table hold of one target."""

    name: str
    kind: Kind
    values: Numbers
    """``(rows,)``: numbers in the user's unit, 0/1 or places in ``classes``; NaN where unknown."""
    classes: tuple[str, ...] = ()
    weight: float = 1.0
    balanced: bool = False
    """Whether its classes are to weigh the same in its loss."""
    label: str = ""
    """Its name in metrics, where that is not the column's."""
    vector: str = ""
    """The name of the target of several columns that it is one of."""
    partly: int = 0
    """In how many rows some columns of its target have a value and others none: there it is
    unknown."""

    @property
    def known(self) -> npt.NDArray[np.bool_]:
        """Where the target is known, ``(rows,)``."""
        return ~np.isnan(self.values)

    @property
    def labels(self) -> npt.NDArray[np.int64]:
        """Classes ``(rows,)``, of a regression target 0 where it is known; -1: unknown."""
        values = np.zeros_like(self.values) if self.kind == "regression" else self.values
        return np.where(self.known, values, -1).astype(np.int64)


def target_columns(
    contents: Contents,
    asked: Mapping[str, Asked],
    rare: Rare,
    weights: Numbers | None = None,
) -> tuple[TargetColumn, ...]:
    """Return the targets of a table.

    Args:
        contents: The table, whose reader was told of the targets.
        asked: What is asked of each.
        rare: What becomes of a class of fewer than 3 known rows, which cannot be in every split:
            ``drop`` takes it for unknown, ``train`` leaves it in train, ``ask`` refuses it.
        weights: What rows weigh, ``(rows,)``; of those of weight 0 no target is known.

    Raises:
        TableError: If a target is not there or constant, or has too many classes or rare ones.
    """
    counts = True if weights is None else weights > 0
    found = tuple(
        _target_column(column_of(contents, n, "target"), one, rare, counts)
        for n, one in asked.items()
    )
    return tuple(it for columns in by_vector(found) for it in _known_together(columns))


def by_vector(
    target_columns: Iterable[TargetColumn],
) -> list[tuple[TargetColumn, ...]]:
    """Return the columns of each target: one, or those of a target of several."""
    groups = groupby(target_columns, lambda it: (it.vector, "" if it.vector else it.name))
    return [tuple(columns) for _, columns in groups]


def _known_together(columns: tuple[TargetColumn, ...]) -> tuple[TargetColumn, ...]:
    """Return columns of one target, which is known in a row where all of them are."""
    each = [it.known for it in columns]
    known = np.all(each, axis=0)
    partly = int((np.any(each, axis=0) & ~known).sum())
    return tuple(
        replace(it, values=np.where(known, it.values, np.nan), partly=partly) for it in columns
    )


def column_of(contents: Contents, name: str, what: str) -> Column:
    """Return a column by its name; ``what`` it is for is said if it is not there.

    Raises:
        TableError: If it is not there.
    """
    if name in contents.columns:
        return contents.columns[name]
    if name in contents.left_out:
        raise TableError(f"{what} {name!r} is left out: {contents.left_out[name]}.")
    near = near_misses(name, contents.columns)
    raise TableError(f"{what} {name!r} is no column of the table; {near}")


def _target_column(
    column: Column, asked: Asked, rare: Rare, counts: bool | npt.NDArray[np.bool_]
) -> TargetColumn:
    values = np.where(counts, _values(column, asked.kind), np.nan)
    balanced = asked.class_weight is not None
    found = TargetColumn(
        column.name, asked.kind, values, (), asked.weight, balanced, asked.name, asked.vector
    )
    if asked.kind != "regression":
        found = _with_classes(found, column.values, rare)
    known = found.values[found.known]
    if not len(known) or (known == known[0]).all():
        what = f"has no value but {known[0]:g}" if len(known) else "has no value"
        raise TableError(f"target {column.name!r} {what}, so that there is nothing to learn.")
    return found


def _values(column: Column, kind: Kind) -> Numbers:
    if kind != "multiclass":
        return numbers_of(column)
    places = ids(column.values, category_texts(column)) - 1.0
    return np.where(places < 0, np.nan, places)


def _with_classes(target: TargetColumn, classes: tuple[str, ...], rare: Rare) -> TargetColumn:
    if len(classes) > MOST_CLASSES:
        raise TableError(
            f"target {target.name!r} has {len(classes):,} classes, of at most {MOST_CLASSES:,}; "
            "is it a regression target?"
        )
    counts = np.bincount(target.labels[target.known], minlength=len(classes)).tolist()
    few = [place for place, count in enumerate(counts) if count < FEWEST_OF_A_CLASS]
    if few and rare == "ask":
        raise TableError(
            f"target {target.name!r}: {_counted(classes, counts, few)} cannot be in three splits: "
            "`rare: drop` takes them for unknown, `rare: train` leaves them in train."
        )
    return _without(replace(target, classes=classes), few if rare == "drop" else [])


def _without(target: TargetColumn, dropped: list[int]) -> TargetColumn:
    """Return a target whose classes at some places are unknown, and the others moved up."""
    kept = [place for place in range(len(target.classes)) if place not in dropped]
    moved = np.full(len(target.classes) + 1, np.nan)  # the last stands for unknown, -1
    moved[kept] = np.arange(len(kept))
    return replace(
        target,
        values=moved[target.labels],
        classes=tuple(target.classes[place] for place in kept),
    )


def _counted(classes: tuple[str, ...], counts: Sequence[int], few: list[int]) -> str:
    told = [f"{classes[i]!r} ({counts[i]} row{'s' * (counts[i] != 1)})" for i in few[:3]]
    more = f" and {len(few) - 3} more" if len(few) > 3 else ""
    return ", ".join(told) + more
