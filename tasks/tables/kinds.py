"""The kind of a column that nobody asked for: found over all its values, or asked about."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gatelab.tasks.tables.coded import Coded, among, matches
from gatelab.tasks.tables.contents import Column, TableError
from gatelab.tasks.tables.doubts import (
    MISSING_WORDS,
    doubtful_number,
    said_of_category,
    said_of_numbers,
)
from gatelab.tasks.tables.identity import EXACT

PAIRS = (("false", "true"), ("no", "yes"), ("n", "y"), ("f", "t"), ("off", "on"), ("0", "1"))
"""Words of 0 and of 1, in lower case."""
_ZEROS = r"^[+-]?0\d+$"
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
_FORMATTED = r"^[€$£]?\s?[+-]?\d{1,3}([.,' ]?\d{3})*([.,]\d+)?\s?[%€$£]?$"
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
    left_out = _without_news(coded.name, coded.texts)
    if left_out:
        return left_out
    pair = pair_of(coded.texts)
    if pair:
        return Found(as_pair(coded, pair))
    digits = matches(coded.values, r"^[+-]?\d+$")
    if matches(coded.values, _ZEROS).any() and digits.mean() >= 0.5:
        said = f"`{coded.name}` is a category of {len(coded.texts)} (leading zeros)."
        return Found(as_category(coded), said=(said,))
    words = among(coded.values, MISSING_WORDS)
    if (~np.isnan(coded.numbers) | words).all() and not words.all():
        return _numbers_in_text(coded, words)
    return _words(coded)


def _without_news(name: str, distinct: list[str]) -> Found | None:
    """Return that a column is left out which holds no value, or one alone."""
    if not distinct:
        return _left_out(name, "all missing")
    if len(distinct) == 1:
        return _left_out(name, f"constant, always `{shown_text(distinct[0])}`")
    return None


def _left_out(name: str, why: str, key: str = "") -> Found:
    return Found(None, why, (f"`{name}` is left out: {why}{key}.",))


def shown_text(text: str) -> str:
    """Return a value as a line shows it."""
    text = " ".join(text.split())
    return text if len(text) <= _LONG_TEXT else f"{text[:_LONG_TEXT]}..."


def pair_of(texts: list[str]) -> tuple[str, str] | None:
    """Return the words of 0 and 1, in lower case, that these texts are, in any case."""
    lower = {text.lower() for text in texts}
    return next((pair for pair in PAIRS if lower == set(pair)), None)


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
    said = said_of_missing_words(coded, words)
    codes = matches(coded.values, r"^\d+[eE]\d+$")
    if codes.any() and matches(coded.values, r"^\d+([eE]\d+)?$").all():
        row, value = coded.row(codes)
        said += (
            f"`{coded.name}` has `{value}` (row {row}), read as a number; if it is a code: "
            f"`kinds: {{{coded.name}: category}}`.",
        )
    found = find_number_kind(coded.name, coded.spread(coded.numbers))
    return Found(found.column, found.why, said + found.said, found.doubtful)


def said_of_missing_words(coded: Coded, words: npt.NDArray[np.bool_]) -> tuple[str, ...]:
    """Return the line that says which words among numbers are taken for missing."""
    if not words.any():
        return ()
    shown = ", ".join(f"`{coded.texts[at]}`" for at in np.flatnonzero(words)[:3])
    return (
        f"`{coded.name}` is a number; {shown} in {int(coded.counts[words].sum())} rows taken for "
        f"missing, else `kinds: {{{coded.name}: category}}`.",
    )


def check_exact(coded: Coded) -> None:
    """Check that no whole number is rounded as float64.

    Raises:
        TableError: If one would be.
    """
    past = np.abs(coded.numbers) >= EXACT
    past &= matches(coded.values, r"^[+-]?\d+$")
    for at in np.flatnonzero(past):
        past[at] = abs(int(coded.texts[at])) > EXACT
    if past.any():
        row, value = coded.row(past)
        raise past_exact(coded.name, row, value)


def past_exact(name: str, row: int, value: str) -> TableError:
    """Return the question that a whole number past 2^53 asks."""
    return TableError(
        f"`{name}` has {value} (row {row}), past 2^53, where numbers round: "
        f"`kinds: {{{name}: category}}` or `drop: [{name}]`?"
    )


def check_finite(coded: Coded) -> None:
    """Check that no number is infinite.

    Raises:
        TableError: If one is.
    """
    infinite = np.isinf(coded.numbers)
    if infinite.any():
        row, value = coded.row(infinite)
        raise infinite_number(coded.name, row, value)


def infinite_number(name: str, row: int, value: str) -> TableError:
    """Return the refusal of an infinite number."""
    return TableError(
        f"`{name}` has an infinite number, {value} (row {row}): "
        f"`missing: {{{name}: [inf]}}` takes it for missing."
    )


def find_number_kind(name: str, numbers: npt.NDArray[np.float64]) -> Found:
    """Return a column of finite numbers, (rows,) with NaN where missing, as number or binary."""
    known = numbers[~np.isnan(numbers)]
    if not len(known) or known.min() == known.max():
        left_out = _without_news(name, [f"{it:.12g}" for it in known[:1]])
        assert left_out is not None
        return left_out
    if known.min() == 0 and known.max() == 1 and ((known == 0) | (known == 1)).all():
        return Found(Column(name, "binary", numbers, values=("0", "1")))
    doubt, line = doubtful_number(name, known)
    said = (*([line] if line else ()), *said_of_numbers(name, numbers, known))
    return Found(Column(name, "number", numbers), said=said, doubtful=doubt)


def _words(coded: Coded) -> Found:
    check_dates(coded)
    _check_formatted(coded)
    _check_mixed(coded)
    lengths = [len(text) for text in coded.texts]
    if np.average(lengths, weights=coded.counts) > _LONG_TEXT or any(
        "\n" in it for it in coded.texts
    ):
        return _left_out(coded.name, "text", f"; `kinds: {{{coded.name}: category}}` keeps it")
    distinct, known = len(coded.texts), coded.known
    if known > _FEW_ROWS and distinct > known / 2:
        why = f"an id, {distinct} values in {known} rows"
        return _left_out(coded.name, why, f"; `kinds: {{{coded.name}: category}}` keeps it")
    doubtful, said = said_of_category(coded)
    return Found(as_category(coded), said=said, doubtful=doubtful)


def check_dates(coded: Coded) -> None:
    """Check that a column is none of dates or times.

    Raises:
        TableError: If at least half its rows look like one.
    """
    dates = matches(coded.values, _DATES)
    if coded.counts[dates].sum() * 2 >= coded.known:
        raise date_feature(coded.name, *coded.row(dates))


def date_feature(name: str, row: int, value: str) -> TableError:
    """Return the refusal of a date as a feature."""
    return TableError(
        f"`{name}` looks like dates (`{value}`, row {row}), which are no feature: "
        f"`drop: [{name}]`, or make columns of your own (day, month, hour, age)."
    )


def _check_formatted(coded: Coded) -> None:
    """Ask about numbers with signs for thousands, money or percent."""
    formatted = matches(coded.values, _FORMATTED)
    odd = formatted & np.isnan(coded.numbers)
    if odd.any() and coded.counts[formatted].sum() * 2 >= coded.known:
        row, value = coded.row(odd)
        raise TableError(
            f"`{coded.name}` has `{value}` (row {row}): write plain numbers, "
            f'`reading: {{decimal: ","}}`, or `kinds: {{{coded.name}: category}}`.'
        )


def _check_mixed(coded: Coded) -> None:
    """Ask about a column that is mostly numbers, by its first word."""
    words = np.isnan(coded.numbers)
    numbers = int(coded.counts[~words].sum())
    if numbers and numbers * 2 >= coded.known:
        words &= ~among(coded.values, MISSING_WORDS)
        row, value = coded.row(words)
        word = shown_text(value)
        raise TableError(
            f"`{coded.name}` has {numbers} numbers and `{word}` (row {row}): "
            f'`missing: {{{coded.name}: ["{word}"]}}` or `kinds: {{{coded.name}: category}}`?'
        )
