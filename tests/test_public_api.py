"""The public Python API: one name to import, everything in it there, and nothing loaded before."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import gatelab
from tests.commands import ROOT


def python(*arguments: str, folder: Path = ROOT) -> str:
    """Return what a Python without our checkout on its path says."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=kept,
        capture_output=True,
        text=True,
        check=True,
    ).stdout


@pytest.mark.parametrize("name", gatelab.__all__)
def test_every_name_is_there(name: str) -> None:
    assert getattr(gatelab, name).__name__ == name
    assert name in dir(gatelab)


def test_another_name_is_not_there() -> None:
    with pytest.raises(AttributeError, match="module 'gatelab' has no attribute 'lunch'"):
        _ = gatelab.lunch


def test_to_import_it_loads_nothing_heavy(tmp_path: Path) -> None:
    heavy = "{'torch', 'ray', 'mlflow', 'optuna', 'numpy', 'pydantic', 'matplotlib'}"
    code = f"import gatelab, sys; print(sorted({heavy} & set(sys.modules)), gatelab.__file__)"
    ours = ROOT / "gatelab" / "__init__.py"
    assert python("-c", code, folder=tmp_path) == f"[] {ours}\n"


def test_the_documentation_names_all_of_it() -> None:
    page = (ROOT / "docs" / "python.md").read_text()
    lines = [line for line in page.splitlines() if line.startswith("| `")]
    named = {word for line in lines for word in line.split("|")[1].replace("`", "").split(", ")}
    assert {word.strip() for word in named} == {*gatelab.__all__}


def test_the_module_is_the_command_also_beside_a_folder_of_its_name(tmp_path: Path) -> None:
    """Python takes such a folder for the package, before an editable install."""
    alone = python("-m", "gatelab", "--version", folder=tmp_path)
    assert alone.startswith("python -m gatelab, version ")
    (tmp_path / "gatelab").mkdir()
    assert python("-m", "gatelab", "--version", folder=tmp_path) == alone


@pytest.mark.slow
def test_the_module_helps() -> None:
    helped = python("-m", "gatelab", "--help")
    assert helped.startswith("Usage: python -m gatelab [OPTIONS] COMMAND")
    assert "launch" in helped
