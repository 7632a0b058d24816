"""``validate`` from Python: all that is known of a sweep before it runs, and nothing is written."""

from __future__ import annotations

from pathlib import Path

import pytest

import gatelab
from gatelab import validate
from gatelab.gates import SoftmaxGate
from gatelab.sweeps.spec.spec import SpecError
from gatelab.tasks import Table
from tests.test_table_task import people


class Mine(SoftmaxGate):
    """A gate of one's own."""


def spec(**more: object) -> dict[str, object]:
    task = Table(people(), targets={"income": "binary"})
    base = {"name": "v", "task": task, "gates": [Mine, "softmax"], "search": {"trials": 4}}
    return base | more


def test_a_frame_is_checked_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    found = validate(spec())
    assert found.gates[:2] == ("Mine", "softmax") and "constant" in found.gates
    assert found.plan.endswith("then 5 seeds of the best")
    assert any(line.startswith("84 rows of train, ") for line in found.said), found.said
    assert any("an epoch has 1 step" in line for line in found.remarks), found.remarks
    assert found.checks == (f"gatelab check gate {__name__}:Mine",)
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_launched_is_an_error() -> None:
    with pytest.raises(SpecError, match="unknown gate 'sofmax'; did you mean 'softmax'"):
        validate(spec(gates=["sofmax"]))


def test_it_is_one_of_the_calls_of_the_package() -> None:
    assert "validate" in gatelab.__all__ and gatelab.validate is validate
