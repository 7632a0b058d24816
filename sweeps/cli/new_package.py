"""A package of a user's own gate, task or learner: its folder, and how it is installed."""

from __future__ import annotations

import importlib.util
import keyword
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from string import Template
from typing import Any

from gatelab.registry import Registry

PYPROJECT = Template("""[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"

[project]
name = "$name"
version = "0.1.0"
description = "The $kind $name for gatelab."
readme = "README.md"
requires-python = ">=3.11"
dependencies = ["gatelab"]

[project.entry-points."gatelab.${kind}s"]
$name = "$name:$cls"

[tool.setuptools]
py-modules = ["$name"]
""")


def write_package(
    registry: Registry[Any], name: str, where: Path, files: Mapping[str, Template]
) -> Path:
    """Write files into a new folder, which has its name once they are all there.

    Args:
        registry: Of what the package holds, which a name must not be in.
        name: That of the class, its module and its package.
        where: The folder that gets the new one.
        files: Templates of ``$name``, ``$cls`` and ``$kind``, by the names of their files.

    Raises:
        ValueError: If the name cannot be all that, or is taken.
    """
    kind = registry.kind
    _check_name(registry, name, where)
    cls = "".join(part.title() for part in f"{name.removesuffix(f'_{kind}')}_{kind}".split("_"))
    words = {"name": name, "cls": cls, "kind": kind}
    folder, draft = where / name, where / f".{name}.draft"
    draft.mkdir(exist_ok=True)
    try:
        for file, template in {**files, "pyproject.toml": PYPROJECT}.items():
            text = template.substitute(words)
            text = _aligned(text) if file == "README.md" else text
            (draft / file).write_text(text, encoding="utf-8")
        draft.rename(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return folder


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
