"""What kind of target a column may be: proposed from its values, for its user to confirm."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import cast, get_args

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from gatelab.registry import near_misses
from gatelab.rules import shown
from gatelab.tasks.tables.asked import by_value
from gatelab.tasks.tables.cells import Cells
from gatelab.tasks.tables.coded import Coded, among, matches
from gatelab.tasks.tables.contents import TableError
from gatelab.tasks.tables.doubts import (
    DOUBTFUL_WORDS,
    MISSING_WORDS,
    doubtful_number,
)
from gatelab.tasks.tables.identity import EXACT, beyond_exact
from gatelab.tasks.tables.kinds import LEADING_ZEROS, pair_of
from gatelab.tasks.tables.lines import shown_text, told_apart
from gatelab.tasks.tables.questions import check_plain, check_unmixed, first_date
from gatelab.tasks.tables.sheet import Sheet
from gatelab.tasks.target import Kind

_WHOLE = r"^[+-]?[0-9]+$"
_MOST_CLASSES = 10
"""Of whole numbers: more values are taken for a measure."""
_ROWS_A_CLASS = 3
_FEW_CLASSES, _NAMED = 20, 8
_DATES = "dates; make numbers of them, or say the kind"
_ROUNDED = "whole numbers past 2^53, which are rounded; subtract what they share, or say the kind"


@dataclass(frozen=True)
class TargetProposal:
    """What a column may be as a target.

    Attributes:
        kind: The likeliest.
        values: How many distinct ones it has then.
        why: From what that follows, and what else it may be, in a few words.
        missing: Values that must stand for none, for it to be that.
        positive: Of two words of which neither says that it is, the one that is 1.
    """

    kind: Kind
    values: int
    why: str
    missing: tuple[str, ...] = ()
    positive: str = ""


def named_target(text: str, sheet: Sheet) -> tuple[str, Kind | None]:
    """Return the column and the kind, if any, of ``NAME`` or ``NAME=KIND``.

    Raises:
        TableError: If there is no such column, or no such kind.
    """
    name, sign, kind = text.rpartition("=")
    if text.strip() in sheet.columns or not sign:
        name, sign = text, ""
    name, kind = name.strip(), kind.strip()
    if name in sheet.left_out:
        raise TableError(f"target `{name}` cannot be read ({sheet.left_out[name]}).")
    if name not in sheet.columns:
        raise TableError(f"no column `{name}` to learn; {near_misses(name, sheet.columns)}")
    if not sign:
        return name, None
    if kind not in get_args(Kind):
        near = near_misses(kind, get_args(Kind))
        raise TableError(f"target `{name}` has the unknown kind {shown(kind)}; {near}")
    return name, cast(Kind, kind)


def propose_target(cells: Cells) -> TargetProposal:
    """Return the kind of target that a column is likeliest to be.

    Two values are binary; whole numbers of at most ten values, three rows each, are classes, other
    numbers a measure; words are classes.

    Raises:
        TableError: If it can be none: dates, words that differ in most rows, or whole numbers that
            float64 rounds.
    """
    if cells.is_date:
        raise _no_kind(cells.name, _DATES)
    if cells.is_number:
        if pa.types.is_integer(cells.values.type) and beyond_exact(cells.values):
            raise _no_kind(cells.name, _ROUNDED)
        return _of_numbers(cells.name, cells.numbers(exact=False))
    coded = cells.coded.canonical()
    none = among(coded.values, (*MISSING_WORDS, *DOUBTFUL_WORDS))
    rest = coded.without(none)
    words = tuple(coded.texts[at] for at in np.flatnonzero(none))
    if are_numbers(rest):
        if (matches(rest.values, _WHOLE) & (np.abs(rest.numbers) > EXACT)).any():
            raise _no_kind(cells.name, _ROUNDED)
        found = _of_numbers(rest.name, rest.spread(rest.numbers))
        known = MISSING_WORDS if found.kind == "regression" else ()  # which no number is, anyway
        words = tuple(it for it in words if it.lower() not in known)
        return replace(found, missing=(*words, *found.missing))
    if pair_of(rest.texts):
        return TargetProposal("binary", 2, _two_values(by_value(rest)), words)
    if len(rest.texts) == 2:
        values = by_value(rest)
        return TargetProposal("binary", 2, _two_values(values), words, values[1])
    return _of_words(coded)


def propose_as(cells: Cells, kind: Kind) -> TargetProposal:
    """Return a column as a target of the kind that its user says, with what is missing then."""
    try:
        found = propose_target(cells)
    except TableError:
        return TargetProposal(kind, 0, "")
    return found if found.kind == kind else TargetProposal(kind, 0, "")


def are_numbers(coded: Coded) -> bool:
    """Return whether all values are numbers, no codes with leading zeros, and there are some."""
    numbers = len(coded.texts) > 0 and not np.isnan(coded.numbers).any()
    return numbers and not matches(coded.values, LEADING_ZEROS).any()


def _of_numbers(name: str, numbers: npt.NDArray[np.float64]) -> TargetProposal:
    known = numbers[np.isfinite(numbers)]
    doubtful = doubtful_number(name, known)[0] if len(known) else ()
    known = known[~np.isin(known, [float(it) for it in doubtful])]
    values = np.unique(known)
    texts = [*told_apart(values[0], values[-1])] if len(values) else []
    if len(values) <= 2:
        return TargetProposal("binary", len(values), _two_values(texts), doubtful)
    whole, ends = bool((values == np.floor(values)).all()), f"{texts[0]} to {texts[1]}"
    if whole and len(values) <= _MOST_CLASSES and len(known) >= _ROWS_A_CLASS * len(values):
        why = f"{len(values)} whole numbers, {ends}; regression if they measure"
        return TargetProposal("multiclass", len(values), why, doubtful)
    return TargetProposal("regression", len(values), f"{len(values):,} numbers, {ends}", doubtful)


def _two_values(texts: list[str]) -> str:
    return f"2 values, {' and '.join(f'`{shown_text(it)}`' for it in texts[:2])}"


def _of_words(coded: Coded) -> TargetProposal:
    count = len(coded.texts)
    if first_date(coded):
        raise _no_kind(coded.name, _DATES)
    if coded.known > _MOST_CLASSES and count > coded.known / 2:
        check_plain(coded, target=True)
        check_unmixed(coded, target=True)
        raise _no_kind(coded.name, f"{count:,} different words in {coded.known:,} rows")
    return TargetProposal("multiclass", count, f"{count:,} classes")


def _no_kind(name: str, what: str) -> TableError:
    return TableError(f"target `{name}`: no kind fits {what}.")


def likely_targets(sheet: Sheet) -> str:
    """Return the names of columns which look like targets, with their kinds, in a line's form."""
    found = dict(_likely(sheet))
    classes = [f"{name} ({it.kind})" for name, it in found.items() if it.kind != "regression"]
    numbers = [name for name, it in found.items() if it.kind == "regression"]
    told = [_some(classes)] if classes else []
    return "; ".join([*told, f"of numbers {_some(numbers)}"] if numbers else told) or "none"


def _likely(sheet: Sheet) -> Iterator[tuple[str, TargetProposal]]:
    for name, values in sheet.columns.items():
        try:
            found = propose_target(Cells(name, values, sheet.first_row))
        except TableError:
            continue
        if found.kind == "regression" or 1 < found.values <= _FEW_CLASSES:
            yield name, found


def _some(names: list[str]) -> str:
    return ", ".join(names[:_NAMED]) + (", ..." if len(names) > _NAMED else "")
