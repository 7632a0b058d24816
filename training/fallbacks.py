"""Operations that torch cannot call for many models at once, of which it warns in its own words."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from gatelab.torch_words import FALLS_BACK

_OPERATION = re.compile(r"batching rule for (?:aten::)?(\w+)")


@contextmanager
def fallbacks(notes: list[str]) -> Iterator[None]:
    """Add a line for each such operation that is called meanwhile; other warnings come later."""
    caught: list[warnings.WarningMessage] = []
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.filterwarnings("always", FALLS_BACK, UserWarning)
            yield
    finally:
        ours = [warning for warning in caught if str(warning.message).startswith(FALLS_BACK)]
        names = (_OPERATION.search(str(warning.message)) for warning in ours)
        notes += dict.fromkeys(_line(name[1]) for name in names if name)
        for warning in caught:
            if warning not in ours:
                warnings.warn_explicit(
                    warning.message, warning.category, warning.filename, warning.lineno
                )


def _line(operation: str) -> str:
    """Return what to know of an operation, and what to write instead if it changes a tensor."""
    instead = operation.removesuffix("_")
    end = "" if instead == operation else f": try `{instead}`, which returns a new tensor"
    return (
        f"`{operation}` is called for one model after another, which takes longer, since torch "
        f"cannot call it for all at once{end}"
    )
