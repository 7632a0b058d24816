"""A machine with a GPU needs torch, and of gatelab what trains: nothing of a cluster."""

from __future__ import annotations

import subprocess
import sys

HIDDEN = """
import sys
from importlib.machinery import PathFinder

class Hiding(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        missing = name.partition(".")[0] in {!r}
        return None if missing else super().find_spec(name, path, target)

sys.meta_path = [Hiding if found is PathFinder else found for found in sys.meta_path]
"""
"""Makes packages look as if nobody had installed them."""


def run(code: str, *missing: str) -> str:
    command = [sys.executable, "-c", HIDDEN.format(missing) + code]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_training_imports_nothing_of_a_cluster_or_a_record() -> None:
    code = "import gatelab.training.work, gatelab.training.beginning\nprint('here')"
    assert run(code, "ray", "mlflow", "pydantic", "matplotlib", "click") == "here\n"


def test_the_gpus_benchmark_stands_in_for_what_a_step_does_not_use() -> None:
    code = (
        "import benchmarks.gpu as gpu\ngpu.PLAN = (('groups', 'dselect_k', (1, 2)),)\n"
        "gpu.steps()\ngpu.alike()"
    )
    missing = ("ray", "mlflow", "optuna", "entmax", "pyarrow", "sklearn", "scipy", "pooch")
    said = run(code, *missing)
    assert said.count("| groups | dselect_k |") == 2 and "Error" not in said
