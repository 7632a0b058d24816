"""Names to classes: short names, or ``"package.module:name"`` keys that work in any process."""

from __future__ import annotations

import difflib
import importlib
import inspect
from collections.abc import Callable, Iterable
from functools import cached_property
from importlib.metadata import entry_points
from typing import Generic, TypeVar

T = TypeVar("T")
C = TypeVar("C", bound=type)


def near_misses(name: str, valid: Iterable[str]) -> str:
    """Return the end of an error message that names what the reader may have meant."""
    valid = sorted(valid)
    near = difflib.get_close_matches(name, valid, n=3, cutoff=0.5)
    if near:
        return f"did you mean {' or '.join(repr(n) for n in near)}?"
    return f"valid: {', '.join(valid) or 'none'}."


class Registry(Generic[T]):
    """Classes of one kind by name: ours, those of installed packages, and those of any module.

    A package enters its own by entry points in the group ``gatelab.<kind>s``, whose modules
    register them. They are loaded when a class is first asked for, in whatever process that is.
    """

    def __init__(self, kind: str) -> None:
        """Make an empty registry; ``kind`` is the word its messages use."""
        self.kind = kind
        self._classes: dict[str, type[T]] = {}

    @cached_property
    def broken(self) -> dict[str, str]:
        """Why entry points of installed packages cannot be loaded, by package and name."""
        found = {}
        for entry in entry_points(group=f"gatelab.{self.kind}s"):
            try:
                entry.load()
            except Exception as error:  # whatever a stranger's module raises concerns it alone
                package = entry.dist.name if entry.dist else "?"
                found[f"{package}: {entry.name}"] = (
                    f"{self.kind} {entry.name!r} of package {package!r} cannot be loaded: "
                    f"{_one_line(error)}"
                )
        return found

    def register(self, name: str, base: type[T]) -> Callable[[C], C]:
        """Return a class decorator that enters a subclass of ``base`` under ``name``.

        Raises:
            ValueError: If the name is taken, or the decorated object is no subclass of ``base``.
        """

        def enter(cls: C) -> C:
            if not (inspect.isclass(cls) and issubclass(cls, base)):
                raise ValueError(
                    f"A {self.kind} must be a subclass of {base.__name__}, but {name!r} is {cls!r}."
                )
            taken = self._classes.get(name)
            if taken is not None and _place(taken) != _place(cls):
                raise ValueError(
                    f"{self.kind} {name!r} is registered twice: {_where(taken)} and {_where(cls)}."
                )
            self._classes[name] = cls
            return cls  # type: ignore[return-value]  # issubclass narrowed it

        return enter

    def get(self, key: str) -> type[T]:
        """Return the class for a name, or for ``"package.module:name"`` after importing the module.

        Raises:
            ValueError: If there is no such name, or its module cannot be imported.
        """
        module, _, name = key.rpartition(":")
        if module:
            try:
                importlib.import_module(module)
            except Exception as error:  # an error in the module is what its author must see
                raise ValueError(
                    f"{self.kind} {key!r}: cannot import {module!r}: {_one_line(error)}"
                ) from error
        if name not in self._classes and name not in self.names():  # which loads the plug-ins
            raise ValueError(self._unknown(key, name))
        return self._classes[name]

    def _unknown(self, key: str, name: str) -> str:
        names = self.names()
        broken = [why for which, why in self.broken.items() if which.endswith(f": {name}")]
        return broken[0] if broken else f"unknown {self.kind} {key!r}; {near_misses(name, names)}"

    def names(self) -> list[str]:
        """Return every registered name, sorted."""
        _ = self.broken  # asking loads what can be loaded
        return sorted(self._classes)


def _place(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def _where(cls: type) -> str:
    """Return a class with its file, to tell two of one name apart."""
    module = inspect.getmodule(cls)
    return f"{_place(cls)} ({getattr(module, '__file__', None) or 'no file'})"


def _one_line(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
