"""Modules told by their text, without importing them: where they lie, and whether one registers."""

from __future__ import annotations

import ast
import importlib.util
import sys
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from os.path import isfile
from pathlib import Path

_BY_NAME = ("import_module", "__import__", "iter_modules", "walk_packages")
"""What imports modules that no text names."""


def locate(module: str) -> list[Path]:
    """Return the file of a top-level module, or the folders of a package; none if unknown."""
    found = _found(module)
    if found is None:
        return []
    if found.submodule_search_locations is not None:
        return [Path(folder) for folder in found.submodule_search_locations]
    return [Path(found.origin)] if found.origin and Path(found.origin).is_file() else []


def _found(module: str) -> ModuleSpec | None:
    try:
        return importlib.util.find_spec(module)
    except (ImportError, ValueError):  # e.g. what runs as __main__
        return None


def registers_nothing(module: str, word: str) -> str:
    """Return what holds no call that registers: the package of a module, or the module.

    A module may also import another of its package that does. Empty where one does, or where that
    cannot be told: the import will say why.

    Args:
        module: By its full name.
        word: The function's name, which comments and texts may have too.
    """
    top, *below = module.split(".")
    if module in sys.modules:
        return ""
    if not (places := locate(top)):
        found = _found(top)
        return top if found is not None and found.origin in ("built-in", "frozen") else ""
    if not _has(places, word):
        return top
    # What is called so is made to be run, and does something.
    return module if "__main__" in below or not _reaches(module, word) else ""


def _has(places: list[Path], word: str) -> bool:
    """Return whether any file of a package has a word."""
    found = [f for place in places for f in (place.rglob("*.py") if place.is_dir() else [place])]
    return any(word.encode() in _bytes(file) for file in found)


def _bytes(file: Path) -> bytes:
    """Return a file's content; nothing of a link that leads nowhere, or that nobody may read."""
    try:
        return file.read_bytes()
    except OSError:
        return b""


def _reaches(module: str, word: str) -> bool:
    """Return whether a word is used by a module, or by those of its package that it imports."""
    seen: set[str] = set()
    left = [module]
    while left:
        name = left.pop()
        file = None if name in seen else _file(name)
        seen.add(name)
        if file is None:
            continue
        try:
            tree = ast.parse(file.read_bytes())
        except (SyntaxError, ValueError, RecursionError, MemoryError, OSError):
            return True  # nor can it be imported; that says why
        if any(_uses(node, (word, *_BY_NAME)) for node in ast.walk(tree)):
            return True
        package = name if file.name == "__init__.py" else name.rpartition(".")[0]
        top = name.partition(".")[0]
        left += [n for n in _imported(tree, package) if n.partition(".")[0] == top]
    return False


def _file(module: str) -> Path | None:
    """Return the file of a module in a package; None of what has no text, as a mere folder."""
    top, *below = module.split(".")
    for place in locate(top):
        path = place.joinpath(*below)
        named = [path / "__init__.py", path.with_name(f"{path.name}.py")] if below else [place]
        for file in (*named, path / "__init__.py"):
            if isfile(file):  # pathlib's raises where a name is too long
                return file
    return None


def _uses(node: ast.AST, words: tuple[str, ...]) -> bool:
    if not isinstance(node, (ast.Name, ast.Attribute, ast.alias)):
        return False
    return any(getattr(node, part, None) in words for part in ("id", "attr", "name"))


def _imported(tree: ast.AST, package: str) -> Iterator[str]:
    """Yield the modules that a text imports, and what may be one."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1]
            start = [*(above if node.level else ()), *filter(None, [node.module])]
            yield ".".join(start)
            yield from (".".join([*start, each.name]) for each in node.names)
