"""Ray's start on this machine, beside which a driver imports its libraries."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gatelab.sweeps.cluster.nodes import told_joined
from tests.ray_heads import clean_environment, head

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


SPEC = """
name: joins
task: {name: synthetic_groups, num_targets: 2, train_rows: 32, val_rows: 16, test_rows: 16}
gates: [softmax]
baselines: false
training: {max_epochs: 1}
search: {trials: 1, early_stopping: false}
evaluation: {seeds: 2}
"""


def test_a_launch_says_first_which_ray_it_joins(tmp_path: Path) -> None:
    """Of one that it starts itself it says nothing."""
    (tmp_path / "joins.yaml").write_text(SPEC)
    command = [sys.executable, "-m", "gatelab", "launch", "joins.yaml"]
    with head() as started:
        address = started.ray_address
        more = {"RAY_ADDRESS": address, "RAY_AUTH_TOKEN_PATH": str(started.token_path)}
        done = subprocess.run(
            command,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
            env=clean_environment(**more),
        )
    said = [line for line in done.stdout.splitlines() if not line.endswith(" ...")]
    words = f"The Ray at {address} is joined, of 1 node, as RAY_ADDRESS={address} says."
    assert said[0] == words, done.stdout


def test_no_ray_is_said_to_be_joined_that_was_started_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert told_joined() == ""


OWN = """
import sys
import ray
from gatelab.sweeps.cluster.joining import join
from gatelab.sweeps.cluster.nodes import told_joined

if sys.argv[1] == "own":
    ray.init("local", include_dashboard=False, log_to_driver=False, logging_level="ERROR")
join()
print(ray.get_runtime_context().gcs_address)
print(told_joined())
"""


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.parametrize("whose", ["own", "ours"])
def test_a_ray_that_a_notebook_has_started_is_said_to_be_joined(whose: str, tmp_path: Path) -> None:
    command = [sys.executable, "-c", OWN, whose]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, check=True, env=clean_environment()
    )
    address, said = done.stdout.splitlines()[-2:]
    words = f"The Ray at {address} is joined, of 1 node, as this process was joined to it before."
    assert said == (words if whose == "own" else "")
