"""What only a last batch, or the test split, meets is found before anything runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.in_process import gatelab

pytestmark = pytest.mark.slow
SPEC = """
name: c
task: {name: 'mine:mine', how: HOW}
model: {num_experts: 3}
gates: [softmax]
baselines: false
training: {max_epochs: 2, batch_size: 32}
search: {trials: 2, early_stopping: false}
evaluation: {seeds: 2}
"""
MODULE = '''
import torch
from torch import nn
from gatelab.tasks import Network, SyntheticGroups, register_task


class Odd(nn.Linear):
    """Does as it is told."""

    def __init__(self, how):
        super().__init__(8, 8)
        self.how = how
        self.norm = nn.BatchNorm1d(8, track_running_stats=False)

    def forward(self, x):
        y, rows = super().forward(x), len(x)
        if self.how == "norm" and self.training:
            y = self.norm(y)
        if self.how == "fours" and self.training:
            y = y.view(-1, 4, 8).flatten(0, 1)
        if self.how == "squeeze":
            y = y.squeeze(0)
        if self.how == "item" and rows == 1:
            y = y * y.max().item()
        if self.how == "test" and rows == 47:
            y = y.view(12, -1)
        return y


@register_task("mine")
class Mine(SyntheticGroups):
    """A task with a network that is odd."""

    def __init__(self, *, how: str = "", train_rows: int = 97, test_rows: int = 48):
        super().__init__(
            num_targets=2, in_features=8, train_rows=train_rows, val_rows=48, test_rows=test_rows
        )
        self.how = how

    def network(self):
        return Network(
            bottom=lambda: Odd(self.how),
            gate_input=nn.Identity,
            gate_features=8,
            expert=lambda: nn.Linear(8, 8),
            tower=lambda target: nn.Linear(8, 1),
        )
'''


@pytest.fixture
def folder(place: Path) -> Path:
    (place / "mine.py").write_text(MODULE)
    return place


def told(folder: Path, how: str, *, code: int, command: str = "validate") -> str:
    (folder / "c.yaml").write_text(SPEC.replace("HOW", how))
    return gatelab(folder, command, "c.yaml", code=code)


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("norm", "ValueError: Expected more than 1 value per channel when training"),
        ("fours", "RuntimeError: shape '[-1, 4, 8]' is invalid for input of size 8"),
        ("squeeze", "Error: "),
    ],
)
def test_a_last_batch_of_one_row(folder: Path, how: str, said: str) -> None:
    """97 rows are three batches of 32 and one of 1."""
    for command in ("validate", "launch"):
        output = told(folder, how, code=2, command=command)
        assert output.startswith("gatelab: c.yaml: task: no gate can be trained: ")
        assert said.removeprefix("ValueError: ") in output and output.count("\n") == 1
        assert "in the last batch of an epoch, of 1 train rows" in output
    assert not (folder / "gatelab_runs/sweeps").exists()


@pytest.mark.parametrize("how", ["norm", "fours", "squeeze"])
def test_a_last_batch_with_which_it_can_do(folder: Path, how: str) -> None:
    assert "valid" in told(folder, f"{how}, train_rows: 100", code=0)


def test_a_last_batch_that_cannot_be_fused(folder: Path) -> None:
    """Its members are called one by one from the beginning: no epoch ends in an error."""
    line = "softmax: bottom (Odd) cannot be fused ("
    assert line in told(folder, "item", code=0)
    output = told(folder, "item", code=0, command="launch")
    assert line in output and " failed," not in output and "softmax: done" in output


def test_what_is_the_same_of_several_gates_is_one_line(folder: Path) -> None:
    """A launch says it once too, though the jobs of each gate find it again."""
    spec = SPEC.replace("HOW", "item")
    part = ": bottom (Odd) cannot be fused ("
    for gates, named in (("softmax, top_k", "every gate"), ("softmax, constant", "softmax")):
        (folder / "c.yaml").write_text(spec.replace("gates: [softmax]", f"gates: [{gates}]"))
        output = gatelab(folder, "validate", "c.yaml")
        assert output.count(part) == 1 and f"{named}{part}" in output
    (folder / "c.yaml").write_text(spec.replace("gates: [softmax]", "gates: [softmax, top_k]"))
    output = gatelab(folder, "launch", "c.yaml")
    assert output.count(part) == 1 and f"every gate{part}" in output


def test_a_test_split_with_which_it_cannot_do(folder: Path) -> None:
    """What an evaluation would meet after the whole search."""
    output = told(folder, "test, test_rows: 47", code=2)
    assert "RuntimeError: shape '[12, -1]' is invalid for input of size 376" in output
    assert "for test rows 0 to 46" in output
