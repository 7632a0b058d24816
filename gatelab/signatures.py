"""Signatures: whether what a class overrides can be used as its base's is."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from inspect import Parameter, signature
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any

_METHODS = (FunctionType, MethodType, BuiltinFunctionType)
_MORE = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)


def unusable(cls: type, base: type, *, constructor: bool = False) -> str:
    """Return which attribute of a class cannot be used as its base's is; empty: none.

    Python says it where a method is called, which is no place in the class's own code; and of a
    method in the place of a value nothing, for it counts as true.

    Args:
        cls: Of somebody's own.
        base: Whose attributes it may override; those that begin with ``_`` are its own.
        constructor: Whether it must be made as its base is, too.
    """
    for name in vars(base):
        if name.startswith("_") and not (constructor and name == "__init__"):
            continue
        if why := _misfit(getattr(cls, name), getattr(base, name)):
            return f"`{cls.__name__}.{name}` must {why}"
    return ""


def _misfit(own: Any, due: Any) -> str:
    """Return what an attribute must be or take, and what instead; empty where it does as due."""
    if not isinstance(due, _METHODS):
        method = f"be a value or a property, but is a method{_where(own)}"
        return method if isinstance(own, _METHODS) else ""
    if not callable(own):
        return "be a method, but is a value or a property"
    parameters = list(signature(due).parameters.values())
    if _takes(own, parameters):
        return ""
    words = f"{_words(signature(own).parameters.values())}{_where(own)}"
    return f"take {_words(parameters)}, but takes {words}"


def _takes(own: Callable[..., Any], parameters: Iterable[Parameter]) -> bool:
    named = {p.name: p for p in parameters if p.kind is Parameter.KEYWORD_ONLY}
    try:
        takes = signature(own)
    except ValueError:  # it has none, as what is written in C
        return True
    try:
        plain = (p for p in parameters if p.name not in named and p.kind not in _MORE)
        takes.bind(*plain, **named)
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
