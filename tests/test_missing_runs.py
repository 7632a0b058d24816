"""What was deleted in a store is said of a sweep, and of a model that is asked for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from gatelab.results.comparison.missing_runs import missing
from gatelab.sweeps.export.recorded import read_saved
from gatelab.sweeps.export.selected import read_selected
from gatelab.tracking.mlflow_client import open_client
from gatelab.tracking.mlflow_read import read_sweep, sweep_links
from gatelab.tracking.runs import SweepRecord
from gatelab.tracking.sqlite import default_uri
from tests.made_sweeps import MadeSweep

AGAIN = "deleted there? `gatelab resume one --redeliver` writes all of it again"


@pytest.fixture
def uri(put_store: Callable[[Path], Path], tmp_path: Path) -> str:
    """A store with a sweep of two gates, eight trials and three seeds of each."""
    folder = put_store(tmp_path / "store")
    MadeSweep(folder, "one", gates=("top_k", "softmax"), seeds=3)
    return default_uri(folder)


def without(uri: str, stage: str) -> SweepRecord:
    """Delete the first run of a gate that is of a stage; return what is left."""
    run = read_sweep(uri, "one", trials=True).of(stage, "softmax")[0]
    open_client(uri).delete_run(run.run_id)
    return read_sweep(uri, "one", trials=True)


def test_nothing_is_missing_of_a_whole_sweep(uri: str) -> None:
    for trials in (False, True):
        assert not list(missing(read_sweep(uri, "one", trials=trials)))


def test_a_gate_whose_own_run_is_gone(uri: str) -> None:
    (line,) = missing(without(uri, "gate"))
    assert line.startswith(f"The run of softmax in one is not in the store: {AGAIN[:14]}")
    assert "whether softmax is a baseline" in line and AGAIN[15:] in line


def test_a_gate_of_which_nothing_is_left(uri: str) -> None:
    for run in read_sweep(uri, "one", trials=True).runs:
        if run.gate == "softmax":
            open_client(uri).delete_run(run.run_id)
    (line,) = missing(read_sweep(uri, "one"))
    assert line.startswith("The run of softmax in one is not in the store")


def test_trials_that_are_gone_are_counted_where_trials_were_read(uri: str) -> None:
    (line,) = missing(without(uri, "search"))
    assert line == f"7 of 8 trials of softmax in one are in the store: were others {AGAIN}."
    assert not list(missing(read_sweep(uri, "one")))


def test_a_sweep_whose_own_run_alone_is_gone_has_others_left(uri: str) -> None:
    record = read_sweep(uri, "one", trials=True)
    assert record.run is not None
    others = [run for run in record.runs if run.run_id != record.run.run_id]
    open_client(uri).delete_run(record.run.run_id)
    back = f"`mlflow runs restore --run-id {record.run.run_id}` brings"
    with pytest.raises(LookupError, match="^the run 'one' was deleted in ") as why:
        sweep_links(uri, "one")
    assert f"{back} it back" in str(why.value)
    for run in others:
        open_client(uri).delete_run(run.run_id)
    with pytest.raises(LookupError, match="^all runs of 'one' were deleted in ") as why:
        sweep_links(uri, "one")
    assert f"{back} back the sweep's own" in str(why.value)


def test_a_model_whose_run_is_gone(uri: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError) as raised:
        read_selected(without(uri, "gate"), "softmax", tmp_path)
    where = "gate 'softmax' of sweep 'one' has no model: its own run is not in the store"
    assert str(raised.value) == f"{where}: {AGAIN}."


@pytest.mark.parametrize("saved", [[1], {"gate": "softmax"}, None])
def test_a_file_of_torch_that_is_no_model(saved: object, uri: str, tmp_path: Path) -> None:
    torch.save(saved, tmp_path / "softmax.pt")
    run = read_sweep(uri, "one").of("gate", "softmax")[0].run_id
    open_client(uri).log_artifact(run, str(tmp_path / "softmax.pt"))
    with pytest.raises(ValueError, match=rf"^here: softmax\.pt of its run {run} is damaged\.$"):
        read_saved("here", uri, run, "softmax")
