"""A column read as the kind that its user asked for: as a feature, a target or a time."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import numpy as np

from gatelab.registry import near_misses
from gatelab.rules import written
from gatelab.tasks.tables.cells import Cells, texts_of
from gatelab.tasks.tables.class_order import in_given_order
from gatelab.tasks.tables.coded import Coded, among
from gatelab.tasks.tables.contents import Column, ColumnKind, TableError
from gatelab.tasks.tables.doubts import (
    MISSING_WORDS,
    doubtful_number,
    said_of_category,
    said_of_points,
)
from gatelab.tasks.tables.kinds import (
    Found,
    as_category,
    as_pair,
    pair_of,
    said_of_missing_words,
)
from gatelab.tasks.tables.lines import kind_key, missing_key, name_in_yaml, shown_text
from gatelab.tasks.tables.questions import are_formatted, check_finite, check_plain, first_date

_KINDS = ("number", "category", "binary")
_ROLES = ("regression", "binary", "multiclass")

_COARSE = 1000
"""Steps of float64 between the least and the largest number: with more, rounding is no matter."""


def read_as(cells: Cells, kind: str | Sequence[str]) -> Found:
    """Return a column as the kind that ``kinds`` says.

    Raises:
        TableError: If the kind is unknown, or a value is none of it.
    """
    if not isinstance(kind, str):
        return Found(_as_levels(cells.coded, kind))
    if kind == "number":
        return as_number(cells)
    if kind == "category":
        return Found(as_category(cells.coded))
    if kind == "binary":
        return Found(as_binary(cells.coded))
    raise TableError(
        f"{kind_key(cells.name, kind)}: no kind {kind!r}; {near_misses(kind, _KINDS)} "
        "A list of values is an order of levels."
    )


def read_target(cells: Cells, role: str, classes: Sequence[str] = ()) -> Found:
    """Return a column as the target that it is.

    Args:
        cells: The column.
        role: The target's kind.
        classes: In order, in place of that by value; of a binary target the last alone will do.

    Raises:
        TableError: If the role is unknown, a value is none of it, all known values are one, or
            the classes are not those of the column.
    """
    if role not in _ROLES:
        raise TableError(f"target `{cells.name}`: no kind {role!r}; {near_misses(role, _ROLES)}")
    if role == "regression":
        return _as_measure(cells)
    coded = cells.coded.canonical()
    _check_differs(coded.name, coded.texts)
    if role == "binary":
        return Found(in_given_order(as_binary(coded), coded, classes))
    doubtful, said = said_of_category(coded)
    column = in_given_order(_as_classes(coded), coded, classes)
    return Found(column, said=said, doubtful=doubtful)


def _as_measure(cells: Cells) -> Found:
    found = as_number(cells, target=True)
    assert found.column is not None and found.column.numbers is not None
    known = found.column.numbers[~np.isnan(found.column.numbers)]
    distinct = {*known[:1], *known[known != known[:1]][:1]}
    if len(known) and np.ptp(known) < _COARSE * np.spacing(np.abs(known).max()):
        _check_written_alike(cells.coded)
    _check_differs(cells.name, [f"{it:.12g}" for it in distinct])
    doubtful, line = doubtful_number(cells.name, known)
    return Found(found.column, said=found.said + ((line,) if line else ()), doubtful=doubtful)


def _check_written_alike(coded: Coded) -> None:
    """Check that numbers which are one as float64 are one as they are written too."""
    texts = [text for text, it in zip(coded.texts, coded.numbers, strict=True) if it == it]
    written_as, rounded = {Decimal(it) for it in texts}, {float(it) for it in texts}
    if len(written_as) > len(rounded):
        least, most = (shown_text(pick(texts, key=Decimal)) for pick in (min, max))
        raise TableError(
            f"target `{coded.name}` has numbers from {least} to {most}, which float64 rounds to "
            f"{'one' if len(rounded) == 1 else len(rounded)}: subtract what they share."
        )


def _check_differs(name: str, distinct: list[str]) -> None:
    if len(distinct) < 2:
        what = f"constant, always `{shown_text(distinct[0])}`" if distinct else "all missing"
        raise TableError(f"target `{name}` is {what}: there is nothing to learn.")


def as_number(cells: Cells, *, target: bool = False) -> Found:
    """Return a column as numbers, words for missing as NaN.

    Args:
        cells: The column.
        target: Whether it is a target, of which `kinds` says nothing.

    Raises:
        TableError: If a value is no finite number.
    """
    if cells.is_number:
        return Found(Column(cells.name, "number", cells.numbers(exact=False)))
    coded = cells.coded
    check_finite(coded)
    words = among(coded.values, MISSING_WORDS) & np.isnan(coded.numbers)
    _check_no_others(coded.without(words), target)
    column = Column(coded.name, "number", coded.spread(coded.numbers))
    return Found(column, said=said_of_missing_words(coded, words) + said_of_points(coded))


def _check_no_others(coded: Coded, target: bool) -> None:
    """Check that all values are numbers; what is one, but for its signs, is not to be missing."""
    others = np.isnan(coded.numbers)
    if not others.any():
        return
    what = f"`{coded.name}` is to be a number, but"
    if date := first_date(coded):
        raise TableError(
            f"{what} looks like dates (`{date[1]}`, row {date[0]}): make numbers of them."
        )
    check_plain(coded, target=target)
    words = others & ~are_formatted(coded)
    row, value = coded.row(words if words.any() else others)
    key = missing_key(coded.name, [value]) if words.any() else "write a plain number"
    raise TableError(f"{what} has `{shown_text(value)}` (row {row}): {key}, or another kind.")


def as_binary(coded: Coded) -> Column:
    """Return a column of two values as 0 and 1, of which 1 is the larger.

    Raises:
        TableError: If it has more values.
    """
    coded = coded.canonical()
    pair = pair_of(coded.texts)
    if pair:
        return as_pair(coded, pair)
    if len(coded.texts) > 2:
        shown = ", ".join(map(shown_text, coded.texts[:5]))
        raise TableError(
            f"`{coded.name}` is to be binary, but has {len(coded.texts)} values ({shown}"
            f"{', ...' if len(coded.texts) > 5 else ''}): name what is none in `missing`, "
            "or another kind."
        )
    return _in_order(coded, by_value(coded), "binary")


def by_value(coded: Coded) -> list[str]:
    """Return the distinct values in order: as numbers if all are, else by code point."""
    if np.isnan(coded.numbers).any():
        return sorted(coded.texts)
    return [coded.texts[at] for at in np.argsort(coded.numbers, kind="stable")]


def _in_order(coded: Coded, values: Sequence[str], kind: ColumnKind) -> Column:
    """Return a column as the places of its values in an order that has them all."""
    place = {value: float(at) for at, value in enumerate(values)}
    places = np.array([place[text] for text in coded.texts])
    return Column(coded.name, kind, coded.spread(places), values=tuple(values))


def _as_levels(coded: Coded, levels: Sequence[object]) -> Column:
    coded = coded.canonical()
    values = texts_of(levels)
    if len(set(values)) < max(2, len(values)):
        raise TableError(
            f"`kinds: {{{name_in_yaml(coded.name)}: {written(list(levels))}}}` must be two levels "
            "or more, each once."
        )
    outside = ~np.isin(np.array(coded.texts, dtype=object), values)
    if outside.any():
        row, value = coded.row(outside)
        raise TableError(
            f"`{coded.name}` has `{shown_text(value)}` (row {row}), which is none of its levels "
            f"({', '.join(values)}): add it to `kinds`, or name it in `missing`."
        )
    return _in_order(coded, values, "levels")


def _as_classes(coded: Coded) -> Column:
    texts = coded.per_row()
    return Column(coded.name, "category", texts=texts, values=tuple(by_value(coded)))
