"""A user's modules with the names of gatelab's own packages, and of those that it once had."""

from __future__ import annotations

import tomllib
from pathlib import Path

from tests.ray_heads import ROOT, clean_environment

SIX = ("conformance", "gates", "registry", "sweeps", "tasks", "tracking")
"""Top-level modules of gatelab before it had one import name."""
_MAPPED = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-dir"]
OTHERS = sorted({"benchmarks", *_MAPPED.values()} - {"gatelab", *SIX})
"""Folders of the checkout beside them, whichever there are."""
SPEC = """
name: small
task: {{name: "{task}", num_targets: 2, train_rows: 64, val_rows: 32, test_rows: 32}}
model: {{num_experts: 4}}
gates: [softmax, "{gate}"]
baselines: false
training: {{max_epochs: 2, batch_size: 32, patience: null}}
search: {{trials: 2, early_stopping: false}}
evaluation: {{seeds: 2}}
"""
TRACE = "process-"
_TRACING = """
import os
from pathlib import Path
import gatelab

with (Path("HERE") / f"TRACE{os.getpid()}").open("a") as trace:
    print(gatelab.__file__, __file__, file=trace)
"""
GATE = """
from gatelab import register_gate
from gatelab.gates import SoftmaxGate

@register_gate("mine")
class Mine(SoftmaxGate):
    '''A gate of the user's.'''
"""
TASK = """
from gatelab import register_task
from gatelab.tasks import SyntheticGroups

@register_task("mytask")
class MyTask(SyntheticGroups):
    '''A task of the user's.'''
"""
METRIC = """
from gatelab import Metric, register_metric

@register_metric("mymetric")
class MyMetric(Metric):
    '''A metric of the user's.'''

    kinds = ("regression",)
    higher_is_better = False

    def compute(self, outputs, target):
        return (outputs[:, 0] - target).abs().max()
"""
RAISING = "raise RuntimeError('nobody asked for this module')\n"


def write_files(folder: Path) -> None:
    """Write a file for each name: `tasks:mine` is a gate, `sweeps:mytask` a task."""
    for name in (*SIX, *OTHERS):
        (folder / f"{name}.py").write_text(RAISING)
    (folder / "tasks.py").write_text(_traced(GATE, folder))
    (folder / "sweeps.py").write_text(_traced(TASK + METRIC, folder))


def write_packages(folder: Path) -> None:
    """Write a package for each name: `tasks:mine` is a gate, `sweeps.inner:mytask` a task."""
    for name in (*SIX, *OTHERS):
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").write_text(RAISING)
    (folder / "registry" / "__init__.py").unlink()
    (folder / "tasks" / "__init__.py").write_text(_traced(GATE, folder))
    (folder / "sweeps" / "__init__.py").write_text("")
    (folder / "sweeps" / "inner.py").write_text(_traced(TASK, folder))


def _traced(module: str, folder: Path) -> str:
    return _TRACING.replace("HERE", str(folder)).replace("TRACE", TRACE) + module


def traces(folder: Path) -> set[str]:
    """Return where gatelab and the user's modules lay, in every process that imported them."""
    return {line for path in folder.glob(f"{TRACE}*") for line in path.read_text().splitlines()}


def users_environment(**more: str) -> dict[str, str]:
    """Return the environment of a user who has gatelab installed, and on no path of theirs."""
    found = clean_environment()
    found.pop("PYTHONPATH", None)
    return {**found, **more}
