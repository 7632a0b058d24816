"""What most likely lies behind an error that a network raises."""

from __future__ import annotations

from gatelab.foreign import text_of

_OF_TYPES = ("dtype", "datatype", "Input type", "not implemented for '")
"""What torch's complaints of types of numbers have in common."""
_OF_DIMENSIONS = ("Dimension out of range", "too many indices")
_OF_IDS = "of the following scalar types: Long"


def cause_of(error: BaseException) -> str:
    """Return the likely cause of what a module raises in a pass."""
    text = text_of(error)
    if any(sign in text for sign in _OF_DIMENSIONS):
        return "a dimension that its input lacks: the first is rows, the others as a split has them"
    if isinstance(error, IndexError):
        return "an id that is not below the size of its embedding, or a column that there is not"
    if _OF_IDS in text:
        return "floats where ids are due, which a split keeps where they are whole numbers"
    if any(sign in text for sign in _OF_TYPES):
        return "two types of numbers: a split's floats are float32, its bytes stay until `.float()`"
    own = isinstance(error, NotImplementedError) or not isinstance(error, RuntimeError | ValueError)
    if own:
        return "a mistake in its own code"
    return "sizes that do not fit those before it, or a statistic of the batch"
