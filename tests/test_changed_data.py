"""Data that change while a sweep runs: nothing is trained on others than it says."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

import gatelab.sweeps.driver.tune.ray_jobs  # noqa: F401 - sets what Ray reads, before Ray is imported
from gatelab.sweeps.worker.kept_tasks import KeptTasks
from gatelab.sweeps.worker.same_data import ChangedData, data_id
from gatelab.tasks import SyntheticGroups, Table
from gatelab.tasks.tables.contents import TableError
from gatelab.tasks.task import Split, SplitName, tasks
from gatelab.training.goal import BY_LOSS
from gatelab.training.jobs import Setting
from tests.in_process import Worker, gatelab
from tests.launched import read
from tests.test_together import RECIPE, trial

TARGETS = {"y": "regression", "z": "regression"}


def text(seed: int) -> str:
    """Return a table whose targets follow from its numbers, by other factors for each seed."""
    draw, factor = random.Random(1), 1 + seed
    rows = [[draw.gauss(0, 1) for _ in range(3)] for _ in range(120)]
    lines = (f"{a},{b},{c},{factor * a + b},{c - factor * b}" for a, b, c in rows)
    return "\n".join(["a,b,c,y,z", *lines, ""])


def begun(file: Path) -> tuple[dict[str, Any], str]:
    """Return the options of a table, and what a sweep on it notes of its data."""
    file.write_text(text(0))
    options = {"path": str(file), "targets": TARGETS}
    return options, data_id(Table(**options))


@pytest.mark.parametrize("change", ["other rows", "garbage", "gone"])
@pytest.mark.parametrize("split_seed", [None, 1])
def test_a_worker_that_finds_another_table_trains_nothing(
    change: str, split_seed: int | None, tmp_path: Path
) -> None:
    file = tmp_path / "t.csv"
    options, data = begun(file)
    if change == "gone":
        file.unlink()
    else:
        file.write_text(text(1) if change == "other rows" else "a\n")
    setting = Setting("table", options, RECIPE, None, BY_LOSS, 1, 0, str(tmp_path), data=data)
    job = trial(0, 0.01)
    result = Worker(setting, (job,), [None]).step()
    assert result["steps"] is None and result["stop"].startswith(f"{file} on ")
    with pytest.raises(ChangedData):
        KeptTasks(data=data).get("table", options, split_seed)


def test_a_table_that_is_the_same_is_taken_on_every_split(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    options, data = begun(file)
    file.write_text(text(0))  # another time of change
    kept = KeptTasks(data=data)
    assert kept.get("table", options) is not kept.get("table", options, 3)
    with pytest.raises(TableError):  # its own fault: the file is what it was
        kept.get("table", {**options, "targets": {"none": "binary"}})


def test_another_tasks_data_are_known_on_its_own_split(monkeypatch: pytest.MonkeyPatch) -> None:
    class Read(SyntheticGroups):
        """Reads what changes."""

        def __init__(self, split_seed: int = 0) -> None:
            super().__init__(num_targets=2, train_rows=32, val_rows=16, test_rows=16)

        def split(self, name: SplitName) -> Split:
            found = super().split(name)
            return found._replace(inputs=found.inputs + offset)

    offset = 0.0
    monkeypatch.setitem(tasks._classes, "read", Read)
    data = data_id(Read())
    KeptTasks(data=data).get("read", {})
    offset = 1.0
    for split_seed in (None, 0):
        with pytest.raises(ChangedData, match="^what task 'read' reads or draws "):
            KeptTasks(data=data).get("read", {}, split_seed)
    KeptTasks(data=data).get("read", {}, 1)


SPEC = """
name: c
task: {name: table, path: t.csv, targets: {y: regression, z: regression}}
model: {num_experts: 3}
gates: ['mine:changing']
baselines: false
training: {max_epochs: 2, batch_size: 32}
search: {trials: 2, early_stopping: false}
evaluation: {seeds: 2, splits: 2}
resources: {members: 1}
"""
MODULE = """
from pathlib import Path
from gatelab.gates import SoftmaxGate, register_gate

@register_gate("changing")
class Changing(SoftmaxGate):
    "The table changes once a sweep of some name is under way."
    def forward(self, x):
        if self.training and Path("next.csv").exists() and Path("gatelab_runs/sweeps/c").exists():
            Path("next.csv").rename("t.csv")
        return super().forward(x)
"""


@pytest.mark.slow
def test_a_sweep_stops_and_goes_on_once_its_table_is_back(place: Path) -> None:
    """Its worker has read the table before it changes, and reads it again for another split."""
    (place / "mine.py").write_text(MODULE)
    (place / "t.csv").write_text(text(0))
    (place / "c.yaml").write_text(SPEC)
    gatelab(place, "launch", "c.yaml", "--name", "same")
    (place / "next.csv").write_text(text(1))
    said = gatelab(place, "launch", "c.yaml", code=1)
    assert "(2 of 2)" in said and "t.csv on " in said.splitlines()[-1]
    assert said.endswith("put it back as it was, then `gatelab resume c` goes on.\n")
    assert "stopped" in gatelab(place, "status")
    (place / "t.csv").write_text(text(0))
    assert "resumed with other" not in gatelab(place, "resume", "c")
    assert scores(place, "c") == scores(place, "same")


def scores(place: Path, name: str) -> list[float]:
    """Return the scores of all that was trained, in order."""
    record = read(place, name)
    losses = [run.metrics["val/loss"] for run in [*record.of("search"), *record.of("evaluate")]]
    assert len(losses) == 6
    return losses
