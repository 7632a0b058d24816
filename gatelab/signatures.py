"""Signatures: whether what a class overrides can be used as its base's is."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from inspect import Parameter, get_annotations, signature
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any

_METHODS = (FunctionType, MethodType, BuiltinFunctionType)
_MORE = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)


def unusable(cls: type, base: type, *, constructor: bool = False) -> str:
    """Return which attribute of a class cannot be used as its base's is; empty: none.

    Python says it where a method is called, which is no place in the class's own code; and of a
    method in the place of a value nothing, for it counts as true, as does a property in the place
    of what is read of the class, a ``ClassVar``.

    Args:
        cls: Of somebody's own.
        base: Whose attributes it may override; those that begin with ``_`` are its own.
        constructor: Whether it must be made as its base is, too.
    """
    of_class = {n for n, kind in get_annotations(base).items() if str(kind).startswith("ClassVar")}
    for name in vars(base):
        if name.startswith("_") and not (constructor and name == "__init__"):
            continue
        own, due = getattr(cls, name), getattr(base, name)
        if why := _misfit_method(own, due) if _is_method(due) else _misfit(own, name in of_class):
            return f"`{cls.__name__}.{name}` must {why}"
    return ""


def _is_method(attribute: Any) -> bool:
    return isinstance(attribute, _METHODS)


def _misfit(own: Any, of_class: bool) -> str:
    """Return what an attribute that is no method must be, and is not; empty where it is."""
    due = "be a value of the class" if of_class else "be a value or a property"
    if _is_method(own):
        return f"{due}, but is a method{_where(own)}"
    made = of_class and hasattr(type(own), "__get__")
    return f"{due}, but is a property{_where(own)}" if made else ""


def _misfit_method(own: Any, due: Any) -> str:
    """Return what a method must be or take, and what it is or takes instead; empty if as due."""
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
    function = getattr(own, "__func__", getattr(own, "fget", own))
    if not isinstance(function, FunctionType):
        return ""
    return f" ({function.__code__.co_filename}, line {function.__code__.co_firstlineno})"
