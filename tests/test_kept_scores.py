"""The last row of a run holds what the weights score that are kept, under every key."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from gatelab.tasks import SyntheticGroups
from gatelab.tracking.mlflow_read import history
from gatelab.tracking.runs import RunRecord
from gatelab.tracking.schema import Tags
from gatelab.tracking.sqlite import default_uri
from gatelab.training.configuration import Configuration
from gatelab.training.goal import Goal
from gatelab.training.jobs import Job, Stage
from gatelab.training.member import Member, Recipe
from gatelab.training.states import read_state
from gatelab.training.steps import Ending, Epochs
from gatelab.training.work import Work
from tests.in_process import gatelab
from tests.launched import read

SIZES = {"num_targets": 2, "train_rows": 64, "val_rows": 32, "test_rows": 32}
TASK = SyntheticGroups(**SIZES)
GOAL = Goal("val/mean/r2", higher_is_better=True)
CHANGES = ("gate/weight_change", "gate/support_flips")
SPEC = """
name: kept
task: {name: synthetic_groups, num_targets: 2, train_rows: 64, val_rows: 32, test_rows: 32}
model: {num_experts: 4}
gates: [softmax]
baselines: false
optimizer: {learning_rate: {low: 0.1, high: 0.6, log: true}}
training: {max_epochs: 8, batch_size: 16, patience: null}
search: {trials: 4, seeds: 2, objective: val/mean/r2, early_stopping: {grace_epochs: 4}}
evaluation: {seeds: 2}
metrics: [r2, rmse]
"""


def work(stage: Stage, *rates: float, task: SyntheticGroups = TASK) -> Work:
    """Begin a job of members with rates of their own, which keep epochs of their own."""
    optimizers = [{"name": "adam", "learning_rate": it, "weight_decay": 0.0} for it in rates]
    members = [
        Member(Configuration.of({}, {"num_experts": 4}, it), seed)
        for seed, it in enumerate(optimizers)
    ]
    job = Job(stage, "one", "softmax", tuple(members))
    return Work(task, [job], Recipe(16, 6), step_seconds=0, goal=GOAL)


def run(begun: Work, folder: Path | None = None) -> tuple[Epochs, list[Ending]]:
    """Work to the end; from a saved state after each step, where there is a folder."""
    epochs: Epochs = []
    while True:
        (step,) = begun.step()
        epochs += step.epochs
        if step.endings is not None:
            return epochs, step.endings
        if folder is not None:
            begun.save(folder)
            begun = work("evaluate", 0.1, 0.6)
            assert begun.restore(read_state(folder))


def best_row(epochs: Epochs, member: int) -> tuple[int, dict[str, float]]:
    rows = {epoch: metrics for one, epoch, metrics in epochs if one == member}
    best = max(rows, key=lambda epoch: rows[epoch]["val/mean/r2"])
    return best, rows[best]


def on_train_and_val(row: dict[str, float]) -> dict[str, float]:
    return {
        key: value
        for key, value in row.items()
        if key.startswith(("train/", "val/")) or key in CHANGES
    }


@pytest.mark.parametrize("resumed", [False, True])
def test_every_member_ends_with_the_scores_of_its_own_best_epoch(
    resumed: bool, tmp_path: Path
) -> None:
    epochs, endings = run(work("evaluate", 0.1, 0.6), tmp_path if resumed else None)
    kept = [best_row(epochs, member) for member in range(2)]
    assert all(epoch < 6 for epoch, _ in kept), "the last epoch would tell nothing"
    assert kept[0][0] != kept[1][0]
    for ending, (_, row) in zip(endings, kept, strict=True):
        assert {"train/loss", "val/t000/rmse", *CHANGES} <= row.keys()
        assert on_train_and_val(ending.metrics) == on_train_and_val(row)
        assert ending.metrics["objective"] == row["val/mean/r2"]
        assert "test/mean/r2" in ending.metrics


def test_what_the_best_epoch_lacks_is_no_number() -> None:
    """No epoch is before the first, which is kept of what learns nothing."""
    epochs, (ending,) = run(work("evaluate", 0.0))
    assert best_row(epochs, 0)[0] == 1
    assert all(math.isnan(ending.metrics[key]) for key in CHANGES)


def test_of_many_targets_the_one_that_is_the_objective_too() -> None:
    task = SyntheticGroups(**{**SIZES, "num_targets": 20})
    begun = work("search", 0.3, task=task)
    begun.goal = begun.scoring.goal = Goal("val/t003/r2", higher_is_better=True)
    epochs, (ending,) = run(begun)
    assert ending.metrics["val/t003/r2"] == max(row["val/t003/r2"] for _, _, row in epochs)
    assert ending.metrics["val/t003/r2"] != epochs[-1][2]["val/t003/r2"]


def test_mlflow_shows_the_kept_weights_of_trials_and_seeds(place: Path) -> None:
    """Of pruned trials too: what they had kept at the rung that ended them."""
    (place / "kept.yaml").write_text(SPEC)
    gatelab(place, "launch", "kept.yaml")
    record = read(place, "kept")
    assert {run.end for run in record.of("search")} == {"finished", "pruned"}
    falls = {"finished": 0, "pruned": 0}
    for run in [*record.of("search"), *record.of("evaluate")]:
        last = int(run.tags[Tags.END_EPOCH])
        keys = ("val/mean/r2", "val/loss", "val/mean/rmse")
        r2, loss, rmse = (curve(place, run, key) for key in keys)
        assert {*r2} == {*loss} == {*rmse} == {*range(1, last + 2)}
        assert r2[last + 1] == run.metrics["objective"] >= r2[last]
        falls[run.end] += r2[last + 1] > r2[last]
        if run.stage == "evaluate":  # of one member, where a trial's are the means over two
            best = max(range(1, last + 1), key=lambda epoch: r2[epoch])
            assert (loss[last + 1], rmse[last + 1]) == (loss[best], rmse[best])
    assert all(falls.values()), "the last epoch would tell nothing"


def curve(place: Path, run: RunRecord, key: str) -> dict[int, float]:
    return dict(history(default_uri(place / "gatelab_runs"), run.run_id, key))
