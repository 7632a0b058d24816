"""What writes into its input is refused before anything is trained, and data stay as they were."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from torch import Tensor, nn

from gatelab.gates import SoftmaxGate
from gatelab.gates.gate import Gate, Routing
from gatelab.nn.writers import writers
from gatelab.sweeps.cli import main
from gatelab.tasks import SplitName
from gatelab.training.train import Training
from tests.in_process import modules_of
from tests.odd_layers import WIDTH
from tests.test_rehearsal import RECIPE, Odd, member

SPLITS: tuple[SplitName, ...] = ("train", "val", "test")


class Shifting(SoftmaxGate):
    """Moves what all other gates and experts read."""

    def forward(self, x: Tensor) -> Routing:
        x -= 1.0
        return super().forward(x)


class Rectifying(SoftmaxGate):
    """Begins with a ReLU in place."""

    def forward(self, x: Tensor) -> Routing:
        return super().forward(nn.functional.relu(x, inplace=True))


class ShiftingInEvaluation(Shifting):
    """Does so where no gradient is."""

    def forward(self, x: Tensor) -> Routing:
        return super().forward(x.clone() if self.training else x)


class ShiftingInTraining(Shifting):
    """Does so in steps alone."""

    def forward(self, x: Tensor) -> Routing:
        return super().forward(x if self.training else x.clone())


class Clamped(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.clamp_(min=-0.5)


class ThroughAView(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        x.flatten()[0] = 0
        return x


def rectified(width: int = WIDTH) -> nn.Module:
    return nn.Sequential(nn.ReLU(inplace=True), nn.Linear(WIDTH, width))


WRITERS: list[tuple[str, type[Gate], dict[str, Callable[..., nn.Module]]]] = [
    ("gates (Shifting)", Shifting, {}),
    ("gates (Rectifying)", Rectifying, {}),
    ("gates (ShiftingInEvaluation)", ShiftingInEvaluation, {}),
    ("gates (ShiftingInTraining)", ShiftingInTraining, {}),
    ("bottom (Clamped)", SoftmaxGate, {"bottom": Clamped}),
    ("gate_input (Clamped)", SoftmaxGate, {"gate_input": Clamped}),
    ("gate_input (ThroughAView)", SoftmaxGate, {"gate_input": ThroughAView}),
    ("experts (Sequential)", SoftmaxGate, {"expert": rectified}),
    ("towers.0 (Sequential)", SoftmaxGate, {"tower": lambda target: rectified(1)}),
]


@pytest.mark.parametrize("seeds", [[0], [0, 1]])
@pytest.mark.parametrize(("name", "gate", "parts"), WRITERS, ids=[name for name, *_ in WRITERS])
def test_a_part_that_writes_into_its_input_is_refused_and_data_stay(
    name: str, gate: type[Gate], parts: dict[str, Callable[..., nn.Module]], seeds: list[int]
) -> None:
    task = Odd(**parts)
    before = {split: task.data(split).inputs.clone() for split in SPLITS}
    with pytest.raises(ValueError, match="must stay as it is") as caught:
        Training(task, gate, [member(it) for it in seeds], RECIPE, scored=("val", "test"))
    assert f"but {name} writes into its input: " in str(caught.value)
    assert all(torch.equal(task.data(split).inputs, it) for split, it in before.items())


def test_what_is_written_into_within_a_part_is_its_own() -> None:
    def expert() -> nn.Module:
        return nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.ReLU(inplace=True))

    assert Training(Odd(expert=expert), SoftmaxGate, [member()], RECIPE).notes == []


def test_the_hooks_are_gone_afterwards_whatever_a_pass_raises() -> None:
    module = Clamped()

    def once() -> None:
        module(torch.zeros(2))
        raise RuntimeError("later")

    assert writers([module], [once]) == [module]
    assert not module._forward_hooks and not module._forward_pre_hooks


SPEC = """
name: c
task: TASK
model: {num_experts: 2}
gates: [softmax, 'mine:GATE']
baselines: false
training: {max_epochs: 1, batch_size: 8}
search: {trials: 1, early_stopping: false}
evaluation: {seeds: 1}
"""
MODULE = '''
import torch
from torch import nn
from gatelab.gates import SoftmaxGate, register_gate
from gatelab.tasks import SyntheticGroups, register_task


@register_gate("plain")
class Plain(SoftmaxGate):
    """Does nothing odd."""


@register_gate("shifting")
class Shifting(SoftmaxGate):
    """Moves what all others read."""

    def forward(self, x):
        x -= 1.0
        return super().forward(x)


class Clamped(nn.Module):
    def forward(self, x):
        return x.clamp_(min=0)


@register_task("mine")
class Mine(SyntheticGroups):
    """A task one of whose networks writes into what it reads."""

    def __init__(self, *, part: str = ""):
        super().__init__(num_targets=2, train_rows=64, val_rows=32, test_rows=32)
        self.part = part

    def network(self):
        network = super().network()
        if self.part == "tower":
            made = network.tower
            tower = lambda target: nn.Sequential(nn.ReLU(inplace=True), made(target))
            return network.__class__(**{**vars(network), "tower": tower})
        return network.__class__(**{**vars(network), self.part: Clamped})
'''
OURS = "{name: synthetic_groups, num_targets: 2, train_rows: 64, val_rows: 32, test_rows: 32}"


@pytest.mark.parametrize("command", ["validate", "launch"])
@pytest.mark.parametrize(
    ("task", "gate", "said"),
    [
        (OURS, "shifting", "gates.shifting: a gate must leave what it reads as it was"),
        ("{name: 'mine:mine', part: gate_input}", "plain", "the gate_input changes its input; "),
        ("{name: 'mine:mine', part: bottom}", "plain", "the bottom changes its input; "),
        ("{name: 'mine:mine', part: tower}", "plain", "the tower of 't000' changes its input; "),
    ],
)
def test_validate_and_launch_refuse_it_alike(
    task: str, gate: str, said: str, command: str, tmp_path: Path
) -> None:
    (tmp_path / "mine.py").write_text(MODULE)
    (tmp_path / "bad.yaml").write_text(SPEC.replace("TASK", task).replace("GATE", gate))
    with modules_of(tmp_path):
        result = CliRunner().invoke(main, [command, "bad.yaml"])
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1), result.output
    assert said in result.stderr
    assert {path.name for path in tmp_path.iterdir()} - {"__pycache__"} == {"mine.py", "bad.yaml"}


def test_a_pass_without_gradients_is_done_to_its_end() -> None:
    """Tensors of an inference mode have no count of their changes."""
    part, seen = nn.Linear(2, 1), list[tuple[int, ...]]()

    @torch.inference_mode()
    def once() -> None:
        seen.append(part(torch.ones(3, 2)).shape)

    assert not writers([part], [once]) and seen == [(3, 1)]
