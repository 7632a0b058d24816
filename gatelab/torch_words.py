"""What torch's messages mean to who wrote the code in which they were raised."""

from __future__ import annotations

from collections.abc import Sequence

from gatelab.foreign import place_of, text_of, told

BRANCHES = ("data-dependent control flow", ".item() on a Tensor", ".item() cannot be called")
"""What torch says, stacked or without data, where Python asks for a tensor's value."""
MIXED = (
    "expected scalar type",
    "expected m1 and m2 to have the same dtype",
    "must have the same dtype",
    "source and destination dtypes match",
)
"""What torch says where numbers of two types meet, in a product or in one tensor."""
WRITTEN_INTO = (
    "is not possible because there exists a Tensor",
    "inplace randomness on an unbatched",
)
"""What torch says where numbers that each model has of its own go into a tensor of all models."""
FALLS_BACK = "There is a performance drop because we have not yet implemented"
"""How torch begins to warn of an operation that it calls for one model after another."""
_BRANCHES = (
    "an `if` on a tensor, or `.item()`, `bool()` or `float()` of one: `torch.where` chooses by "
    "element"
)
_MIXES = "numbers of two types, as after `.double()` or of a tensor made without the input's dtype"
_WRITTEN_INTO = (
    "`y[i] = v`, `y.scatter_` or `y.uniform_` of a tensor that is made in forward, as by "
    "`torch.zeros`: what returns a new one, as `scatter`, `torch.where` or `torch.rand_like`, can "
    "be stacked"
)


def asks_for_a_value(error: BaseException) -> bool:
    """Return whether an error is torch's where Python asks for the value of a tensor."""
    return _says(error, BRANCHES)


def found_and_cause(error: BaseException) -> tuple[str, str] | None:
    """Return what an error of torch's is in plain words, and what it most likely comes from.

    Returns:
        ``None`` for an error that says itself what it is.
    """
    if _says(error, MIXED):
        return f"raised {told(error)}", _MIXES
    if _says(error, BRANCHES):
        return f"Python asks for the value of a tensor{_where(error)}", _BRANCHES
    if _says(error, WRITTEN_INTO):
        return f"a tensor that all models share is written into{_where(error)}", _WRITTEN_INTO
    return None


def _says(error: BaseException, signs: Sequence[str]) -> bool:
    text = text_of(error)  # of a stranger's error, whose `__str__` may raise
    return any(sign in text for sign in signs)


def _where(error: BaseException) -> str:
    place = place_of(error)
    return f" ({place.filename}, line {place.lineno})" if place else ""
