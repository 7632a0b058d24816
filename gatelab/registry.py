"""Names to classes: short names, or ``"package.module:name"`` keys that work in any process."""

from __future__ import annotations

import difflib
import importlib
import inspect
import re
import sys
from collections.abc import Callable, Iterable
from functools import cached_property
from importlib.metadata import entry_points
from pathlib import Path
from types import CodeType
from typing import Generic, TypeVar

from gatelab.foreign import ForeignError, foreign, told
from gatelab.modules import registers_nothing
from gatelab.own_modules import why_hidden
from gatelab.rules import shown
from gatelab.signatures import unusable

T = TypeVar("T")
C = TypeVar("C", bound=type)

CLASS_NAME = re.compile(r"\w[\w.-]*")
"""What a class may be called: a colon parts a module from it."""
INTERACTIVE = "__main__"
"""The module of what a notebook or a script defines, which no other process can import."""
NAMED = 40
"""So many valid names an error message lists at most: a sweep has hundreds of metrics."""


def near_misses(name: str, valid: Iterable[str]) -> str:
    """Return the end of an error message that names what the reader may have meant."""
    valid = sorted(valid)
    alike = [it for it in valid if it.casefold().strip() == name.casefold().strip()]
    near = alike[:3] or difflib.get_close_matches(name[:100], valid, n=3, cutoff=0.5)
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

    def __init__(self, kind: str, group: str = "", *, made_alike: bool = False) -> None:
        """Make an empty registry.

        Args:
            kind: The word its messages use.
            group: That of entry points, after ``gatelab.``; by default the kind and an s.
            made_alike: Whether all its classes are made with the same arguments.
        """
        self._made_alike = made_alike
        self.kind, self.group = kind, f"gatelab.{group or f'{kind}s'}"
        self._classes: dict[str, type[T]] = {}
        self._entered_by: dict[str, CodeType | None] = {}
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
            ValueError: If the name is none, or is taken, also by the same run of the same module;
                if the decorated object is no subclass of ``base``, or of another form than that.
        """
        self._check_name(name)

        def enter(cls: C) -> C:
            if not (inspect.isclass(cls) and issubclass(cls, base)):
                raise ValueError(
                    f"A {self.kind} must be a subclass of {base.__name__}, but {name!r} is {cls!r}."
                )
            if why := unusable(cls, base, constructor=self._made_alike):
                raise ValueError(f"{why}.")
            taken, code = self._classes.get(name), _code_of(cls)
            again = taken is not cls and code is not None and self._entered_by.get(name) is code
            if taken is not None and (_place(taken) != _place(cls) or again):
                raise ValueError(
                    f"{self.kind} {name!r} is registered twice: {_where(taken)} and {_where(cls)}."
                )
            self._classes[name] = cls
            self._entered_by[name] = code
            return cls  # type: ignore[return-value]  # issubclass narrowed it

        return enter

    def _check_name(self, name: object) -> None:
        if isinstance(name, type):
            form = f'@register_{self.kind}("a_name")'
            raise ValueError(f"a {self.kind} needs a name: write {form} above {name.__name__}.")
        if not (isinstance(name, str) and CLASS_NAME.fullmatch(name)):
            raise ValueError(
                f"the name of a {self.kind} must be letters, digits and `_.-`, the first no sign, "
                f"but got {shown(name)}."
            )

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
        if why := why_hidden(module.partition(".")[0]):
            raise ValueError(f"{self.kind} {shown(key)}: {why}")
        known = self._classes.get(name)
        # A module whose import was broken off has registered, and is imported again.
        there = module in sys.modules or name in self.handed
        if known is not None and known.__module__ == module and there:
            return known
        if module:
            silent = registers_nothing(module, f"register_{self.kind}")
            if silent and _beside(module):
                raise ValueError(self._unknown(key, name))
            if silent:
                raise ValueError(
                    f"{self.kind} {shown(key)}: nothing in {shown(silent)} calls "
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

    def _unknown(self, key: str, name: str) -> str:
        module = key.rpartition(":")[0]
        if key.startswith(f"{INTERACTIVE}:"):
            return (
                f"{self.kind} {shown(name)} was defined in a notebook or a script: define it in "
                "this process first, or write it into a module."
            )
        if beside := _beside(module or name):
            folder = beside.stem
            return (
                f"unknown {self.kind} {shown(key)}, but there is {beside}: `cd {folder}` first, "
                f"where its key is {f'{folder}:{name}'!r}."
            )
        if not module and (own := _of_a_module_here(name, f"register_{self.kind}")):
            return f"unknown {self.kind} {shown(key)}, but there is {own}.py: try '{own}:{name}'."
        if module and module in sys.modules:
            return self._not_of_module(key, module, name)
        names = self.names()
        broken = [why for which, why in self.broken.items() if which.endswith(f": {name}")]
        return (
            broken[0] if broken else f"unknown {self.kind} {shown(key)}; {near_misses(name, names)}"
        )

    def _not_of_module(self, key: str, module: str, name: str) -> str:
        """Return what is wrong with a key of a module that has been imported."""
        here = [n for n, cls in self._classes.items() if cls.__module__ == module]
        if here:
            near = near_misses(key, [f"{module}:{each}" for each in here])
            return f"unknown {self.kind} {shown(key)}; {near}"
        file = getattr(sys.modules[module], "__file__", None) or "no file"
        form = f'@register_{self.kind}("{name}")'
        return (
            f"unknown {self.kind} {shown(key)}: {shown(module)}, of {file}, registers no "
            f"{self.kind}: write {form} above the class."
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


def check_made_without(kind: str, name: str, cls: type) -> None:
    """Check that a class can be made without arguments, as a key in a spec gives none.

    Raises:
        ValueError: If its constructor asks for one.
    """
    unnamed = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    for parameter in inspect.signature(cls).parameters.values():
        if parameter.default is inspect.Parameter.empty and parameter.kind not in unnamed:
            raise ValueError(
                f"{kind} {name!r} is made without arguments, but {cls.__name__}'s constructor asks "
                f"for {parameter.name!r}: give it a default."
            )


def _code_of(cls: type) -> CodeType | None:
    """Return the code by whose run a class is entered, where that is its module's own."""
    frame = sys._getframe(1)
    while frame.f_back and frame.f_code.co_name != "<module>":
        frame = frame.f_back
    return frame.f_code if frame.f_globals.get("__name__") == cls.__module__ else None


def _place(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def _where(cls: type) -> str:
    """Return a class with its file, to tell two of one name apart."""
    module = inspect.getmodule(cls)
    return f"{_place(cls)} ({getattr(module, '__file__', None) or 'no file'})"


def _of_a_module_here(name: str, word: str) -> str:
    """Return the name of a module of this folder that registers something; else nothing."""
    file = Path(f"{name}.py")
    there = name.isidentifier() and file.is_file()
    return name if there and not registers_nothing(name, word) else ""


def _beside(module: str) -> Path | None:
    """Return the file of a module that lies in a folder of its name here, as `new gate` writes."""
    folder = module.partition(".")[0]
    file = Path(folder, f"{folder}.py")
    return file if file.is_file() else None
