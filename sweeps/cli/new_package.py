"""A package of a user's own gate, task or learner: its folder, and how it is installed."""

from __future__ import annotations

import importlib.util
import keyword
import os
import re
from collections.abc import Iterator
from pathlib import Path
from string import Template
from typing import Any

from gatelab.durable import draft_of
from gatelab.registry import Registry

TEMPLATES = Path(__file__).with_name("templates")
"""A folder for each kind with the files of its package, and what every package has.

Code ends in ``.py.template``: it is no module of ours, though ruff reads it as one.
"""


class _Named(Template):
    """A text with ``template_name``, ``template_cls``, ``template_kind``: names in Python too."""

    delimiter = "template_"


def write_package(registry: Registry[Any], name: str, where: Path) -> Path:
    """Write a package into a new folder, which has its name once all its files are there.

    It passes every check before a line is changed.

    Args:
        registry: Of what the package holds, which a name must not be in.
        name: That of the class, its module and its package.
        where: The folder that gets the new one.

    Raises:
        ValueError: If the name cannot be all that, or is taken.
    """
    _check_name(registry, name, where)
    with draft_of(where / name) as draft:
        draft.mkdir()
        for file, text in _files(registry.kind, name):
            (draft / file).write_text(text, encoding="utf-8")
    return where / name


def _files(kind: str, name: str) -> Iterator[tuple[str, str]]:
    """Yield the names of the files of a package, and what is in each."""
    cls = "".join(part.title() for part in f"{name.removesuffix(f'_{kind}')}_{kind}".split("_"))
    words = {"name": name, "cls": cls, "kind": kind}
    for path in (TEMPLATES / "pyproject.toml", *(TEMPLATES / kind).iterdir()):
        file, text = path.name.removesuffix(".template"), path.read_text(encoding="utf-8")
        text = _Named(text).substitute(words)
        yield _Named(file).substitute(words), _aligned(text) if file == "README.md" else text


def _aligned(text: str) -> str:
    """Return a text with what its commands do in one column, however long their names are."""
    lines = [line.partition("  # ") for line in text.split("\n")]
    wide = max(len(command.rstrip()) for command, mark, _ in lines if mark)
    return "\n".join(
        f"{command.rstrip():{wide}}   # {said}" if mark else command
        for command, mark, said in lines
    )


def _check_name(registry: Registry[Any], name: str, where: Path) -> None:
    kind = registry.kind
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or keyword.iskeyword(name):
        raise ValueError(
            f"a {kind}'s name must be lower-case letters, digits and `_`, and no word of "
            f"Python's, but got {name!r}."
        )
    if name in registry.names():
        raise ValueError(
            f"{kind} {name!r} is there already: `gatelab show {kind} {name}` shows it."
        )
    if os.path.lexists(where / name):  # a link that leads nowhere, too
        raise ValueError(f"{where / name} is there already; choose another name or folder.")
    if importlib.util.find_spec(name) is not None:
        raise ValueError(f"{name!r} is the name of an installed module; choose another name.")
