"""Who may import what: leaves stay leaves, heavy frameworks stay in their files."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
BELOW = {
    "gates": (),
    "tasks": (),
    "tracking": (),
    "training": ("gates", "tasks"),
    "results": ("gates", "tracking"),
    "sweeps": ("gates", "tasks", "tracking", "training", "results"),
}
"""The packages that each may import, beside gatelab's own modules (registry, conformance)."""
STAGES = ("spec", "search", "cluster", "export", "driver", "cli")
"""The packages in sweeps/, in the order in which data flows."""
HOMES = {
    "mlflow": ("tracking/mlflow_*.py",),
    "matplotlib": ("results/figures/*.py",),
    "ray": (
        "sweeps/driver/ray_jobs.py",
        "sweeps/driver/ray_hooks.py",
        "sweeps/cluster/client.py",
        "sweeps/cluster/nodes.py",
    ),
}
"""Where alone a framework may be imported."""


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
    packages = ("gatelab", *BELOW)
    return sorted(path for package in packages for path in (ROOT / package).rglob("*.py"))


def test_everything_is_imported_as_gatelab() -> None:
    """A user's own tasks.py or tracking/ is no business of ours."""
    own = {path.name for path in ROOT.iterdir() if (path / "__init__.py").exists()} - {"gatelab"}
    assert own == {*BELOW, "benchmarks"}
    for path in files():
        assert not imports(path) & {*own, "registry", "conformance"}, path


@pytest.mark.parametrize("package", BELOW)
def test_packages_import_what_is_below_them(package: str) -> None:
    others = {f"gatelab.{it}" for it in {*BELOW} - {package, *BELOW[package]}}
    for path in (ROOT / package).rglob("*.py"):
        assert not {".".join(it.split(".")[:2]) for it in modules(path)} & others, path


@pytest.mark.parametrize("stage", STAGES)
def test_data_flows_one_way(stage: str) -> None:
    later = {f"gatelab.sweeps.{it}" for it in STAGES[STAGES.index(stage) + 1 :]}
    found = sorted((ROOT / "sweeps" / stage).glob("*.py"))
    assert len(found) > 1
    for path in found:
        assert not {".".join(it.split(".")[:3]) for it in modules(path)} & later, path


def test_every_stage_is_in_order() -> None:
    found = {path.parent.name for path in (ROOT / "sweeps").glob("*/__init__.py")}
    assert found == set(STAGES)
    assert [path.name for path in (ROOT / "sweeps").glob("*.py")] == ["__init__.py"]


@pytest.mark.parametrize("framework", HOMES)
def test_frameworks_stay_at_home(framework: str) -> None:
    users = [path.relative_to(ROOT) for path in files() if framework in imports(path)]
    assert users
    assert [path for path in users if not any(map(path.match, HOMES[framework]))] == []


def test_registry_and_conformance_need_the_standard_library_only() -> None:
    own = {"gatelab", "pytest"}  # pytest where a test is made, and only there
    for name in ("registry", "conformance"):
        path = ROOT / "gatelab" / f"{name}.py"
        assert imports(path) - own <= set(sys.stdlib_module_names)


@pytest.mark.parametrize(
    "module",
    ["gatelab.training.train", "gatelab.training.work", "gatelab.sweeps.driver.sweep"],
)
def test_training_runs_without_ray_and_mlflow(module: str) -> None:
    code = f"import sys, {module}; print(sorted({{'ray', 'mlflow'}} & set(sys.modules)))"
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"
