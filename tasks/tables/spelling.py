"""One spelling a value: what makes 1, 1.0 and "1" one text, and a day and its midnight.

A copy of the rule stands in ``tracking/mlflow_serve.py``, which imports nothing of gatelab and
takes the patterns from a recipe.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

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
REWRITTEN = _NUMBERS + _TIMES
"""Patterns and what stands in their place, one after the other."""
FLOATS = r"^-?(\d(\.\d*)?[eE][+-]\d+|0\.0000\d+)$"
"""What is written, before these, as Python writes the same float64.

Programs write floats with an exponent from other sizes on; a code such as 1E5 has no sign.
"""


def canonical(values: pa.Array) -> pa.Array:
    """Return texts in one spelling a value, so that 1, 1.0 and "1" are the same category."""
    values = _floats_in_python(values)
    for pattern, written in REWRITTEN:
        values = pc.replace_substring_regex(values, pattern, written)
    return values


def _floats_in_python(texts: pa.Array) -> pa.Array:
    """Return texts with those that are floats as Python writes them."""
    found = pc.fill_null(pc.match_substring_regex(texts, FLOATS), False)
    numbers = np.asarray(texts.filter(found).cast(pa.float64()))
    return pc.replace_with_mask(texts, found, pa.array(numbers.astype(str), texts.type))
