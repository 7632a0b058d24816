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
    "ray": (
        "sweeps/tuning.py",
        "sweeps/tune_loop.py",
        "sweeps/cluster/client.py",
        "sweeps/cluster/nodes.py",
    ),
}
"""Where alone a framework may be imported."""
STAGES = ("spec", "search", "training", "cluster", "results", "cli")
"""The packages in sweeps/, in the order in which data flows."""


def imports(path: Path) -> set[str]:
    """Return the top-level names of everything that a file imports anywhere."""
    return {name.partition(".")[0] for name in modules(path)}


def modules(path: Path) -> set[str]:
    """Return the modules that a file imports anywhere, or imports from."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


def files() -> list[Path]:
    return sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def test_every_package_is_looked_at() -> None:
    assert {path.relative_to(ROOT).parts[0] for path in files()} == set(PACKAGES)


@pytest.mark.parametrize("leaf", ["gates", "tasks", "tracking"])
def test_leaves_import_no_other_package(leaf: str) -> None:
    others = set(PACKAGES) - {leaf}
    for path in (ROOT / leaf).rglob("*.py"):
        assert not imports(path) & others, path


@pytest.mark.parametrize("stage", STAGES)
def test_data_flows_one_way(stage: str) -> None:
    later = {f"sweeps.{it}" for it in STAGES[STAGES.index(stage) + 1 :]}
    found = sorted((ROOT / "sweeps" / stage).glob("*.py"))
    assert len(found) > 1
    for path in found:
        assert not {".".join(it.split(".")[:2]) for it in modules(path)} & later, path


def test_every_stage_is_in_order() -> None:
    assert {path.parent.name for path in (ROOT / "sweeps").glob("*/__init__.py")} == set(STAGES)


@pytest.mark.parametrize("framework", HOMES)
def test_frameworks_stay_at_home(framework: str) -> None:
    users = [path.relative_to(ROOT) for path in files() if framework in imports(path)]
    assert users
    assert [path for path in users if not any(map(path.match, HOMES[framework]))] == []


def test_registry_and_conformance_need_the_standard_library_only() -> None:
    assert imports(ROOT / "registry.py") <= set(sys.stdlib_module_names)
    own = {"registry", "pytest"}  # pytest where a test is made, and only there
    assert imports(ROOT / "conformance.py") - own <= set(sys.stdlib_module_names)


@pytest.mark.parametrize(
    "module", ["sweeps.training.train", "sweeps.training.work", "sweeps.sweep"]
)
def test_training_runs_without_ray_and_mlflow(module: str) -> None:
    code = f"import sys, {module}; print(sorted({{'ray', 'mlflow'}} & set(sys.modules)))"
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"
