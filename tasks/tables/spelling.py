"""One spelling a value: what makes 1, 1.0 and "1" one text, and a day and its midnight.

A copy of the rule stands in ``tracking/mlflow_serve.py``, which imports nothing of gatelab and
takes the patterns from a recipe.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


@dataclass(frozen=True)
class Spelling:
    """How texts come to one spelling a value."""

    rewritten: tuple[tuple[str, str], ...]
    """Patterns and what stands in their place, one after the other."""
    floats: str = r"[^\s\S]"
    """Before these, what is written as Python writes the same float64; by default nothing."""


_NUMBERS = (
    (r"^-(0(?:\.0*)?)$", r"\1"),
    (r"^([+-]?(?:0|[1-9]\d*))\.0*$", r"\1"),
    (r"^([+-]?(?:0|[1-9]\d*)\.\d*[1-9])0+$", r"\1"),
)
"""What writes 0 without a sign, and a number without zeros at its end."""
_DAY, _SECONDS = r"\d{4}-\d\d-\d\d", r"\d\d:\d\d:\d\d"
_TIMES = (
    (rf"^({_DAY})T({_SECONDS}.*)$", r"\1 \2"),
    (rf"^({_DAY} {_SECONDS}.*)\+00:?00$", r"\1Z"),
    (rf"^({_DAY} {_SECONDS}\.\d*[1-9])0+(Z?)$", r"\1\2"),
    (rf"^({_DAY} {_SECONDS})\.0+(Z?)$", r"\1\2"),
    (rf"^({_DAY}) 00:00:00$", r"\1"),
)
"""What writes a time in one way, whatever its unit, and midnight as a day."""
_PLAIN = Spelling(_NUMBERS + _TIMES, r"^-?(\d(\.\d*)?[eE][+-]\d+|0\.0000\d+)$")
"""Programs write floats with an exponent from other sizes on; a code such as 1E5 has no sign."""
AS_BEFORE = Spelling(_NUMBERS)
"""How they were spelled when older sweeps ran: floats and times as Arrow writes them."""
_CHOSEN: ContextVar[Spelling] = ContextVar("spelling", default=_PLAIN)


def chosen_spelling() -> Spelling:
    """Return the spelling that holds here."""
    return _CHOSEN.get()


@contextmanager
def spelled_by(spelling: Spelling) -> Iterator[None]:
    """Let another spelling hold."""
    token = _CHOSEN.set(spelling)
    try:
        yield
    finally:
        _CHOSEN.reset(token)


def canonical(values: pa.Array) -> pa.Array:
    """Return texts in one spelling a value, so that 1, 1.0 and "1" are the same category."""
    spelling = chosen_spelling()
    values = _floats_in_python(values, spelling.floats)
    for pattern, written in spelling.rewritten:
        values = pc.replace_substring_regex(values, pattern, written)
    return values


def _floats_in_python(texts: pa.Array, pattern: str) -> pa.Array:
    """Return texts with those that a pattern finds as Python writes their float64."""
    found = pc.fill_null(pc.match_substring_regex(texts, pattern), False)
    numbers = np.asarray(texts.filter(found).cast(pa.float64()))
    return pc.replace_with_mask(texts, found, pa.array(numbers.astype(str), texts.type))
