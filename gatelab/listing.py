"""What gatelab itself registers, read from its sources, whose import takes seconds."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from gatelab.modules import locate

_FOLDERS = {"gate": "gates", "task": "tasks", "metric": "tasks", "learner": "training.learners"}
"""By kind, the package whose modules register it."""


@dataclass(frozen=True)
class RegisteredClass:
    """A class that is registered."""

    name: str
    line: str
    """The first of its docstring."""
    data_sets: tuple[str, ...] = ()
    """The names of the published data sets whose files it reads."""


def read_registered(kind: str) -> list[RegisteredClass]:
    """Return what gatelab registers of a kind, sorted by name; nothing of other packages."""
    files = [path for place in locate(f"gatelab.{_FOLDERS[kind]}") for path in place.rglob("*.py")]
    found = (one for path in files for one in _registered(path, f"register_{kind}"))
    return sorted(found, key=lambda one: one.name)


def _registered(path: Path, decorator: str) -> Iterator[RegisteredClass]:
    """Yield the classes of a file that have a decorator with their names."""
    text = path.read_text(encoding="utf-8")
    if f"@{decorator}(" not in text:
        return
    tree = ast.parse(text)
    values = dict(_assigned(tree))
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            for call in node.decorator_list:
                if isinstance(call, ast.Call) and ast.unparse(call.func) == decorator:
                    line = (ast.get_docstring(node) or "").partition("\n")[0]
                    yield RegisteredClass(_first_text(call), line, _data_sets(node, values))


def _assigned(tree: ast.Module | ast.ClassDef) -> Iterator[tuple[str, ast.expr]]:
    for node in tree.body:
        if isinstance(node, ast.Assign):
            yield ast.unparse(node.targets[0]), node.value


def _data_sets(cls: ast.ClassDef, values: Mapping[str, ast.expr]) -> tuple[str, ...]:
    """Return the names of the data sets of a class: the first word of what makes each."""
    given = dict(_assigned(cls)).get("data_sets")
    if not isinstance(given, ast.Tuple):
        return ()
    makers = (values.get(ast.unparse(item), item) for item in given.elts)
    return tuple(_first_text(maker) for maker in makers if isinstance(maker, ast.Call))


def _first_text(call: ast.Call) -> str:
    """Return the first argument of a call, which is a text."""
    return str(ast.literal_eval(call.args[0]))
