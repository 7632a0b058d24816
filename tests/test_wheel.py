"""What is installed: the packages of the tree, under one name."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from email.parser import Parser
from importlib import metadata
from pathlib import Path
from zipfile import ZipFile

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from gatelab.tracking.schema import FOLDER
from tests.commands import ROOT
from tests.user_names import SPEC, TRACE, traces, users_environment, write_packages

SETUPTOOLS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]


def modules() -> list[Path]:
    """Return the files of the tree, each where it is installed."""
    return [
        Path(*package.split(".")) / path.relative_to(ROOT / folder)
        for package, folder in SETUPTOOLS["package-dir"].items()
        for path in (ROOT / folder).rglob("*.py")
    ]


def templates() -> Iterator[str]:
    """Yield what `gatelab new` writes from, by its name where it is installed."""
    for path in (ROOT / "sweeps" / "cli" / "templates").rglob("*"):
        if path.is_file():
            yield f"gatelab/{path.relative_to(ROOT)}"


def packages() -> set[str]:
    """Return the packages of the tree by the names under which they are imported."""
    return {".".join(path.parent.parts) for path in modules() if path.name == "__init__.py"}


def test_pyproject_lists_the_packages_of_the_tree() -> None:
    assert SETUPTOOLS["packages"] == sorted(packages())
    assert {path.parent for path in modules()} == {Path(*it.split(".")) for it in packages()}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One built from what git knows, as from a fresh clone."""
    source, made = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    tracked = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    for name in filter(None, tracked.split("\0")):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, source / name)
    pip("wheel", "--no-build-isolation", "--wheel-dir", str(made), str(source))
    (found,) = made.glob("*.whl")
    return found


def pip(command: str, *arguments: str) -> None:
    line = [sys.executable, "-m", "pip", command, "--quiet", "--no-deps", *arguments]
    subprocess.run(line, check=True, timeout=120)


@pytest.mark.slow
def test_a_wheel_holds_gatelab_and_nothing_else(wheel: Path) -> None:
    names = set(ZipFile(wheel).namelist())
    assert {name.partition("/")[0] for name in names} == {"gatelab", "gatelab-0.1.0.dist-info"}
    assert {name for name in names if name.startswith("gatelab/")} == {
        *map(str, modules()),
        "gatelab/py.typed",
        "gatelab/results/report/page.html.j2",
        *templates(),
    }


@pytest.mark.slow
def test_a_wheel_needs_no_test_tools_and_no_database_server(wheel: Path) -> None:
    """Of all that is installed for developers, what the wheel itself leads to."""
    with ZipFile(wheel) as file:
        text = file.read("gatelab-0.1.0.dist-info/METADATA").decode()
    needed = closure(Parser().parsestr(text).get_all("Requires-Dist", []))
    assert {"torch", "ray", "mlflow", "optuna", "aiohttp"} <= needed
    for extra in ("cluster", "dev", "system"):
        own = {canonicalize_name(Requirement(it).name) for it in EXTRAS[extra]} - {
            "gatelab",
            *SHARED,
        }
        assert not own & needed, extra


@pytest.mark.slow
def test_a_wheel_says_what_it_is_without_the_repository(wheel: Path) -> None:
    """Nobody who has it alone can follow a link to a file."""
    with ZipFile(wheel) as file:
        told = Parser().parsestr(file.read("gatelab-0.1.0.dist-info/METADATA").decode())
    page = str(told.get_payload())
    assert "gatelab launch" in page and re.findall(r"\]\((?!https?://)[^)]*\)", page) == []
    assert told["License-Expression"] == "Apache-2.0"
    for key in ("Author", "Keywords", "Classifier", "Summary"):
        assert told[key], key


SHARED = ("aiohttp", "mlflow", "setuptools", "statsmodels")
"""What the wheel leads to by itself, and an extra names too."""
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]


def closure(requirements: list[str]) -> set[str]:
    """Return the names of what requirements lead to, as it is installed here."""
    found: set[str] = set()
    waiting = [(Requirement(line), {""}) for line in requirements]
    while waiting:
        one, extras = waiting.pop()
        if one.marker and not any(one.marker.evaluate({"extra": extra}) for extra in extras):
            continue
        name = canonicalize_name(one.name)
        key = f"{name}{sorted(one.extras)}"
        if key not in found:
            found |= {name, key}
            lines = metadata.requires(name) or []
            waiting += [(Requirement(line), {"", *one.extras}) for line in lines]
    return found


@pytest.mark.slow
@pytest.mark.ray
def test_a_wheel_sweeps_where_its_packages_names_are_taken(
    wheel: Path, put_store: Callable[[Path], Path], tmp_path: Path
) -> None:
    """With the user's modules as packages; tests/test_user_names.py has them as files."""
    site, work = tmp_path / "site", tmp_path / "work"
    pip("install", "--target", str(site), str(wheel))
    write_packages(work)
    put_store(work / FOLDER)
    (work / "small.yaml").write_text(SPEC.format(gate="tasks:mine", task="sweeps.inner:mytask"))
    launched = subprocess.run(
        [sys.executable, "-m", "gatelab", "launch", "small.yaml"],
        cwd=work,
        env=users_environment(PYTHONPATH=str(site)),
        capture_output=True,
        text=True,
        check=False,
        timeout=250,
    )
    assert launched.returncode == 0, launched.stdout + launched.stderr
    assert " failed: " not in launched.stdout
    ours = site / "gatelab" / "__init__.py"
    assert traces(work) == {
        f"{ours} {work / 'tasks' / '__init__.py'}",
        f"{ours} {work / 'sweeps' / 'inner.py'}",
    }
    assert len(list(work.glob(f"{TRACE}*"))) > 1, "in the driver and in workers"
