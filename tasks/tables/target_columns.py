"""The targets of a table: what the rows hold of what the user asks for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Literal

import numpy as np
import numpy.typing as npt

from gatelab.registry import near_misses
from gatelab.tasks.tables.contents import Column, Contents, TableError
from gatelab.tasks.tables.fitted import Numbers, category_texts, ids, numbers_of
from gatelab.tasks.tables.lines import shown_text
from gatelab.tasks.tables.target_options import Asked
from gatelab.tasks.target import Kind

Rare = Literal["ask", "drop", "train"]
FEWEST_OF_A_CLASS = 3
"""One for each split."""
MOST_CLASSES = 1000


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
    told = [
        f"{shown_text(classes[i])!r} ({counts[i]} row{'s' * (counts[i] != 1)})" for i in few[:3]
    ]
    more = f" and {len(few) - 3} more" if len(few) > 3 else ""
    return ", ".join(told) + more
