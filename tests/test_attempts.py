"""What is trained again from its beginning is recorded anew: of a run its last attempt alone."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import ViewType

from gatelab.sweeps.driver.succession.taken_records import records_of
from gatelab.tracking.mlflow_read import history, read_sweep
from gatelab.tracking.recorder import Recorder
from gatelab.tracking.sqlite import default_uri
from tests import in_process
from tests.launched import read

TAGS = {"sweep": "s", "stage": "evaluate"}
LOSSES = {"failed": [9.0, 8.0, 7.0], "again": [3.0, 2.0]}


@pytest.fixture
def uri(empty_store: Path, tmp_path: Path) -> str:
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    return default_uri(tmp_path)


def recorder(folder: Path, uri: str, *, redeliver: bool = False) -> Recorder:
    journal = folder / "journal.jsonl"
    return Recorder(journal, uri=uri, experiment="e", sweep="s", redeliver=redeliver)


def attempt(taken: Recorder, end: str, *, anew: bool = True) -> None:
    """Record a training from its beginning."""
    taken.start_run("s/a", parent="s", name="a", tags=TAGS, params={}, anew=anew)
    for epoch, loss in enumerate(LOSSES[end], 1):
        taken.log_metrics("s/a", epoch, {"loss": loss})
    taken.log_last("s/a", len(LOSSES[end]) + 1, {"loss": LOSSES[end][-1]})
    taken.end_run("s/a", "FINISHED", {end: "yes"})


def begin(taken: Recorder) -> None:
    taken.start_run("s", parent=None, name="s", tags={"sweep": "s", "stage": "sweep"}, params={})


def check_last_attempt(uri: str) -> None:
    """The store has one run of the identity, and it holds the second attempt alone."""
    (run,) = (run for run in read_sweep(uri, "s", trials=True).runs if run.name == "a")
    assert history(uri, run.run_id, "loss") == [(1, 3.0), (2, 2.0), (3, 2.0)]
    assert "again" in run.tags and "failed" not in run.tags and run.status == "FINISHED"


@pytest.mark.parametrize("delivered", [True, False])
def test_a_run_that_begins_anew(uri: str, tmp_path: Path, delivered: bool) -> None:
    """Whether or not the store had it yet, and whether or not another process goes on."""
    first = recorder(tmp_path, uri)
    begin(first)
    attempt(first, "failed")
    if delivered:
        assert first.flush()
    attempt(first, "again")
    assert first.close()
    check_last_attempt(uri)
    again = recorder(tmp_path, uri)  # what was recorded stays, as after a kill
    attempt(again, "again", anew=False)
    again.check_all_there()
    assert again.close()
    check_last_attempt(uri)


def test_delivered_again_into_the_same_store_and_into_another(
    uri: str, empty_store: Path, tmp_path: Path
) -> None:
    first = recorder(tmp_path, uri)
    begin(first)
    attempt(first, "failed")
    assert first.flush()
    attempt(first, "again")
    assert first.close()
    (tmp_path / "other").mkdir()
    shutil.copy(empty_store, tmp_path / "other" / "mlflow.db")
    for store in (uri, default_uri(tmp_path / "other")):
        assert recorder(tmp_path, store, redeliver=True).close()
        check_last_attempt(store)
        assert len(deleted(store)) == (store == uri), "the first alone was ever there"


def deleted(uri: str) -> list[str]:
    client = MlflowClient(uri)
    experiments = [found.experiment_id for found in client.search_experiments()]
    found = client.search_runs(experiments, run_view_type=ViewType.DELETED_ONLY)
    return [run.info.run_id for run in found]


def test_the_last_row_is_never_left_out(uri: str, tmp_path: Path) -> None:
    """Of what goes on from a state, and ends sooner than it had gone; nor is it there twice."""
    taken = recorder(tmp_path, uri)
    begin(taken)
    taken.start_run("s/b", parent=None, name="b", tags=TAGS, params={})
    for epoch in (1, 2, 3, 4):
        taken.log_metrics("s/b", epoch, {"loss": 1 / epoch})
    assert taken.close()
    taken = recorder(tmp_path, uri)
    for _ in range(2):
        taken.log_last("s/b", 3, {"loss": 0.5, "test/loss": 0.25})
        taken.log_metrics("s/b", 7, {"loss": 0.0})
    assert taken.close()
    (run,) = (run for run in read_sweep(uri, "s", trials=True).runs if run.name == "b")
    assert history(uri, run.run_id, "loss")[-1] == (5, 0.5)
    assert history(uri, run.run_id, "test/loss") == [(5, 0.25)]


def test_records_that_another_sweep_takes_over(uri: str, tmp_path: Path) -> None:
    taken = recorder(tmp_path, uri)
    begin(taken)
    attempt(taken, "failed")
    attempt(taken, "again")
    assert taken.close()
    found = [record for record in records_of(tmp_path / "journal.jsonl") if record["kind"] != "end"]
    losses = [record["values"]["loss"] for record in found if record["kind"] == "metrics"]
    assert losses == [3.0, 2.0, 2.0] and [record["kind"] for record in found].count("start") == 2


SPEC = """
name: c
task: {name: synthetic_groups, num_targets: 2, train_rows: 96, val_rows: 48, test_rows: 48}
gates: [softmax]
baselines: false
training: {max_epochs: 4, batch_size: 48}
search: {trials: 2, early_stopping: {grace_epochs: 1, reduction_factor: 2}}
evaluation: {seeds: 2}
resources: {members: 1}
"""


@pytest.mark.slow
def test_a_state_that_is_lost(place: Path) -> None:
    """A trial that waits at a rung is trained from its beginning, and its run holds that alone."""
    (place / "c.yaml").write_text(SPEC)
    in_process.gatelab(place, "launch", "c.yaml", code=130, most=2)
    uri = default_uri(place / "gatelab_runs")
    before = {run.name: run.run_id for run in read(place, "c").of("search")}
    for state in (place / "gatelab_runs/sweeps/c/waiting").rglob("*"):
        if state.is_file():
            state.write_bytes(b"")
    output = in_process.gatelab(place, "resume", "c")
    assert "begins anew" in output
    runs = read(place, "c").of("search")
    again = [run for run in runs if before[run.name] != run.run_id]
    assert len(runs) == 2 and again
    for run in again:
        steps = [step for step, _ in history(uri, run.run_id, "train/loss")]
        assert steps == list(range(1, len(steps) + 1)) and len(steps) > 1


def test_runs_are_read_in_the_specs_order_whoever_was_first(uri: str, tmp_path: Path) -> None:
    taken = recorder(tmp_path, uri)
    tags = {"sweep": "s", "stage": "sweep", "gates": "b,a"}
    taken.start_run("s", parent=None, name="s", tags=tags, params={})
    for name in ("a", "c", "b"):  # c is a row beside a gate
        of = {"sweep": "s", "stage": "gate", "gate": name}
        taken.start_run(f"s/{name}", parent="s", name=name, tags=of, params={})
        for number in (1, 0):
            title = f"{name}-trial-{number:03}"
            of = {**of, "stage": "search"}
            taken.start_run(f"s/{title}", parent="s", name=title, tags=of, params={})
    assert taken.close()
    record = read_sweep(uri, "s", trials=True)
    assert [run.name for run in record.of("gate")] == ["b", "a", "c"]
    trials = [f"{name}-trial-{number:03}" for name in "bac" for number in range(2)]
    assert [run.name for run in record.of("search")] == trials
