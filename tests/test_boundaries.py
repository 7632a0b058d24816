"""Who may import what: leaves stay leaves, heavy frameworks stay in their files."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("gates", "tasks", "tracking", "sweeps")
HOMES = {
    "mlflow": ("tracking/mlflow_*.py",),
    "matplotlib": ("tracking/figures/*.py",),
    "ray": ("sweeps/tuning.py", "sweeps/tune_loop.py", "sweeps/cluster.py", "sweeps/nodes.py"),
}
"""Where alone a framework may be imported."""


def imports(path: Path) -> set[str]:
    """Return the top-level names of everything that a file imports anywhere."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return {name.partition(".")[0] for name in found}


def files() -> list[Path]:
    return sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def test_every_package_is_looked_at() -> None:
    assert {path.relative_to(ROOT).parts[0] for path in files()} == set(PACKAGES)


@pytest.mark.parametrize("leaf", ["gates", "tasks", "tracking"])
def test_leaves_import_no_other_package(leaf: str) -> None:
    others = set(PACKAGES) - {leaf}
    for path in (ROOT / leaf).rglob("*.py"):
        assert not imports(path) & others, path


@pytest.mark.parametrize("framework", HOMES)
def test_frameworks_stay_at_home(framework: str) -> None:
    users = [path.relative_to(ROOT) for path in files() if framework in imports(path)]
    assert users
    assert [path for path in users if not any(map(path.match, HOMES[framework]))] == []


def test_registry_and_conformance_need_the_standard_library_only() -> None:
    assert imports(ROOT / "registry.py") <= set(sys.stdlib_module_names)
    own = {"registry", "pytest"}  # pytest where a test is made, and only there
    assert imports(ROOT / "conformance.py") - own <= set(sys.stdlib_module_names)


@pytest.mark.parametrize("module", ["sweeps.training", "sweeps.work", "sweeps.sweep"])
def test_training_runs_without_ray_and_mlflow(module: str) -> None:
    code = f"import sys, {module}; print(sorted({{'ray', 'mlflow'}} & set(sys.modules)))"
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"
