"""What may mean other than it says: codes for missing, numbers for categories, spellings."""

from __future__ import annotations

import re
from collections import defaultdict

import numpy as np
import numpy.typing as npt

from gatelab.tasks.tables.coded import Coded, among, matches
from gatelab.tasks.tables.lines import drop_key, kind_key, missing_key, rows_of

MISSING_WORDS = ("na", "n/a", "#n/a", "<na>", "nan", "null", "none")
"""In lower case: missing in a column of numbers, values in one of words."""
DOUBTFUL_SIGNS = ("?", "-", "--", ".", "n.a.")
DOUBTFUL_WORDS = (*DOUBTFUL_SIGNS, "unknown", "missing", "nil", "not available")
"""In lower case; a sign hardly means itself, a word may."""
_NINES = (99.0, 999.0, 9999.0, 99999.0, 999999.0)
_ID = re.compile(r"(^|[\W_])(id|uid|key|index|nr|no)$|(?-i:[a-z](ID|Id))$", re.IGNORECASE)
"""How a column's name ends whose numbers are often names."""
_FEW_VALUES = 10
_ROWS_A_VALUE = 3


def doubtful_number(name: str, known: npt.NDArray[np.float64]) -> tuple[tuple[str, ...], str]:
    """Return the numbers that probably stand for none, and the line that says so.

    These are a lowest value of -1, -99, -999, ... below numbers that are all 0 or more, and a
    highest of 99, 999, ... in two rows or more that is over twice the next; never one of two.

    Args:
        name: The column's.
        known: Its numbers, (known,), at least one.
    """
    doubtful = tuple(f"{it:g}" for it in (_lowest(known), _highest(known)) if it is not None)
    if not doubtful:
        return (), ""
    count = int(np.isin(known, [float(it) for it in doubtful]).sum())
    shown = " and ".join(f"`{it}`" for it in doubtful)
    line = f"`{name}` has {shown} in {rows_of(count)}: missing? {missing_key(name, doubtful)}."
    return doubtful, line


def _lowest(known: npt.NDArray[np.float64]) -> float | None:
    lowest = float(known.min())
    if lowest == -1 and (known.max() <= 1 or (known != np.floor(known)).any()):
        return None  # -1, 0 and 1 are three answers, and measures may be below 0
    if lowest != -1 and -lowest not in _NINES:
        return None
    rest = known[known != lowest]
    one_value = not len(rest) or rest.min() == rest.max()
    return None if one_value or rest.min() < 0 else lowest


def _highest(known: npt.NDArray[np.float64]) -> float | None:
    highest = float(known.max())
    if highest not in _NINES:
        return None
    rest = known[known != highest]
    one_value = not len(rest) or rest.min() == rest.max()
    if one_value or len(known) - len(rest) < 2 or rest.max() * 2 > highest:
        return None
    return highest


def said_of_numbers(
    name: str, numbers: npt.NDArray[np.float64], known: npt.NDArray[np.float64]
) -> tuple[str, ...]:
    """Return what to say of a column of whole numbers: few values, rows' names, or dates."""
    if known[0] != np.floor(known[0]) or (known != np.floor(known)).any():
        return ()
    if _are_dates(known):
        what = f"`{name}` looks like dates ({known[0]:.0f}), but is read as a number"
        return (f"{what}: {drop_key(name)}, or make columns of your own (day, month, age).",)
    counts = len(known) == len(numbers) and (np.diff(numbers) == 1).all()
    if counts and (numbers[0] in (0, 1) or len(numbers) > _FEW_VALUES):
        return (f"`{name}` numbers the rows; {drop_key(name)} if it means nothing.",)
    if _ID.search(name) and len(known) > _FEW_VALUES and len(np.unique(known)) == len(known):
        return (f"`{name}` differs in all rows; {drop_key(name)} if it only names them.",)
    return said_of_few(name, known)


def _are_dates(known: npt.NDArray[np.float64]) -> bool:
    """Return whether whole numbers are all a year of 1900 to 2100, a month and a day: 20260131."""
    if known.min() < 19000101 or known.max() > 21001231:
        return False
    months, days = known // 100 % 100, known % 100
    return bool(((months >= 1) & (months <= 12) & (days >= 1) & (days <= 31)).all())


_THOUSANDS = r"^[+-]?[1-9]\d{0,2}\.\d{3}$"


def said_of_points(coded: Coded) -> tuple[str, ...]:
    """Return the line that asks whether points part thousands, as in 1.250 beside 980.

    So it may be where all that follow a point are three digits, also 0 at their end, which few
    programs write of a fraction.
    """
    points = matches(coded.values, r"\.")
    thousands = matches(coded.values, _THOUSANDS)
    zeros = matches(coded.values, r"\.\d\d0$")
    if not zeros.any() or (points & ~thousands).any():
        return ()
    row, value = coded.row(zeros)
    number = float(value)
    return (
        f"`{coded.name}` has `{value}` (row {row}), read as {number:g}; if points part thousands, "
        "write numbers without them.",
    )


def said_of_few(name: str, known: npt.NDArray[np.float64]) -> tuple[str, ...]:
    """Return the line that asks whether few whole numbers are a category."""
    if len(np.unique(known[:1000])) > _FEW_VALUES:
        return ()
    distinct = len(np.unique(known))
    if not 2 <= distinct <= _FEW_VALUES or len(known) < _ROWS_A_VALUE * distinct:
        return ()
    kind = "binary" if distinct == 2 else "category"
    return (f"`{name}` has {distinct} integers; {kind_key(name, kind)}?",)


def said_of_category(coded: Coded) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the words that may stand for none, and the lines to say of a category."""
    doubtful = among(coded.values, DOUBTFUL_WORDS)
    kept = among(coded.values, MISSING_WORDS)
    words = tuple(coded.texts[at] for at in np.flatnonzero(doubtful))
    said = [
        *_line(coded, doubtful, "missing?"),
        *_line(coded, kept, f"kept as values of {len(coded.texts)} categories;"),
        *_said_of_case(coded),
    ]
    if coded.spaced:
        said.append(f"`{coded.name}`: spaces around values stripped in {rows_of(coded.spaced)}.")
    return words, tuple(said)


def _line(coded: Coded, chosen: npt.NDArray[np.bool_], what: str) -> list[str]:
    if not chosen.any():
        return []
    words = [coded.texts[at] for at in np.flatnonzero(chosen)]
    shown = " and ".join(f"`{it}`" for it in words)
    count = rows_of(int(coded.counts[chosen].sum()))
    return [f"`{coded.name}` has {shown} in {count}: {what} {missing_key(coded.name, words)}."]


def _said_of_case(coded: Coded) -> list[str]:
    spellings: dict[str, list[str]] = defaultdict(list)
    for text in coded.texts:
        spellings[text.lower()].append(text)
    several = [group for group in spellings.values() if len(group) > 1]
    if not several:
        return []
    shown = " and ".join(f"`{it}`" for it in several[0])
    more = f", and {len(several) - 1} more" if len(several) > 1 else ""
    return [
        f"`{coded.name}`: {shown} differ by case only{more}; they stay {len(several[0])} values."
    ]
