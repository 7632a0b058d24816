"""Who may import what: leaves stay leaves, heavy frameworks stay in their files."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
BELOW = {
    "nn": (),
    "gates": ("nn",),
    "tasks": ("nn",),
    "tracking": (),
    "training": ("nn", "gates", "tasks"),
    "results": ("gates", "tracking"),
    "sweeps": ("nn", "gates", "tasks", "tracking", "training", "results"),
}
"""The packages that each may import, beside gatelab's own modules (registry, conformance)."""
ORDERS = {
    "training": (
        *(
            "memory",
            "member_models",
            "configuration",
            "lookups",
            "fused_tables",
            "members",
            "copies",
            "model",
            "weighting",
            "precision",
            "evaluation",
        ),
        *("member_loss", "train_rows"),
        *("em", "em_experts", "em_faces"),
        *(
            "optimizers",
            "schedule",
            "clipping",
            "table_steps",
            "optimizer",
            "learners",
            "lessons",
        ),
        "evaluator",
        "placed_splits",
        *(
            "raising",
            "fusing",
            "fallbacks",
            "recomputing",
            "rehearsal",
            "goal",
            "member",
            "chains",
            "passage",
            "replay",
        ),
        *("recording", "call_replay", "graph_replay"),
        *("loop", "rehearsed", "second_order", "group", "train", "width", "learner_checks"),
        *("scores", "jobs", "steps", "states", "scoring", "job_members", "work"),
        *("constant", "beginning"),
    ),
    "results": (
        "comparison",
        "costs",
        "recorded_tables",
        "review",
        "figures",
        "report",
        "shown",
        "comparing",
        "overview",
    ),
    "sweeps": ("spec", "search", "cluster", "export", "home", "worker", "driver", "cli"),
}
"""What lies in these packages, in the order in which data flows."""
HOMES = {
    "mlflow": ("tracking/mlflow_*.py",),
    "matplotlib": ("results/figures/*.py",),
    # Training is pure torch; a bound of what privacy is spent is computed from four numbers, where
    # a learner that adds noise is asked for it, and imported then.
    "dp_accounting": ("training/learners/accounting.py",),
    "ray": (
        "sweeps/driver/tune/ray_jobs.py",
        "sweeps/driver/tune/ray_hooks.py",
        "sweeps/driver/tune/idle_workers.py",
        "sweeps/driver/tune/lost_workers.py",
        "sweeps/worker/worker.py",
        "sweeps/cluster/client.py",
        "sweeps/cluster/joining.py",
        "sweeps/cluster/nodes.py",
        "sweeps/cluster/slots.py",
    ),
}
"""Where alone a framework may be imported."""


def imports(path: Path) -> set[str]:
    """Return the top-level names of everything that a file imports anywhere."""
    return {name.partition(".")[0] for name in modules(path)}


def modules(path: Path) -> set[str]:
    """Return the modules that a file imports anywhere, or imports from."""
    return {name for node in ast.walk(ast.parse(path.read_text())) for name in imported(node)}


def imported(node: ast.AST) -> set[str]:
    """Return the modules that a statement itself imports, or imports from."""
    if isinstance(node, ast.Import):
        return {alias.name for alias in node.names}
    return {node.module} if isinstance(node, ast.ImportFrom) and node.module else set()


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


STAGES = [(package, stage) for package, stages in ORDERS.items() for stage in stages]


@pytest.mark.parametrize(("package", "stage"), STAGES)
def test_data_flows_one_way(package: str, stage: str) -> None:
    stages = ORDERS[package]
    later = {f"gatelab.{package}.{it}" for it in stages[stages.index(stage) + 1 :]}
    folder = ROOT / package / stage
    found = sorted(folder.rglob("*.py")) if folder.is_dir() else [folder.with_suffix(".py")]
    for path in found:
        assert not {".".join(it.split(".")[:3]) for it in modules(path)} & later, path


