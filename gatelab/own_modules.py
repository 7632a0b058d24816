"""The user's own modules: they come before installed ones, and hide none that gatelab needs."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from functools import cache
from importlib.machinery import ModuleSpec, PathFinder
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from types import ModuleType

_FOLDERS: list[str] = []
"""Where they lie, the first first."""
_REQUIREMENT = re.compile(r"([\w.-]+)\s*(?:\[([^]]*)\])?")
_EXTRA = re.compile(r"""extra == ["']([^"']+)""")


def find_in(folder: str) -> None:
    """Let this process find the modules of a folder, before those of folders named earlier.

    Python itself would put it before all others: a user's ``statistics.py`` or ``yaml.py`` would
    then be taken for the one that torch, Ray or MLflow imports. At the path's end are what the
    finder leaves out, as folders without an ``__init__.py``.
    """
    _FOLDERS[:] = [folder, *(place for place in _searched() if place != folder)]
    sys.path[:] = [*(place for place in sys.path if place not in _FOLDERS), *_FOLDERS]
    if _OwnFirst not in sys.meta_path:
        sys.meta_path.insert(0, _OwnFirst)


class _OwnFirst:
    """Finds the user's module of a name, where no other's must be found (``sys.meta_path``)."""

    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None = None, _: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the module; ``None`` leaves the search to the next finder."""
        if path is not None or name in sys.stdlib_module_names:
            return None
        found = PathFinder.find_spec(name, _searched())
        return None if found is None or found.loader is None or owner(name) else found


def _searched() -> list[str]:
    """Return the folders that are on the path still; who has taken one off wants none of it."""
    return [folder for folder in _FOLDERS if folder in sys.path]


def why_hidden(name: str) -> str:
    """Return why a user's module is not found, where there is one of this name; else nothing.

    Args:
        name: Of a top-level module.
    """
    found = PathFinder.find_spec(name, _searched() or [os.getcwd()])
    ours = name in ("", "gatelab")  # whose keys are good ones
    if ours or found is None or found.loader is None or not (whose := owner(name)):
        return ""
    return f"{found.origin} is hidden by the module {name!r} of {whose}: rename it."


def owner(name: str) -> str:
    """Return whose a top-level module's name is; nothing if a user's module may have it."""
    if name in sys.stdlib_module_names:
        return "Python's standard library"
    others = [place for place in sys.path if place not in _FOLDERS]
    if PathFinder.find_spec(name, others) is None:
        return ""  # the usual case; what follows reads the lists of all installed files
    return "a package that gatelab needs" if name in _needed() else ""


@cache
def _needed() -> frozenset[str]:
    """Return the top-level modules of the packages that gatelab requires, and that those do."""
    left, seen = [("gatelab", "")], set()
    while left:
        if (wanted := left.pop()) not in seen:
            seen.add(wanted)
            left += _required(*wanted)
    packages = {_normal(package) for package, _ in seen}
    installed = packages_distributions().items()
    return frozenset(name for name, by in installed if packages & {_normal(each) for each in by})


def _required(package: str, extra: str) -> list[tuple[str, str]]:
    """Return what a package requires, each with one of its extras or none (``""``)."""
    try:
        lines = requires(package) or []
    except PackageNotFoundError:
        return []
    found = []
    for line in lines:
        needs = _EXTRA.search(line)
        if (match := _REQUIREMENT.match(line)) and (needs[1] if needs else "") in ("", extra):
            extras = filter(None, re.split(r"[\s,]+", match[2] or ""))
            found += [(_normal(match[1]), each) for each in ("", *extras)]
    return found


def _normal(package: str) -> str:
    """Return a package's name as PEP 503 spells it."""
    return re.sub(r"[-_.]+", "-", package).lower()
