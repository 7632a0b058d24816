"""A small sweep, and what it leaves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import mlflow
import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from gatelab.tracking.mlflow_read import read_sweep
from gatelab.tracking.runs import SweepRecord
from gatelab.tracking.sqlite import default_uri

SPEC = """
name: small
task: {name: synthetic_groups, num_targets: 4, train_rows: 256, val_rows: 128, test_rows: 128}
model: {num_experts: 4}
gates: [dselect_k, top_k, softmax]
baselines: false
training: {max_epochs: 6, batch_size: 64}
search: {trials: 4, early_stopping: {grace_epochs: 2, reduction_factor: 2}}
evaluation: {seeds: 3}
"""
# A gate of the user's own, and one whose trials all fail, in a module beside the spec.
MODULE = '''
import os
from pathlib import Path
from gatelab.gates import Gate, Routing, register_gate

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


@contextmanager
def mlflow_at(folder: Path) -> Iterator[None]:
    """Let MLflow's own functions use the store in a folder meanwhile."""
    mlflow.set_tracking_uri(default_uri(folder))
    try:
        yield
    finally:
        mlflow.set_tracking_uri(None)  # type: ignore[arg-type]  # as it was


def read(folder: Path, name: str) -> SweepRecord:
    return read_sweep(default_uri(folder / "gatelab_runs"), name, trials=True)


def studies(folder: Path, name: str) -> dict[str, optuna.Study]:
    path = folder / "gatelab_runs" / "sweeps" / name / "studies.journal"
    storage = JournalStorage(JournalFileBackend(str(path)))
    names = optuna.get_all_study_names(storage)
    return {name: optuna.load_study(study_name=name, storage=storage) for name in names}
