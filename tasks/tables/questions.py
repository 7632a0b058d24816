"""What the values of a column leave open: each is one line that its user answers by a key."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from gatelab.tasks.tables.coded import Coded, among, matches
from gatelab.tasks.tables.contents import TableError
from gatelab.tasks.tables.date_forms import ISO, likelier
from gatelab.tasks.tables.doubts import MISSING_WORDS
from gatelab.tasks.tables.identity import EXACT
from gatelab.tasks.tables.lines import (
    drop_key,
    in_yaml,
    kind_key,
    missing_key,
    name_in_yaml,
    shown_text,
)

_MONTH = "(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)"
_DATES = "|".join(
    (
        r"^\d{4}[-/.]\d{1,2}[-/.]\d{1,2}([T ].*)?$",
        r"^\d{1,2}[-/.]\d{1,2}[-/.](\d{4}|\d{2})([T ].*)?$",
        r"^\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?$",
        rf"(?i)^\d{{1,2}}[. -]*{_MONTH}[a-z]*[., -]*\d{{2,4}}$",
        rf"(?i)^{_MONTH}[a-z]*\.? \d{{1,2}},? \d{{4}}$",
    )
)
_SPACE = r"[\x{20}\x{a0}\x{2009}\x{202f}]"
_FORMATTED = (
    rf"^\(?[€$£]?{_SPACE}?[+\-\x{{2212}}]?\d{{1,3}}([.,'’]?\d{{3}}|{_SPACE}\d{{3}})*([.,]\d+)?"
    rf"{_SPACE}?[%€$£]?\)?$"
)

_DECIMAL_COMMA = r"^[+-]?\d+,\d+$"
_THOUSANDS = r"^[+-]?[1-9]\d{0,2}(,\d{3})+$"


def check_exact(coded: Coded) -> None:
    """Check that no whole number is rounded as float64.

    Raises:
        TableError: If one would be.
    """
    past = (np.abs(coded.numbers) >= EXACT) & matches(coded.values, r"^[+-]?\d+$")
    for at in np.flatnonzero(past & (np.abs(coded.numbers) == EXACT)):  # one more is rounded to it
        past[at] = abs(int(coded.texts[at])) > EXACT
    if past.any():
        raise past_exact(coded.name, *coded.row(past))


def past_exact(name: str, row: int, value: str) -> TableError:
    """Return the question that a whole number past 2^53 asks."""
    return TableError(
        f"`{name}` has {shown_text(value)} (row {row}), past 2^53, where numbers are rounded: "
        f"{kind_key(name)} or {drop_key(name)}?"
    )


def check_finite(coded: Coded) -> None:
    """Check that no number is infinite.

    Raises:
        TableError: If one is.
    """
    infinite = np.isinf(coded.numbers)
    if infinite.any():
        raise infinite_number(coded.name, *coded.row(infinite))


def infinite_number(name: str, row: int, value: str) -> TableError:
    """Return the refusal of an infinite number."""
    return TableError(
        f"`{name}` has an infinite number, {shown_text(value)} (row {row}): "
        f"{missing_key(name, ['inf'])} takes it for missing."
    )


def check_dates(coded: Coded) -> None:
    """Check that a column is none of dates or times.

    Raises:
        TableError: If at least half its rows look like one.
    """
    if date := first_date(coded):
        raise date_feature(coded.name, *date, [*likelier(coded.texts, ISO)])


def first_date(coded: Coded) -> tuple[int, str] | None:
    """Return the first row with a date or time, and that, where at least half the rows have one."""
    dates = matches(coded.values, _DATES)
    if not dates.any() or coded.counts[dates].sum() * 2 < coded.known:
        return None
    return coded.row(dates)


def date_feature(name: str, row: int, value: str, forms: Sequence[str] = ()) -> TableError:
    """Return the refusal of a date as a feature, with its form if it is one that must be said."""
    form = f", format: {in_yaml(forms[0])}" if len(forms) == 1 else ""
    return TableError(
        f"`{name}` looks like dates (`{value}`, row {row}), which are no feature: "
        f"{drop_key(name)}, or `split: {{time: {name_in_yaml(name)}{form}}}` to divide the rows, "
        "or make columns of your own (day, month, hour, age)."
    )


def are_formatted(coded: Coded) -> npt.NDArray[np.bool_]:
    """Return which values are numbers with signs for thousands, money or percent, (distinct,)."""
    return matches(coded.values, _FORMATTED) & np.isnan(coded.numbers)


def check_plain(coded: Coded, *, target: bool = False) -> None:
    """Check that numbers are written without signs for thousands, money or percent.

    Args:
        coded: The column.
        target: Whether it is a target, of which `kinds` says nothing.

    Raises:
        TableError: If at least half the rows are numbers, and one is written so.
    """
    odd = are_formatted(coded)
    numbers = matches(coded.values, _FORMATTED)
    if odd.any() and coded.counts[numbers].sum() * 2 >= coded.known:
        row, value = coded.row(odd)
        keys = [*_decimal_key(coded, odd), *([] if target else [kind_key(coded.name)])]
        say = f", or say {' or '.join(keys)}" if keys else ""
        raise TableError(f"`{coded.name}` has `{value}` (row {row}): write plain numbers{say}.")


def _decimal_key(coded: Coded, odd: npt.NDArray[np.bool_]) -> tuple[str, ...]:
    """Return the key for a comma as point, unless that would read 1,234 as little more than 1."""
    comma, thousands = (matches(coded.values, p)[odd] for p in (_DECIMAL_COMMA, _THOUSANDS))
    reads = comma.all() and not thousands.all()
    return ('`reading: {decimal: ","}`',) if reads else ()


def check_unmixed(coded: Coded, *, target: bool = False) -> None:
    """Check that a column is not mostly numbers with a word among them.

    Args:
        coded: The column.
        target: Whether it is a target, of which `kinds` says nothing.

    Raises:
        TableError: If it is.
    """
    words = np.isnan(coded.numbers)
    numbers = int(coded.counts[~words].sum())
    if numbers and numbers * 2 >= coded.known:
        row, value = coded.row(words & ~among(coded.values, MISSING_WORDS))
        kind = "" if target else f" or {kind_key(coded.name)}"
        raise TableError(
            f"`{coded.name}` has {numbers} numbers and `{shown_text(value)}` (row {row}): "
            f"{missing_key(coded.name, [value])}{kind}?"
        )
