"""What MLflow's pages are restored of a sweep: few tags, numbers, a view of the gates, the data."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from made_reviews import made
from mlflow import MlflowClient

from gatelab.results.report.description import description
from gatelab.sweeps.cluster.provenance import source
from gatelab.sweeps.driver.record.reporting import headline
from gatelab.tracking.mlflow_read import history, read_sweep, sweep_links
from gatelab.tracking.mlflow_tags import HIDDEN, hidden, restored, stored
from gatelab.tracking.recorder import Recorder
from gatelab.tracking.schema import Tags
from gatelab.tracking.sqlite import default_uri
from gatelab.tracking.views import SweepLinks, gates_view, view_key
from tests.in_process import gatelab

TAGS = {
    **{"sweep": "s", "stage": "sweep", "task": "t", "verdict": "a wins.", "end": "finished"},
    **{"version.torch": "2", "machine.cpus": "2", "data": "abc", "gates": "a", "git.commit": "0"},
    **{"metrics.higher": "r2", "code.mine": "1", "mlflow.user": "me"},
}
SHOWN = {"sweep", "stage", "task", "verdict", "end"}
LINKS = SweepLinks("1", "abc", "s")
DATA = {
    **{"name": "t", "options": {"rows": "4"}, "digest": "0123456789abcdef"},
    **{"inputs": ["float32", [8]], "targets": {"x": "float32", "y": "int64"}},
    "rows": {"train": 4, "val": 2},
}


def test_a_page_shows_few_tags_and_programs_read_all() -> None:
    kept = stored(TAGS)
    assert {name for name in kept if not name.startswith("mlflow.")} == SHOWN
    assert restored(kept) == TAGS
    assert hidden("mlflow.note.content") == "mlflow.note.content"


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory, put_store: object) -> Path:
    folder: Path = put_store(tmp_path_factory.mktemp("views"))  # type: ignore[operator]
    for _ in range(2):  # what is delivered again is there once
        taken = Recorder(
            folder / "journal",
            uri=default_uri(folder),
            experiment="e",
            sweep="s",
            artifacts=folder / "artifacts",
            redeliver=True,
        )
        taken.start_run("s", parent=None, name="s", tags=TAGS, params={})
        taken.log_data("s", {**DATA, "inputs": ["bfloat16", [8]]})
        taken.share_view("s", view_key("s"), gates_view("s", ["test/mean/r2"]))
        assert taken.close()
    return folder


def test_the_store_hides_them_and_finds_the_run_again(recorded: Path) -> None:
    (run,) = read_sweep(default_uri(recorded), "s").runs
    assert {name: run.tags[name] for name in TAGS} == TAGS
    assert run.tags["gatelab.identity"] == "s" and run.started > 1e9
    raw = MlflowClient(default_uri(recorded)).get_run(run.run_id).data.tags
    assert {name for name in raw if not name.startswith("mlflow.")} == SHOWN
    assert raw[f"{HIDDEN}version.torch"] == "2"


def test_the_data_have_a_digest_and_a_schema(recorded: Path) -> None:
    uri = default_uri(recorded)
    (run,) = read_sweep(uri, "s").runs
    (found,) = MlflowClient(uri).get_run(run.run_id).inputs.dataset_inputs
    assert (found.dataset.name, found.dataset.digest) == ("t", "0123456789abcdef")
    schema = json.loads(found.dataset.schema)["mlflow_tensorspec"]
    columns = json.loads(schema["features"]) + json.loads(schema["targets"])
    assert [column["name"] for column in columns] == ["inputs", "x", "y"]
    assert json.loads(found.dataset.profile) == {"train_rows": 4, "val_rows": 2}


def test_the_view_of_the_gates_has_the_columns_that_matter(recorded: Path) -> None:
    uri = default_uri(recorded)
    links = sweep_links(uri, "s")
    experiment = MlflowClient(uri).get_experiment(links.experiment)
    view = json.loads(experiment.tags["mlflow.sharedViewState.gatelab-s"])
    assert "viewStateShareKey=gatelab-s&" in links.gates
    columns = ["test/loss", "test/mean/r2", "gate/experts_per_row", "search/epochs"]
    assert [f"metrics.`{key}`" for key in columns] == view["selectedColumns"][1:5]
    assert view["orderByKey"] == "metrics.`test/loss`" and view["orderByAsc"]
    found = MlflowClient(uri).search_runs([links.experiment], view["searchFilter"])
    assert [run.info.run_name for run in found] == ["s"]


def test_the_description_begins_with_the_answer_and_has_a_picture() -> None:
    comparison = made(["dselect_k", "top_k", "softmax", "single"]).comparison
    text = description(comparison, LINKS, "figures/scores.svg")
    first, second, *_ = text.split("\n\n")
    assert first.startswith("**dselect_k wins: its test loss is significantly lower")
    assert second.startswith("- P(dselect_k better than")
    assert "](#/experiments/1/runs/abc/artifacts/report.html?workflowType" in text
    assert "![Test scores by gate](get-artifact?path=figures/scores.svg&run_uuid=abc)" in text
    assert "compare-runs" not in text and len(text) < 7500
    many = made([f"a_gate_with_a_long_name_{i}" for i in range(60)], trials=0, seeds=2)
    assert len(description(many.comparison, LINKS)) <= 7500


def test_the_sweeps_run_carries_the_best_gates_numbers() -> None:
    comparison = made(["dselect_k", "top_k"]).comparison
    found = headline(comparison, "dselect_k", "test/mean/accuracy")
    score = comparison.score("dselect_k", "test/loss")
    assert score is not None and found["test/loss"] == score.mean
    epochs = [budget.epochs or 0 for budget in comparison.budgets]
    assert found["search/epochs"] == sum(epochs) > 0
    assert {"test/mean/accuracy", "gate/experts_per_row"} < set(found)


def test_who_ran_it_and_with_what() -> None:
    found = source()
    assert found["mlflow.source.name"].startswith("gatelab ") and found["mlflow.user"]
    assert "/" not in found["mlflow.source.name"]


SPEC = """
name: tiny
task: {name: synthetic_groups, num_targets: 2, train_rows: 64, val_rows: 32, test_rows: 48}
model: {num_experts: 4}
gates: {top_k: {k: 2}, softmax: {}}
baselines: false
training: {max_epochs: 2, batch_size: 32}
search: {trials: 1}
evaluation: {seeds: 2}
"""
SPLITS = {"train": "64", "val": "32", "test": "48"}
EXPERT_PARAMETERS = (16 + 1) * 32 + (32 + 1) * 32
"""Of two layers of 32 on 16 inputs, with biases."""


@pytest.mark.slow
def test_a_sweep_tells_its_pages_all_that(put_store: object, tmp_path: Path) -> None:
    put_store(tmp_path / "gatelab_runs")  # type: ignore[operator]
    (tmp_path / "tiny.yaml").write_text(SPEC)
    gatelab(tmp_path, "launch", "tiny.yaml")
    uri = default_uri(tmp_path / "gatelab_runs")
    record = read_sweep(uri, "tiny")
    run, gates = record.run, {one.gate: one for one in record.of("gate")}
    assert run is not None and run.ended > run.started > 1e9
    assert run.tags["verdict"].startswith("Undecided: ") and run.tags["best"] in gates
    best = gates[run.tags["best"]]
    for key in ("test/loss", "test/mean/r2", "gate/experts_per_row"):
        assert run.metrics[key] == pytest.approx(best.metrics[key])
    assert run.metrics["search/epochs"] == sum(g.metrics["search/epochs"] for g in gates.values())
    params = {f"rows.{split}": rows for split, rows in SPLITS.items()}
    assert {name: run.params[name] for name in params} == params
    assert run.params["targets"] == "2 regression targets"
    assert {one.tags["mlflow.source.name"] for one in record.runs} == {source()[Tags.SOURCE]}
    seeds = [one.metrics["test/loss"] for one in record.of("evaluate", "softmax")]
    values = [value for _, value in history(uri, gates["softmax"].run_id, "test/loss")]
    assert sorted(values[:-1]) == pytest.approx(sorted(seeds)), "each seed, and then the mean"
    assert values[-1] == pytest.approx(sum(seeds) / 2)
    for one in record.of("evaluate"):
        model = {key: one.metrics[f"model/{key}parameters"] for key in ("", "active_")}
        idle = 4 - one.metrics["gate/experts_per_row"]
        assert model[""] - model["active_"] == pytest.approx(idle * EXPERT_PARAMETERS)
        assert (one.gate == "softmax") == (idle == 0)
