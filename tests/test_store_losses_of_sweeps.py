"""Sweeps whose store lost something: refused before anything runs, or gone on with to the end."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow.tracking._tracking_service import utils

from gatelab.tracking.mlflow_client import open_client
from gatelab.tracking.mlflow_read import read_artifact
from gatelab.tracking.mlflow_store import Store
from gatelab.tracking.schema import FOLDER
from gatelab.tracking.sqlite import default_uri
from tests.in_process import gatelab
from tests.launched import read

SPEC = """
name: c
experiment: first
task: {name: synthetic_groups, num_targets: 2, train_rows: 256, val_rows: 128, test_rows: 128}
gates: [softmax]
baselines: false
training: {max_epochs: 2}
search: {trials: 2, early_stopping: false}
evaluation: {seeds: 2}
"""
ONE_BY_ONE = "resources: {members: 1}\n"
STAGES = {"sweep": 1, "gate": 1, "search": 2, "evaluate": 2}


def test_a_launch_into_a_deleted_experiment_is_refused(place: Path) -> None:
    (place / "c.yaml").write_text(SPEC)
    uri = default_uri(place / "gatelab_runs")
    Store(uri, "first")
    experiment = open_client(uri).get_experiment_by_name("first").experiment_id
    open_client(uri).delete_experiment(experiment)
    said = gatelab(place, "launch", "c.yaml", "--name", "again", code=2)
    assert said.startswith("gatelab: c.yaml: experiment: the experiment 'first' was deleted in ")
    assert said.endswith("Or name another.\n") and said.count("\n") == 1
    assert f"`mlflow experiments restore --experiment-id {experiment}`" in said
    assert not (place / "gatelab_runs" / "sweeps").exists()


@pytest.fixture(scope="module")
def stopped(put_store: Callable[[Path], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep stopped after its first trial, which has nothing in it that names its place."""
    place = put_store(tmp_path_factory.mktemp("stopped") / FOLDER).parent
    (place / "c.yaml").write_text(SPEC)
    gatelab(place, "launch", "c.yaml", code=130, most=1)
    return place


def check_all_there(place: Path) -> None:
    record = read(place, "c")
    assert {stage: len(record.of(stage)) for stage in STAGES} == STAGES
    assert {run.status for run in record.runs} == {"FINISHED"}
    assert record.run is not None
    for file in ("spec.yaml", "report.html", "comparison.csv"):
        assert read_artifact(record.uri, record.run.run_id, file), file


@pytest.mark.slow
def test_a_sweep_goes_on_where_its_folder_was_moved(stopped: Path, tmp_path: Path) -> None:
    shutil.copytree(stopped, tmp_path / "old")
    (tmp_path / "old" / "gatelab_runs" / "mlflow.db").unlink()
    gatelab(tmp_path / "old", "resume", "c", "--redeliver", code=130, most=0)  # artifacts are there
    new = tmp_path / "new ?#%41 place"
    (tmp_path / "old").rename(new)
    utils._artifact_repos_cache.clear()  # as in a process of its own
    gatelab(new, "resume", "c")
    assert [path.name for path in tmp_path.iterdir()] == [new.name], "the old path is not made anew"
    check_all_there(new)
    home = new / "gatelab_runs"
    shutil.move(home / "mlflow.db", home / "lost.db")
    assert "is finished" in gatelab(new, "resume", "c", code=2)
    utils._artifact_repos_cache.clear()
    home.rename(new / "runs")  # the store's tables are made in another file for this process
    gatelab(new, "resume", "c", "--folder", "runs", "--redeliver")
    (new / "runs").rename(home)
    check_all_there(new)


@pytest.mark.slow
def test_a_sweep_is_not_done_while_a_trials_run_is_deleted(stopped: Path, tmp_path: Path) -> None:
    place = tmp_path / "here"
    shutil.copytree(stopped, place)
    utils._artifact_repos_cache.clear()  # as in a process of its own
    client = open_client(default_uri(place / "gatelab_runs"))
    trial = read(place, "c").of("search")[0].run_id
    client.delete_run(trial)
    said = gatelab(place, "resume", "c", code=3).splitlines()[-1]
    assert said.startswith("All results of 'c' lie in ") and "`gatelab resume c` ends it" in said
    assert f"`mlflow runs restore --run-id {trial}`" in said
    client.restore_run(trial)
    gatelab(place, "resume", "c")
    check_all_there(place)
    assert "in the store" not in gatelab(place, "compare", "c")
    seed, own = read(place, "c").of("evaluate")[0].run_id, read(place, "c").run
    assert own is not None
    client.delete_run(seed)
    said = " ".join(gatelab(place, "compare", "c").split())
    assert "1 of 2 evaluations of softmax in c is in the store: were others deleted there?" in said
    client.delete_run(own.run_id)
    said = " ".join(gatelab(place, "compare", "c").split())
    assert "The run of c itself is not in the store: deleted there? `gatelab resume c --re" in said
    gatelab(place, "resume", "c", "--redeliver")
    check_all_there(place)
    assert "in the store" not in gatelab(place, "compare", "c")


@pytest.mark.slow
def test_a_resume_is_refused_where_the_store_lost_the_sweep(stopped: Path, tmp_path: Path) -> None:
    place = tmp_path / "here"
    shutil.copytree(stopped, place)
    uri = default_uri(place / "gatelab_runs")
    client = open_client(uri)
    run = read(place, "c").run
    assert run is not None
    client.delete_run(run.run_id)
    said = gatelab(place, "resume", "c", code=2)
    assert f"`mlflow runs restore --run-id {run.run_id}`" in said and said.count("\n") == 1
    client.delete_experiment(client.get_experiment_by_name("first").experiment_id)
    said = gatelab(place, "resume", "c", code=2)
    assert "the experiment 'first' was deleted" in said and said.count("\n") == 1
    other = f"sqlite:///{tmp_path / 'other.db'}"
    shutil.copy(place / "gatelab_runs" / "mlflow.db", tmp_path / "other.db")
    said = gatelab(place, "resume", "c", "--tracking-uri", other, code=2)
    assert "the experiment 'first' was deleted" in said
    place.rename(tmp_path / "there")
    (tmp_path / "there" / "gatelab_runs" / "mlflow.db").unlink()
    said = gatelab(tmp_path / "there", "resume", "c", code=2)
    assert "which has the record of 'c', is gone" in said and said.count("\n") == 1
    assert not (tmp_path / "there" / "gatelab_runs" / "mlflow.db").exists()
