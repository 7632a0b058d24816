"""The kind of a column that nobody asked for: found over all its values, or asked about."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gatelab.tasks.tables.coded import Coded, among, matches
from gatelab.tasks.tables.contents import Column
from gatelab.tasks.tables.doubts import (
    MISSING_WORDS,
    doubtful_number,
    said_of_category,
    said_of_numbers,
    said_of_points,
)
from gatelab.tasks.tables.lines import kind_key, rows_of, shown_text
from gatelab.tasks.tables.questions import (
    check_dates,
    check_exact,
    check_finite,
    check_plain,
    check_unmixed,
)

WORD_PAIRS = (("false", "true"), ("no", "yes"), ("n", "y"), ("f", "t"), ("off", "on"), ("0", "1"))
"""Words of 0 and of 1, in lower case."""
LEADING_ZEROS = r"^[+-]?0\d+$"
_LONG_TEXT = 40
"""Characters: what is longer on average is text, not a category."""
_FEW_ROWS = 10
"""Up to so many rows, that all differ is no sign of an id."""


@dataclass(frozen=True)
class Found:
    """What was found of a column.

    Attributes:
        column: As it is read; None where it is left out.
        why: Why it is left out; empty otherwise.
        said: Lines for the user.
        doubtful: Values that probably stand for none.
    """

    column: Column | None
    why: str = ""
    said: tuple[str, ...] = ()
    doubtful: tuple[str, ...] = ()


def find_kind(coded: Coded) -> Found:
    """Return a column of text as the kind that all its values are.

    Raises:
        TableError: If the user must say the kind: numbers among words, whole numbers past 2^53,
            infinite ones, dates, numbers in a notation of their own.
    """
    if _is_long(coded):
        return _left_out(coded.name, "text", keep=True)
    if not coded.known or (len(coded.texts) == 1 and (coded.codes >= 0).all()):
        return _without_news(coded.name, coded.texts)
    pair = pair_of(coded.texts)
    if pair:
        return Found(as_pair(coded, pair))
    digits = matches(coded.values, r"^[+-]?\d+$")
    if matches(coded.values, LEADING_ZEROS).any() and digits.mean() >= 0.5:
        said = f"`{coded.name}` is a category of {len(coded.texts)} (leading zeros)."
        return Found(as_category(coded), said=(said,))
    words = among(coded.values, MISSING_WORDS)
    if (~np.isnan(coded.numbers) | words).all() and not words.all():
        return _numbers_in_text(coded, words)
    return _words(coded)


def _is_long(coded: Coded) -> bool:
    """Return whether a column is text: of several lines, or long on average."""
    if not coded.texts:
        return False
    lengths = [len(text) for text in coded.texts]
    average = float(np.average(lengths, weights=coded.counts))
    return average > _LONG_TEXT or bool(matches(coded.values, r"\n").any())


def _without_news(name: str, distinct: list[str]) -> Found:
    """Return that a column is left out which holds no value, or one alone and no gap."""
    why = f"constant, always `{shown_text(distinct[0])}`" if distinct else "all missing"
    return _left_out(name, why)


def _left_out(name: str, why: str, *, keep: bool = False) -> Found:
    end = f"; {kind_key(name)} keeps it." if keep else "."
    return Found(None, why, (f"`{name}` is left out: {why}{end}",))


def pair_of(texts: list[str]) -> tuple[str, str] | None:
    """Return the words of 0 and 1, in lower case, that these texts are, in any case."""
    lower = {text.lower() for text in texts}
    return next((pair for pair in WORD_PAIRS if lower == set(pair)), None)


def as_pair(coded: Coded, pair: tuple[str, str]) -> Column:
    """Return a column of two words as 0 and 1, which keep the spelling that comes first."""
    coded = coded.canonical()
    places = [pair.index(text.lower()) for text in coded.texts]
    values = tuple(
        coded.texts[places.index(at)] if at in places else word for at, word in enumerate(pair)
    )
    return Column(coded.name, "binary", coded.spread(np.array(places, float)), values=values)


def as_category(coded: Coded) -> Column:
    """Return a column as texts in one spelling a value."""
    return Column(coded.name, "category", texts=coded.canonical().per_row())


def _numbers_in_text(coded: Coded, words: npt.NDArray[np.bool_]) -> Found:
    check_exact(coded)
    check_finite(coded)
    said = said_of_missing_words(coded, words) + said_of_points(coded)
    codes = matches(coded.values, r"^\d+[eE]\d+$")
    if codes.any() and matches(coded.values, r"^\d+([eE]\d+)?$").all():
        row, value = coded.row(codes)
        what = f"`{coded.name}` has `{value}` (row {row}), read as a number; if it is a code:"
        said += (f"{what} {kind_key(coded.name)}.",)
    found = find_number_kind(coded.name, coded.spread(coded.numbers))
    return Found(found.column, found.why, said + found.said, found.doubtful)


def said_of_missing_words(coded: Coded, words: npt.NDArray[np.bool_]) -> tuple[str, ...]:
    """Return the line that says which words among numbers are taken for missing."""
    if not words.any():
        return ()
    shown = ", ".join(f"`{coded.texts[at]}`" for at in np.flatnonzero(words)[:3])
    count = rows_of(int(coded.counts[words].sum()))
    what = f"`{coded.name}` is a number; {shown} in {count} taken for missing, else"
    return (f"{what} {kind_key(coded.name)}.",)


def find_number_kind(name: str, numbers: npt.NDArray[np.float64]) -> Found:
    """Return a column of finite numbers, (rows,) with NaN where missing, as number or binary."""
    known = numbers[~np.isnan(numbers)]
    if not len(known) or (len(known) == len(numbers) and known.min() == known.max()):
        return _without_news(name, [f"{it:.12g}" for it in known[:1]])
    if known.min() == 0 and known.max() == 1 and ((known == 0) | (known == 1)).all():
        return Found(Column(name, "binary", numbers, values=("0", "1")))
    doubt, line = doubtful_number(name, known)
    said = (*([line] if line else ()), *said_of_numbers(name, numbers, known))
    return Found(Column(name, "number", numbers), said=said, doubtful=doubt)


def _words(coded: Coded) -> Found:
    for check in (check_dates, check_plain, check_unmixed):
        check(coded)
    distinct, known = len(coded.texts), coded.known
    if known > _FEW_ROWS and distinct > known / 2:
        return _left_out(coded.name, f"an id, {distinct} values in {known} rows", keep=True)
    doubtful, said = said_of_category(coded)
    return Found(as_category(coded), said=said, doubtful=doubtful)
