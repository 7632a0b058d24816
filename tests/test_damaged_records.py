"""Files of a record that are damaged: one line that names the file."""

from __future__ import annotations

from pathlib import Path

import pytest

from gatelab.sweeps.export.selected import _task
from gatelab.tracking.mlflow_read import read_sweep
from gatelab.tracking.sqlite import default_uri
from tests.made_sweeps import MadeSweep


@pytest.mark.parametrize("text", ["a: [", "task", "[]", "name: a", "task: {name: [}"])
def test_a_damaged_spec_is_named(text: str, tmp_path: Path) -> None:
    MadeSweep(tmp_path, "a", ["softmax"], trials=1, seeds=1, spec=text)
    record = read_sweep(default_uri(tmp_path), "a")
    assert record.run is not None
    with pytest.raises(ValueError, match=f"^sweep 'a': spec.yaml of its run {record.run.run_id} "):
        _task(record, tmp_path)
