"""What breaks the requirement of a search is recorded, of trials and of gates."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import in_process
from tests.launched import read

SPEC = """
name: dense
task: {name: synthetic_groups, num_targets: 2, train_rows: 64, val_rows: 32, test_rows: 32}
model: {num_experts: 4}
gates: {dense: {gate: dselect_k, k: 1, gamma: [0.001, 0.002]}, sparse: {gate: top_k, k: 1}}
baselines: true
training: {max_epochs: 2, batch_size: 64}
search: {trials: 2, early_stopping: false}
evaluation: {seeds: 1}
"""


@pytest.mark.parametrize(("require", "broken"), [("", {"dense"}), ("require: false, ", set())])
def test_a_gate_that_cannot_become_sparse(place: Path, require: str, broken: set[str]) -> None:
    """In two epochs; a baseline without a search breaks nothing."""
    (place / "dense.yaml").write_text(SPEC.replace("{trials", f"{{{require}trials"))
    in_process.gatelab(place, "launch", "dense.yaml")
    runs = read(place, "dense").runs
    for stage in ("search", "gate", "evaluate"):
        assert {run.gate for run in runs if run.stage == stage and run.broken} == broken, stage
