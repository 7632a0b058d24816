"""A search of which nothing is known any more is made again, which is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from gatelab.tracking.mlflow_read import history
from gatelab.tracking.sqlite import default_uri
from tests.in_process import gatelab
from tests.launched import read

pytestmark = pytest.mark.slow
SPEC = """
name: c
task: {name: synthetic_groups, num_targets: 2, train_rows: 96, val_rows: 48, test_rows: 48}
gates: [softmax]
baselines: false
training: {max_epochs: 2, batch_size: 4}
search: {trials: 2, early_stopping: false}
evaluation: {seeds: 2}
resources: {members: 1}
"""


def test_all_trials_are_trained_again(place: Path) -> None:
    (place / "c.yaml").write_text(SPEC)
    output = gatelab(place, "launch", "c.yaml", code=130, most=1)
    assert "warning" not in output
    journal = place / "gatelab_runs/sweeps/c/studies.journal"
    journal.write_bytes(b"")
    uri = default_uri(place / "gatelab_runs")
    before = {run.run_id for run in read(place, "c").of("search")}
    output = gatelab(place, "resume", "c")
    said = f"{journal.relative_to(place)} is gone or empty, though trials were recorded: all are"
    assert f"warning: {said}" in output
    record = read(place, "c")
    assert [run.status for run in record.of("search")] == ["FINISHED"] * 2
    assert {run.run_id for run in record.of("search")}.isdisjoint(before)
    (gate,) = record.of("gate")
    assert gate.metrics["search/epochs"] == sum(
        len(history(uri, run.run_id, "train/loss")) - 1  # the last row is of the kept weights
        for run in record.of("search")
    )


def test_a_spec_that_is_gone(place: Path) -> None:
    (place / "c.yaml").write_text(SPEC)
    gatelab(place, "launch", "c.yaml", code=130, most=0)
    (place / "gatelab_runs/sweeps/c/spec.yaml").unlink()
    output = gatelab(place, "resume", "c", code=2)
    assert output == (
        "gatelab: the home of sweep 'c' is damaged: gatelab_runs/sweeps/c/spec.yaml is missing or "
        "empty.\n"
    )
