"""Ray's start on this machine, beside which a driver imports its libraries."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.ray]

LOADED = """
import json, sys
from importlib import import_module
import gatelab.sweeps.driver.launching
from gatelab.sweeps.cluster import joining, starting
for module in starting.IMPORTED_FIRST:
    import_module(module)
before = set(sys.modules)
{}
print(json.dumps([*sys.modules.keys() - before]))
"""


def imported(work: str) -> set[str]:
    """Return the modules that a fresh process imports for some work of a driver's start."""
    environment = {name: it for name, it in os.environ.items() if name != "RAY_ADDRESS"}
    command = [sys.executable, "-c", LOADED.format(work)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_no_module_is_imported_by_both_threads() -> None:
    start = imported("joining.join()")
    libraries = imported("import gatelab.sweeps.driver.running")
    assert "ray.autoscaler" in start  # or it says nothing
    assert {"mlflow", "ray.tune"} <= libraries
    assert not start & libraries
