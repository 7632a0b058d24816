"""Names to classes: short names, or ``"package.module:name"`` keys that work in any process."""

from __future__ import annotations

import ast
import difflib
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterable
from functools import cached_property
from importlib.metadata import entry_points
from pathlib import Path
from typing import Generic, TypeVar

from gatelab.foreign import ForeignError, foreign, told
from gatelab.rules import shown

T = TypeVar("T")
C = TypeVar("C", bound=type)

INTERACTIVE = "__main__"
"""The module of what a notebook or a script defines, which no other process can import."""
NAMED = 40
"""So many valid names an error message lists at most: a sweep has hundreds of metrics."""


def near_misses(name: str, valid: Iterable[str]) -> str:
    """Return the end of an error message that names what the reader may have meant."""
    valid = sorted(valid)
    near = difflib.get_close_matches(name[:100], valid, n=3, cutoff=0.5)
    if near:
        return f"did you mean {' or '.join(repr(n) for n in near)}?"
    more = f" and {len(valid) - NAMED} more" if len(valid) > NAMED + 1 else ""
    named = valid[:NAMED] if more else valid
    return f"valid: {', '.join(named) or 'none'}{more}."


class Registry(Generic[T]):
    """Classes of one kind by name: ours, those of installed packages, and those of any module.

    A package enters its own by entry points in a group such as ``gatelab.gates``, whose modules
    register them. They are loaded when a class is first asked for, in whatever process that is.
    """

    def __init__(self, kind: str, group: str = "") -> None:
        """Make an empty registry.

        Args:
            kind: The word its messages use.
            group: That of entry points, after ``gatelab.``; by default the kind and an s.
        """
        self.kind, self.group = kind, f"gatelab.{group or f'{kind}s'}"
        self._classes: dict[str, type[T]] = {}
        self.handed: set[str] = set()
        """The names of classes that were handed over, which no import of a module registers."""

    @cached_property
    def broken(self) -> dict[str, str]:
        """Why entry points of installed packages cannot be loaded, by package and name."""
        found = {}
        for entry in entry_points(group=self.group):
            try:
                with foreign():
                    entry.load()
            except ForeignError as error:  # concerns that module alone
                package = entry.dist.name if entry.dist else "?"
                found[f"{package}: {entry.name}"] = (
                    f"{self.kind} {entry.name!r} of package {package!r} cannot be loaded: "
                    f"{told(error.__cause__ or error)}"
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

    def hand(self, cls: type[T], base: type[T]) -> str:
        """Return the name of a class; one that has none is entered under its own.

        Raises:
            ValueError: As :meth:`register`.
        """
        known = (name for name, found in self._classes.items() if found is cls)
        name = next(known, None)
        if name is None:
            name = cls.__name__
            self.register(name, base)(cls)
            self.handed.add(name)
        return name

    def get(self, key: str) -> type[T]:
        """Return the class for a name, or for ``"package.module:name"`` after importing the module.

        To import is to execute: it is done where the package registers something of this kind, and
        not for a class that is there already.

        Raises:
            ValueError: If there is no such name, or its module cannot be imported.
        """
        module, _, name = key.rpartition(":")
        known = self._classes.get(name)
        if known is not None and known.__module__ == module:
            return known
        if module:
            if not self._registers(module):
                raise ValueError(
                    f"{self.kind} {shown(key)}: nothing in {shown(module.partition('.')[0])} calls "
                    f"register_{self.kind}, so it is not imported."
                )
            try:
                with foreign():
                    importlib.import_module(module)
            except ForeignError as error:  # an error in the module is what its author must see
                why = told(error.__cause__ or error)
                raise ValueError(
                    f"{self.kind} {shown(key)}: cannot import {shown(module)}: {why}"
                ) from error
        if name not in self._classes and name not in self.names():  # which loads the plug-ins
            raise ValueError(self._unknown(key, name))
        return self._classes[name]

    def _registers(self, module: str) -> bool:
        """Return whether a module may hold classes of this kind, without importing it."""
        if module in sys.modules:
            return True
        places = locate(module.partition(".")[0])
        found = [
            f for place in places for f in (place.rglob("*.py") if place.is_dir() else [place])
        ]
        files = [file for file in found if file.is_file()]  # a link may lead nowhere
        return not files or any(_names(file, f"register_{self.kind}") for file in files)

    def _unknown(self, key: str, name: str) -> str:
        module = key.rpartition(":")[0]
        if key.startswith(f"{INTERACTIVE}:"):
            return (
                f"{self.kind} {shown(name)} was defined in a notebook or a script: define it in "
                "this process first, or write it into a module."
            )
        folder = module.partition(".")[0] or name
        if (beside := Path(folder, f"{folder}.py")).is_file():
            return (
                f"unknown {self.kind} {shown(key)}, but there is {beside}: `cd {folder}` first, "
                f"where its key is {f'{folder}:{name}'!r}."
            )
        names = self.names()
        broken = [why for which, why in self.broken.items() if which.endswith(f": {name}")]
        return (
            broken[0] if broken else f"unknown {self.kind} {shown(key)}; {near_misses(name, names)}"
        )

    def interactive(self) -> dict[str, type[T]]:
        """Return by name the classes that no other process finds by importing a module."""
        return {
            name: cls
            for name, cls in self._classes.items()
            if cls.__module__ == INTERACTIVE or name in self.handed
        }

    def names(self) -> list[str]:
        """Return every registered name, sorted."""
        _ = self.broken  # asking loads what can be loaded
        return sorted(self._classes)


def locate(module: str) -> list[Path]:
    """Return the file of a top-level module, or the folders of a package; none if unknown."""
    try:
        found = importlib.util.find_spec(module)
    except (ImportError, ValueError):  # e.g. what runs as __main__
        return []
    if found is None:
        return []
    if found.submodule_search_locations is not None:
        return [Path(folder) for folder in found.submodule_search_locations]
    return [Path(found.origin)] if found.origin and Path(found.origin).is_file() else []


def _names(file: Path, word: str) -> bool:
    """Return whether the code of a file has a word, which comments and texts may have too."""
    content = file.read_bytes()
    if word.encode() not in content:
        return False
    try:
        nodes = list(ast.walk(ast.parse(content)))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return True  # nor can it be imported; that says why
    return any(
        word in (getattr(node, "id", ""), getattr(node, "attr", ""), getattr(node, "name", ""))
        for node in nodes
        if isinstance(node, (ast.Name, ast.Attribute, ast.alias))
    )


def _place(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def _where(cls: type) -> str:
    """Return a class with its file, to tell two of one name apart."""
    module = inspect.getmodule(cls)
    return f"{_place(cls)} ({getattr(module, '__file__', None) or 'no file'})"
