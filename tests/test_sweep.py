"""Whole sweeps through the command line: real Ray, Optuna and MLflow."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import optuna
import pandas as pd
import pytest
import torch

from gatelab.sweeps.cluster.storage import STATES
from gatelab.sweeps.spec.reading import load_spec
from gatelab.tracking.mlflow_read import history
from gatelab.tracking.schema import FOLDER
from gatelab.tracking.sqlite import default_uri
from tests import in_process
from tests.commands import launched, run
from tests.launched import MODULE, SPEC, read, studies

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def finished(
    put_store: Callable[[Path], Path], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, str]:
    """The small sweep on a real Ray, and what its launch has said."""
    folder = put_store(tmp_path_factory.mktemp("small") / FOLDER).parent
    (folder / "small.yaml").write_text(SPEC)
    return folder, run(folder, "launch", "small.yaml")


def test_output_ends_with_table_verdict_and_dashboard(finished: tuple[Path, str]) -> None:
    folder, output = finished
    report = next(line for line in output.splitlines() if line.startswith("Report: "))
    assert (folder / report.removeprefix("Report: ")).read_text().startswith("<!")
    for expected in ("test loss", "seeds scored", "has the lowest test loss"):
        assert expected in output
    assert output.strip().endswith("Dashboard: gatelab ui small")
    assert "Traceback" not in output
    assert "Warning" not in output


def test_runs_are_nested_and_complete(finished: tuple[Path, str]) -> None:
    record = read(finished[0], "small")
    by_id = {run.run_id: run for run in record.runs}
    assert Counter(run.stage for run in record.runs) == {
        "sweep": 1,
        "gate": 3,
        "search": 12,
        "evaluate": 9,
    }
    parents = {"search": "gate", "evaluate": "gate", "gate": "sweep"}
    for found in record.runs:
        assert found.status == "FINISHED"
        if found.stage in parents:
            parent = by_id[found.tags["mlflow.parentRunId"]]
            assert parent.stage == parents[found.stage]
            assert found.stage == "gate" or parent.gate == found.gate
        if found.stage in ("search", "evaluate"):
            assert found.tags["seed"].isdigit()
            assert found.tags["end"] in ("finished", "pruned")
            assert found.tags["end.reason"]
            assert int(found.tags["end.epoch"]) >= 2
            assert {"optimizer.learning_rate", "model.num_experts"} <= set(found.params)


def test_metrics_have_one_key_each_in_every_gate(finished: tuple[Path, str]) -> None:
    folder, _ = finished
    record = read(folder, "small")
    for found in record.of("search"):
        assert {"val/loss", "val/t000/rmse", "val/mean/r2", "train/loss"} <= set(found.metrics)
        assert not [key for key in found.metrics if key.startswith("test/")]
    keys = [set(found.metrics) for found in record.of("evaluate")]
    for found in keys:
        assert {"test/loss", "test/t003/r2", "gate/entropy", "gate/t001/entropy"} <= found
        assert {"gate/jaccard_gap", "gate/f1", "gate/group_agreement"} <= found
    finished_trial = next(r for r in record.of("search") if r.end == "finished")
    epochs = int(finished_trial.tags["end.epoch"])
    steps = [
        step
        for step, _ in history(
            default_uri(folder / "gatelab_runs"), finished_trial.run_id, "val/loss"
        )
    ]
    assert steps == list(range(1, epochs + 2))  # each epoch, then the weights that were kept


def test_gates_are_evaluated_on_the_same_fresh_seeds(finished: tuple[Path, str]) -> None:
    record = read(finished[0], "small")
    seeds = {
        g: sorted(r.tags["seed"] for r in record.of("evaluate", g)) for g in ("top_k", "softmax")
    }
    assert seeds["top_k"] == seeds["softmax"]
    assert len(set(seeds["top_k"])) == 3
    assert not set(seeds["top_k"]) & {run.tags["seed"] for run in record.of("search")}


def test_the_best_finished_trial_is_evaluated(finished: tuple[Path, str]) -> None:
    record = read(finished[0], "small")
    for label, study in studies(finished[0], "small").items():
        done = study.get_trials(states=[optuna.trial.TrialState.COMPLETE])
        best = min(done, key=lambda trial: (trial.user_attrs["broken"], trial.value))
        for found in record.of("evaluate", label):
            for name, value in best.params.items():
                assert found.params[name] == str(value)


def test_optuna_holds_every_trial_with_its_true_end(finished: tuple[Path, str]) -> None:
    record = read(finished[0], "small")
    states = {"finished": "COMPLETE", "pruned": "PRUNED", "failed": "FAIL"}
    for label, study in studies(finished[0], "small").items():
        trials = study.get_trials()
        runs = {int(run.tags["trial"]): run for run in record.of("search", label)}
        assert len(trials) == len(runs) == 4
        for trial in trials:
            assert trial.state.name == states[runs[trial.number].end]
            assert trial.user_attrs["epoch"] == int(runs[trial.number].tags["end.epoch"])
            if trial.state.name == "COMPLETE":
                assert trial.value == pytest.approx(runs[trial.number].metrics["val/loss"])


def test_no_state_is_left(finished: tuple[Path, str]) -> None:
    home = finished[0] / "gatelab_runs" / "sweeps" / "small"
    assert (home / "models").is_dir() and not (home / STATES).exists()


def test_artifacts(finished: tuple[Path, str]) -> None:
    folder, _ = finished
    artifacts = {path.name: path for path in (folder / "gatelab_runs" / "artifacts").rglob("*.*")}
    for label in ("dselect_k", "top_k", "softmax"):
        assert artifacts[f"weights-{label}.png"].read_bytes().startswith(b"\x89PNG")
        model = torch.load(artifacts[f"{label}.pt"], weights_only=True)
        assert model["gate"] == label
    scores = pd.read_csv(artifacts["comparison.csv"])
    assert set(scores["gate"]) == {"dselect_k", "top_k", "softmax"}
    record = read(folder, "small")
    losses = [run.metrics["test/loss"] for run in record.of("evaluate", "top_k")]
    row = scores[(scores["gate"] == "top_k") & (scores["metric"] == "test/loss")]
    assert row["mean"].item() == pytest.approx(sum(losses) / 3)
    assert len(json.loads(artifacts["comparison.json"].read_text())["tests"]) > 3
    assert load_spec(artifacts["spec.yaml"]).name == "small"


def test_compare_and_a_second_launch(finished: tuple[Path, str]) -> None:
    folder, output = finished
    said = in_process.gatelab(folder, "compare", "small")
    table = "\n".join(
        line for line in said.splitlines() if "an epoch has 4 steps" not in line.lower()
    )
    assert table.strip() in output
    text = in_process.gatelab(folder, "compare", "small", "--format", "markdown")
    assert "| test loss |" in text
    message = in_process.gatelab(folder, "launch", "small.yaml", code=2)
    assert "sweep 'small' is there already" in message
    message = in_process.gatelab(folder, "resume", "small", code=2)
    assert "sweep 'small' is finished: `gatelab compare small` shows it, and" in message
    assert len(read(folder, "small").runs) == 25


def test_failing_gates_and_own_gates(place: Path) -> None:
    """Every trial of a gate fails: the others go on, and the table says so."""
    (place / "mine.py").write_text(MODULE)
    gates = (
        "gates: {mean: {gate: 'mine:mean'}, raising: {gate: 'mine:raising'}, "
        "narrow: {gate: 'mine:narrow'}, wild: {gate: top_k}}"
    )
    text = SPEC.replace("gates: [dselect_k, top_k, softmax]", gates).replace("small", "failing")
    text += "optimizer: {learning_rate: [0.001, 1.0e+30]}\n"
    (place / "failing.yaml").write_text(text.replace("trials: 4", "trials: 6"))
    output = in_process.gatelab(place, "launch", "failing.yaml", code=4)
    assert output.endswith("gatelab: no score: raising, narrow.\n")
    assert output.count("its trials will fail: ") == 2
    assert "raising has no score: no trial finished: RuntimeError: no way through" in output
    assert "narrow has no score: no trial finished: ValueError: NarrowGate: weights must" in output
    record = read(place, "failing")
    for label in ("raising", "narrow"):
        assert Counter(r.end for r in record.of("search", label)) == {"failed": 6}
    assert {r.status for r in record.of("search", "raising")} == {"FAILED"}
    assert record.of("gate", "raising")[0].status == "FAILED"
    assert len(record.of("evaluate", "mean")) == 3
    working = ("mean", "wild")
    diverged = [r for r in record.of("search") if r.gate in working and r.end == "failed"]
    assert diverged, "a learning rate of 1e30 diverges"
    for found in diverged:
        assert float(found.params["optimizer.learning_rate"]) == 1e30
        assert "loss is" in found.tags["end.reason"]
    for study in studies(place, "failing").values():
        assert all(trial.state.is_finished() for trial in study.get_trials())


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="one core is one worker")
def test_short_trials_are_shared_between_workers(place: Path) -> None:
    """Also where a trial takes less time than the start of a worker, as after one is lost.

    There are more trials than are done while a worker starts, however busy the machine is.
    """
    (place / "mine.py").write_text(MODULE)
    text = SPEC.replace("[dselect_k, top_k, softmax]", "['mine:mean']").replace("small", "short")
    text = text.replace("max_epochs: 6", "max_epochs: 1").replace("trials: 4", "trials: 2000")
    text = re.sub("early_stopping: {.*?}", "sampler: random, early_stopping: false", text)
    (place / "short.yaml").write_text(f"{text}\nresources: {{members: 1}}\n")
    process = launched(place, "launch", "short.yaml")
    first = wait_for_workers(place, process, 2, {process.pid})
    os.kill(min(first), signal.SIGKILL)
    wait_for_workers(place, process, 1, {process.pid, *first})
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=100)
    assert process.returncode == 130, output
    trials = read(place, "short").of("search")
    assert sorted(int(run.tags["trial"]) for run in trials) == list(range(len(trials)))
    ends = Counter(run.end for run in trials)
    assert {*ends} <= {"finished", ""} and ends[""] <= 3, "two that run, and one that waits"


def wait_for_workers(
    folder: Path, driver: subprocess.Popen[str], number: int, known: set[int]
) -> set[int]:
    """Wait until so many more have done a trial, which makes a gate for each of four targets."""
    deadline = time.monotonic() + 120
    while True:
        traces = {int(p.name.removeprefix("process-")): p for p in folder.glob("process-*")}
        made = {pid: path.read_text().count("made") for pid, path in traces.items()}
        found = {pid for pid, count in made.items() if count >= 4 and pid not in known}
        if len(found) == number:
            return found
        assert driver.poll() is None, driver.communicate()[0]
        assert time.monotonic() < deadline, made
        time.sleep(0.1)
