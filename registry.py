"""Names to classes: short names, or ``"package.module:name"`` keys that work in any process."""

from __future__ import annotations

import difflib
import importlib
import inspect
from collections.abc import Callable, Iterable
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
    """Classes of one kind by name."""

    def __init__(self, kind: str) -> None:
        """Make an empty registry; ``kind`` is the word its messages use."""
        self.kind = kind
        self._classes: dict[str, type[T]] = {}

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
                    f"{self.kind} {name!r} is registered twice: {_place(taken)} and {_place(cls)}."
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
            except ImportError as error:
                raise ValueError(
                    f"{self.kind} {key!r}: cannot import {module!r}: {error}"
                ) from error
        if name not in self._classes:
            raise ValueError(f"unknown {self.kind} {key!r}; {near_misses(name, self._classes)}")
        return self._classes[name]

    def names(self) -> list[str]:
        """Return every registered name, sorted."""
        return sorted(self._classes)


def _place(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"
