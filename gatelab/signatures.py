"""Signatures: whether what a class overrides can be called as its base's is."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from inspect import Parameter, isroutine, signature
from types import FunctionType
from typing import Any


def uncallable(cls: type, base: type) -> str:
    """Return which method of a class cannot be called as its base's is; empty: none.

    Python says it where the method is called, which is no place in the class's own code.

    Args:
        cls: Of somebody's own.
        base: Whose methods it may override; those that begin with ``_`` are its own, but for
            ``__init__``.
    """
    for name in vars(base):
        due = getattr(base, name)
        if not isroutine(due) or (name.startswith("_") and name != "__init__"):
            continue
        parameters = list(signature(due).parameters.values())
        own = getattr(cls, name)
        if callable(own) and not _takes(own, parameters):
            words = f"{_words(signature(own).parameters.values())}{_where(own)}"
            return f"`{cls.__name__}.{name}` must take {_words(parameters)}, but takes {words}"
    return ""


def _takes(own: Callable[..., Any], parameters: Iterable[Parameter]) -> bool:
    named = {p.name: p for p in parameters if p.kind is Parameter.KEYWORD_ONLY}
    try:
        takes = signature(own)
    except ValueError:  # it has none, as what is written in C
        return True
    try:
        takes.bind(*(p for p in parameters if p.name not in named), **named)
    except TypeError:
        return False
    return True


def _words(parameters: Iterable[Parameter]) -> str:
    """Return parameters as they are written, without their types."""
    plain = [p.replace(annotation=Parameter.empty) for p in parameters]
    return f"`({', '.join(map(str, plain))})`"


def _where(own: object) -> str:
    function = getattr(own, "__func__", own)
    if not isinstance(function, FunctionType):
        return ""
    return f" ({function.__code__.co_filename}, line {function.__code__.co_firstlineno})"
