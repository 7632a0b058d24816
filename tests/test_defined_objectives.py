"""An objective that the val split does not define: found before every trial fails of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from gatelab.sweeps.cli import main
from tests.in_process import modules_of

SPEC = """
name: c
task: {{name: "ours:ours", same: [{same}], weighed: {weighed}}}
metrics: [r2, rmse, auroc, accuracy, "ours:strict", "ours:skew"]
model: {{num_experts: 2}}
gates: [softmax]
baselines: false
search: {{trials: 2, objective: {objective}}}
"""
MODULE = '''
import torch
from torch import nn
from gatelab import Metric, Network, Split, Target, Task, register_metric, register_task


@register_metric("strict")
class Strict(Metric):
    """Of one value it is nothing."""

    kinds = ("regression",)
    higher_is_better = True

    def compute(self, outputs, target, weights=None):
        if len(target.unique()) == 1:
            raise ZeroDivisionError("no spread")
        return (outputs[:, 0] - target).mean()


@register_metric("skew")
class Skew(Metric):
    """Of errors that are all 0 it is NaN."""

    kinds = ("regression",)
    higher_is_better = False

    def compute(self, outputs, target, weights=None):
        errors = outputs[:, 0] - target
        return errors.pow(3).mean() / errors.square().mean() ** 1.5


@register_task("ours")
class Ours(Task):
    """Of four targets those that are named have one value on val."""

    targets = (
        Target("a", "regression", scale=3.0, offset=1.0),
        Target("b", "binary"),
        Target("c", "binary"),
        Target("d", "multiclass", num_classes=3),
    )

    def __init__(self, *, same: list[str] = (), weighed: bool = False):
        self.same, self.weighed = same, weighed

    def split(self, name):
        x = torch.randn(30, 4, generator=torch.Generator().manual_seed(len(name)))
        y = torch.stack([x[:, 0], x[:, 1] > 0, x[:, 2] > 0, torch.arange(30) % 3], 1)
        for place, target in enumerate(self.targets):
            if name == "val" and target.name in self.same:
                y[1:, place] = 1
                y[0, place] = 0 if self.weighed else 1
        weights = torch.ones(30)
        weights[0] = 0
        return Split(x, y, weights=weights if self.weighed else None)

    def network(self):
        return Network(
            bottom=nn.Identity,
            gate_input=nn.Identity,
            gate_features=4,
            expert=lambda: nn.Linear(4, 4),
            tower=lambda target: nn.Linear(4, target.out_features),
        )
'''


def tried(command: str, folder: Path, objective: str, same: str, weighed: str) -> tuple[int, str]:
    """Return what a command says of an objective, with one value of some targets on val."""
    (folder / "ours.py").write_text(MODULE)
    text = SPEC.format(objective=objective, same=same, weighed=weighed)
    (folder / "c.yaml").write_text(text)
    with modules_of(folder):
        result = CliRunner().invoke(main, [command, "c.yaml"])
    assert {path.name for path in folder.iterdir()} <= {"ours.py", "c.yaml", "__pycache__"}
    return result.exit_code, result.stderr


@pytest.mark.parametrize("command", ["validate", "launch"])
@pytest.mark.parametrize(
    ("objective", "same", "weighed", "why"),
    [
        ("val/b/auroc", "b", "false", "1 distinct of 30 known values of 'b'"),
        ("val/mean/auroc", "b, c", "false", "1 distinct of 30 known values of 'b'"),
        ("val/a/r2", "a", "false", "1 distinct of 30 known values of 'a'"),
        ("val/c/auroc", "c", "true", "1 distinct of 29 known values of 'c'"),
        ("val/a/strict", "a", "false", "it raises ZeroDivisionError: no spread"),
    ],
)
def test_it_is_refused(
    command: str, objective: str, same: str, weighed: str, why: str, tmp_path: Path
) -> None:
    code, message = tried(command, tmp_path, objective, same, weighed)
    rule = f"search.objective: must be defined on the val split, but {objective!r} is not: {why}"
    assert code == 2
    assert message.startswith(f"gatelab: c.yaml: {rule}")
    assert message.count("\n") == 1


@pytest.mark.parametrize(
    ("objective", "same"),
    [
        ("val/mean/auroc", "b"),
        ("val/b/accuracy", "b"),
        ("val/a/rmse", "a"),
        ("val/d/accuracy", "d"),
        ("val/a/skew", "b"),
        ("val/a/loss", "a"),
        ("loss", "a, b, c, d"),
        ("val/loss", "a, b, c, d"),
    ],
)
def test_what_is_defined_of_one_target_or_one_value_is_taken(
    objective: str, same: str, tmp_path: Path
) -> None:
    code, message = tried("validate", tmp_path, objective, same, "false")
    assert code == 0, message