@pytest.mark.parametrize("package", ORDERS)
def test_every_stage_is_in_order(package: str) -> None:
    inside = {path.parent.name for path in (ROOT / package).glob("*/__init__.py")}
    beside = {path.stem for path in (ROOT / package).glob("*.py")} - {"__init__"}
    assert inside | beside == set(ORDERS[package])


FAMILIES = {
    *("CHECKS", "COMMANDS", "LOG", "T", "Array"),  # one a file, by convention
    *(
        "Subject",
        "BATCH",
        "ROWS",
        "STEPS",
        "LEARNING_RATE",
        "alike",
        "run_checks",
    ),  # gates' and tasks'
    *("check_evaluation_is_deterministic", "check_is_documented", "check_rows_are_independent"),
    *(
        "launch",
        "resume",
        "validate",
        "status",
        "compare",
        "report",
        "export",
        "predict",
        "check_gate",
        "check_task",
        "check_learner",
    ),  # commands
    *("CONNECT_SECONDS", "ANSWER_SECONDS", "POLL_SECONDS", "STOP_SECONDS"),  # of a wait each
    *("ROW", "versions", "Role"),
}
"""Names that several modules give to the same thing, or to members of one family."""


def test_one_name_is_one_thing() -> None:
    """A public name that two modules give to different things makes a reader look twice."""
    places: dict[str, set[str]] = {}
    for path in files():
        for name in public_names(path):
            places.setdefault(name, set()).add(str(path.relative_to(ROOT)))
    several = {name: where for name, where in places.items() if len(where) > 1}
    assert {name: where for name, where in several.items() if name not in FAMILIES} == {}


def public_names(path: Path) -> set[str]:
    """Return the functions, classes and constants that a module defines for others."""
    found: set[str] = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            found.add(node.name)
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found |= {n.id for it in targets for n in ast.walk(it) if isinstance(n, ast.Name)}
    return {name for name in found if not name.startswith("_")}


@pytest.mark.parametrize("framework", HOMES)
def test_frameworks_stay_at_home(framework: str) -> None:
    users = [path.relative_to(ROOT) for path in files() if framework in imports(path)]
    assert users
    assert [path for path in users if not any(map(path.match, HOMES[framework]))] == []


@pytest.mark.parametrize("path", sorted((ROOT / "gatelab").glob("*.py")), ids=lambda it: it.stem)
def test_gatelab_itself_needs_the_standard_library_only(path: Path) -> None:
    """And what it imports where it is used: pytest for a test, pooch for the cache's folder."""
    named = {n.partition(".")[0] for it in ast.parse(path.read_text()).body for n in imported(it)}
    assert named <= {"gatelab", *sys.stdlib_module_names}


@pytest.mark.parametrize(
    "module",
    ["gatelab.training.train", "gatelab.training.work", "gatelab.sweeps.driver.sweep"],
)
def test_training_runs_without_ray_and_mlflow(module: str) -> None:
    assert imported_by(module, {"ray", "mlflow", "dp_accounting"}) == "[]"


def test_a_worker_imports_nothing_of_the_search() -> None:
    """Every process of a sweep that trains waits for what it imports."""
    others = {"scipy", "mlflow", "gatelab.sweeps.search", "gatelab.sweeps.spec"}
    assert imported_by("gatelab.sweeps.worker.worker", others) == "[]"


def test_who_asks_a_cluster_waits_for_ray_alone() -> None:
    """Status, logs and stop are asked for often, and from where no torch need be imported."""
    asking = "gatelab.sweeps.cli.cluster, gatelab.sweeps.cluster.watching"
    assert imported_by(asking, {"ray", "torch", "optuna", "mlflow"}) == "['ray']"


def imported_by(modules: str, heavy: set[str]) -> str:
    """Return which of the heavy packages modules import."""
    code = f"import sys, {modules}; print(sorted({heavy} & set(sys.modules)))"
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return result.stdout.strip()
