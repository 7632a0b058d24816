"""The forms that a table's options must have before anything is read."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from gatelab.rules import written
from gatelab.tasks.tables.contents import TableError


def check_forms(**options: object) -> None:
    """Check the forms of `kinds`, `drop`, `only`, `missing` and `reading`, those that are given.

    Raises:
        TableError: If one has another form than its values need.
    """
    for option, value in options.items():
        form, holds = _FORMS[option]
        if not holds(value):
            raise TableError(f"`{option}` must be {form}, but got {written(value)}.")


def plain_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return options as a spec writes them: lists, mappings of texts, and plain values."""
    plain: dict[str, Any] = json.loads(json.dumps(options, default=_plain))
    return plain


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Mapping):
        return dict(value)
    return list(value) if isinstance(value, Sequence) else str(value)


def _is_list(value: object) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _are_names(value: Any) -> bool:
    return _is_list(value) and all(isinstance(name, str) for name in value)


def _by_column(value: Any, holds: Callable[[object], bool]) -> bool:
    named = isinstance(value, Mapping) and all(isinstance(name, str) for name in value)
    return named and all(map(holds, value.values()))


_NAMES = "a list of columns, as [age, zone], a number in quotes"
_FORMS: Mapping[str, tuple[str, Callable[[Any], bool]]] = {
    "kinds": (
        "kinds by column, as {zone: category}, a number in quotes",
        lambda it: _by_column(it, lambda kind: isinstance(kind, str) or _is_list(kind)),
    ),
    "drop": (_NAMES, _are_names),
    "only": (_NAMES, lambda it: it is None or _are_names(it)),
    "missing": (
        'a list of values, as [-999, "?"], or such lists by column, as {age: [-999]}',
        lambda it: _is_list(it) or _by_column(it, _is_list),
    ),
    "reading": ("a mapping, as {delimiter: ;}", lambda it: isinstance(it, Mapping)),
}
