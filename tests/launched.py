"""A small sweep, the command line in a process of its own, and what it leaves."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from tracking.mlflow_read import read_sweep
from tracking.mlflow_store import default_uri
from tracking.runs import SweepRecord

ROOT = Path(__file__).parent.parent
SPEC = """
name: small
task: {name: synthetic_groups, num_targets: 4, train_rows: 256, val_rows: 128, test_rows: 128}
model: {num_experts: 4}
gates: [dselect_k, top_k, softmax]
training: {max_epochs: 6, batch_size: 64}
search: {trials: 4, early_stopping: {grace_epochs: 2, reduction_factor: 2}}
evaluation: {seeds: 3}
"""
# A gate of the user's own, and one whose trials all fail, in a module beside the spec.
MODULE = '''
import os
from pathlib import Path
from gates import Gate, Routing, register_gate

@register_gate("mean")
class MeanGate(Gate):
    """Weighs all experts alike, and leaves a trace of the process that made it."""
    def __init__(self, in_features, num_experts):
        super().__init__(in_features, num_experts)
        with (Path(__file__).parent / f"process-{os.getpid()}").open("a") as trace:
            print("made", file=trace)

    def forward(self, x):
        weights = x.new_full((x.shape[0], self.num_experts), 1 / self.num_experts)
        return Routing(weights, weights.new_zeros(()))

@register_gate("narrow")
class NarrowGate(MeanGate):
    """Forgets an expert."""
    def forward(self, x):
        routing = super().forward(x)
        return routing._replace(weights=routing.weights[:, 1:])

@register_gate("raising")
class RaisingGate(MeanGate):
    """Cannot work."""
    def forward(self, x):
        raise RuntimeError("no way\\nthrough")
'''

PROCESSES: list[subprocess.Popen[str]] = []


@pytest.fixture(autouse=True)
def no_process_is_left() -> Iterator[None]:
    """A test that fails must not leave a sweep running."""
    yield
    while PROCESSES:
        process = PROCESSES.pop()
        if process.poll() is None:
            kill_session(process)


def gatelab(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start a command in a folder, in a session of its own, its two outputs as one."""
    process = subprocess.Popen(
        [sys.executable, "-m", "sweeps", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    PROCESSES.append(process)
    return process


def run(folder: Path, *arguments: str) -> str:
    process = gatelab(folder, *arguments)
    output, _ = process.communicate()
    assert process.returncode == 0, output
    return output


def read(folder: Path, name: str) -> SweepRecord:
    return read_sweep(default_uri(folder / "gatelab"), name, trials=True)


def studies(folder: Path, name: str) -> dict[str, optuna.Study]:
    path = folder / "gatelab" / "sweeps" / name / "studies.journal"
    storage = JournalStorage(JournalFileBackend(str(path)))
    names = optuna.get_all_study_names(storage)
    return {name: optuna.load_study(study_name=name, storage=storage) for name in names}


def wait_for(path: Path, text: str, count: int, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 90
    while not (path.exists() and path.read_text().count(text) >= count):
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.1)


def kill_session(process: subprocess.Popen[str]) -> None:
    """Kill the driver and all that it started, as a lost machine would."""
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
