"""Files of a record that are damaged: one line that names the file."""

from __future__ import annotations

from pathlib import Path

import pytest
from mlflow import MlflowClient

from gatelab.results.recorded_tables import recorded_table
from gatelab.sweeps.export.selected import _task
from gatelab.tracking.mlflow_read import read_sweep, with_spec
from gatelab.tracking.sqlite import default_uri
from tests.made_sweeps import MadeSweep


@pytest.mark.parametrize("text", ["a: [", "task", "[]", "name: a", "task: {name: [}"])
def test_a_damaged_spec_is_named(text: str, tmp_path: Path) -> None:
    MadeSweep(tmp_path, "a", ["softmax"], trials=1, seeds=1, spec=text)
    record = read_sweep(default_uri(tmp_path), "a")
    assert record.run is not None
    with pytest.raises(ValueError, match=f"^sweep 'a': spec.yaml of its run {record.run.run_id} "):
        _task(record, tmp_path)


WEIGHTS = b"seed,target,expert,weight\r\n007,a,0,0.25\r\n007,b,0,0.75\r\n"
DAMAGED = (
    b"",
    b"\xff\xfe\x00",
    WEIGHTS[:-10],
    b"<html></html>\n",
    b"seed,target,expert",
)


@pytest.mark.parametrize("content", [WEIGHTS, *DAMAGED])
def test_a_table_is_read_whole_or_named(content: bytes, tmp_path: Path) -> None:
    MadeSweep(tmp_path, "a", ["softmax"], trials=1, seeds=1)
    uri = default_uri(tmp_path)
    (run,) = read_sweep(uri, "a").of("gate")
    names = {"seed": str, "target": str, "repeat": str}
    assert recorded_table(uri, run, "weights.csv", names) is None
    path = tmp_path / "weights.csv"
    path.write_bytes(content)
    MlflowClient(uri).log_artifact(run.run_id, path)
    if content == WEIGHTS:
        found = recorded_table(uri, run, "weights.csv", names)
        assert found is not None and found.weight.tolist() == [0.25, 0.75]
        assert found.seed.tolist() == ["007", "007"]
        return
    said = rf"^weights.csv of the run 'a/softmax' \({run.run_id}\) is damaged\.$"
    with pytest.raises(ValueError, match=said):
        recorded_table(uri, run, "weights.csv", names)


def test_a_spec_that_is_no_text_is_named(tmp_path: Path) -> None:
    MadeSweep(tmp_path, "a", ["softmax"], trials=1, seeds=1)
    record = read_sweep(default_uri(tmp_path), "a")
    assert record.run is not None
    path = tmp_path / "spec.yaml"
    path.write_bytes(b"name: \xff")
    MlflowClient(record.uri).log_artifact(record.run.run_id, path)
    with pytest.raises(ValueError, match=f"^sweep 'a': spec.yaml of its run {record.run.run_id} "):
        with_spec(record)
