"""How a fault of a spec is told: of which key it is, and what to write."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from gatelab.foreign import ForeignError
from gatelab.registry import near_misses
from gatelab.rules import written
from gatelab.sweeps.spec.spec import Fault, SpecError
from gatelab.tasks.data_sets.data_set import DataError


def looked_up(path: str, get: Callable[[str], Any], key: str) -> Any:
    """Return what is registered by a key that stands at a path of the spec.

    Raises:
        SpecError: If nothing is.
    """
    try:
        return get(key)
    except ValueError as error:
        raise SpecError("", path, str(error)) from error


def check_known(path: str, given: Mapping[str, Any], valid: Any, of: str = "") -> None:
    """Check that all keys at a path of the spec are known, of what is named there, if anything is.

    Raises:
        SpecError: With each that is not, and what may be meant.
    """
    of = of and f" of {of}"
    raise_faults(
        (path, f"unknown key {written(name)}{of}; {near_misses(str(name), valid)}")
        for name in given
        if name not in valid
    )


def raise_faults(faults: Iterable[Fault]) -> None:
    """Raise a :class:`SpecError` of faults, if there is any."""
    if faults := list(faults):
        raise SpecError.of(faults)


@contextmanager
def blamed(path: str, options: Mapping[str, Any]) -> Iterator[None]:
    """Say of which option an error is: that which its message names first, and not as a value."""
    try:
        yield
    except ForeignError as error:
        text = str(error)
        if isinstance(error.__cause__, DataError):  # of a file, whoever reads it first
            raise SpecError("", "task", text) from error
        found = [
            (m.start(), n) for n in options if (m := re.search(rf"(?<!: )\b{re.escape(n)}\b", text))
        ]
        raise SpecError("", f"{path}.{min(found)[1]}" if found else path, text) from error
