"""Modules that differ in more than tensors are refused, or run apart; and what to do is told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gatelab.gates import SoftmaxGate, Stack
from gatelab.gates.check import run_checks
from gatelab.nn.likeness import advice, difference
from gatelab.tasks import Network, SyntheticGroups
from gatelab.training.configuration import Configuration
from gatelab.training.member import Member, Recipe
from gatelab.training.train import Training
from tests.odd_layers import Holder
from tests.unsteady_gates import Placed

OPTIMIZER = {"name": "adam", "learning_rate": 0.01, "weight_decay": 0.0}
MEMBER = Member(Configuration.of({}, {"num_experts": 3}, OPTIMIZER), 0)
RECIPE = Recipe(batch_size=32, max_epochs=2)
TASK = SyntheticGroups(num_targets=3, train_rows=64, val_rows=32, test_rows=32)


def test_modules_that_differ_are_not_stacked() -> None:
    layers = [nn.Sequential(nn.Linear(2, 2), act) for act in (nn.ReLU(), nn.Tanh())]
    with pytest.raises(ValueError, match=r"Sequential: .* '1' differs \(ReLU and Tanh\); .*buffer"):
        Stack(layers)


def test_a_gate_that_keeps_its_target_as_an_attribute_is_refused() -> None:
    with pytest.raises(ValueError, match=r"Placed: .* 'target' differs \(0 and 1\); .*buffer"):
        Training(TASK, Placed, [MEMBER], RECIPE)


class Uneven(SoftmaxGate):
    """Keeps more of later targets."""

    def place(self, target: int, num_targets: int) -> None:
        self.register_buffer("numbers", torch.zeros(target))


def test_gates_of_different_shapes_are_told_what_to_do() -> None:
    """Not to freeze what is frozen."""
    said = (
        r"Uneven: .* 'numbers' differs \(\(0,\) .*\(1,\) .*; give it one shape and one type in all"
    )
    with pytest.raises(ValueError, match=said):
        Training(TASK, Uneven, [MEMBER], RECIPE)
    (outcome,) = [outcome for outcome in run_checks(Uneven) if not outcome.ok]
    assert outcome.check == "gates_differ_in_tensors_alone"
    assert outcome.reason.endswith("makes of it: give it one shape and one type in all of them.")


class Scale(nn.Module):
    def __init__(self, value: float, buffer: bool) -> None:
        super().__init__()
        self.linear = nn.Linear(16, 1)
        self.scale: Any
        if buffer:
            self.register_buffer("scale", torch.tensor(value))
        else:
            self.scale = value

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x) * self.scale


class Units(SyntheticGroups):
    """Towers with a number for each target, as buffers or as attributes."""

    def __init__(self, *, buffer: bool) -> None:
        super().__init__(num_targets=4, train_rows=64, val_rows=32, test_rows=32)
        self.buffer = buffer

    def network(self) -> Network:  # type: ignore[override]
        network = super().network(expert_width=16)
        scales = {target.name: [1.0, 50.0][i % 2] for i, target in enumerate(self.targets)}
        return replace(network, tower=lambda target: Scale(scales[target.name], self.buffer))


def test_towers_that_differ_run_apart() -> None:
    """Two groups of two targets, with the outputs that buffers give, where all four are one."""
    one, two = (Training(Units(buffer=b), SoftmaxGate, [MEMBER], RECIPE) for b in (True, False))
    assert [one.model.groups, two.model.groups] == [[[0, 1, 2, 3]], [[0, 2], [1, 3]]]
    outputs = [training.evaluate_best("val")[0].outputs for training in (one, two)]
    for first, second in zip(*outputs, strict=True):
        torch.testing.assert_close(first, second)


def test_members_that_differ_are_refused() -> None:
    class Drawn(SyntheticGroups):
        def network(self) -> Network:  # type: ignore[override]
            return replace(super().network(), gate_input=lambda: Holder(float(torch.rand(()))))

    members = [Member(MEMBER.configuration, seed) for seed in (0, 1)]
    with pytest.raises(ValueError, match=r"one structure.*'gate_input\.value' differs"):
        Training(Drawn(), SoftmaxGate, members, RECIPE)


def test_members_whose_classes_are_made_anew_are_alike() -> None:
    class Local(SyntheticGroups):
        def network(self) -> Network:  # type: ignore[override]
            class Bottom(nn.Identity):
                pass

            return replace(super().network(), bottom=Bottom)

    task = Local(train_rows=64, val_rows=32, test_rows=32)
    members = [Member(MEMBER.configuration, seed) for seed in (0, 1)]
    assert len(Training(task, SoftmaxGate, members, RECIPE).members) == 2


class Listed(nn.Module):
    """Keeps layers where torch does not find them."""

    def __init__(self, keep: Callable[[list[nn.Module]], Any]) -> None:
        super().__init__()
        self.layers = keep([nn.Linear(2, 2), nn.Linear(2, 2)])


def learnt_attribute() -> nn.Module:
    return Holder(torch.randn(2, 2, requires_grad=True))


COMPILED = "a compiled module cannot be stacked: give the module itself"
TOLD: list[tuple[Callable[[], nn.Module], str, str]] = [
    (
        lambda: Listed(list),
        "'layers' differs (layers in a list and layers in a list)",
        "ModuleList",
    ),
    (
        lambda: Listed(tuple),
        "'layers' differs (layers in a tuple and layers in a tuple)",
        "ModuleL",
    ),
    (
        lambda: Listed(lambda layers: {"a": layers[0]}),
        "'layers' differs (layers in a dict and layers in a dict)",
        "keep layers in an `nn.ModuleDict`",
    ),
    (
        learnt_attribute,
        "'value' differs (a tensor (2, 2) with a gradient and a tensor (2, 2) with a gradient)",
        "make it an `nn.Parameter`",
    ),
    (lambda: Holder(torch.randn(2)), "'value' differs (tensor(", "(`register_buffer`)"),
    (lambda: torch.compile(nn.Linear(2, 2), backend="eager"), "the module is compiled", COMPILED),
    (
        lambda: nn.Sequential(nn.LazyLinear(2)),
        "'0' makes its parameters in its first",
        "`__init__`",
    ),
    (
        lambda: nn.Sequential(torch.jit.script(nn.Linear(2, 2))),
        "'0' is compiled",
        COMPILED,
    ),
]


class Late(nn.Module):
    """Makes its parameter in its first forward."""

    def forward(self, x: Tensor) -> Tensor:
        if not hasattr(self, "kernel"):
            self.kernel = nn.Parameter(torch.zeros(x.shape[-1], 2))
        return x @ self.kernel


def test_what_a_forward_makes_is_told_by_its_place() -> None:
    for modules in ([Late(), Late()], [nn.LazyLinear(2), nn.LazyLinear(2)]):
        modules[0](torch.zeros(1, 3))
        for pair in (modules, modules[::-1]):
            assert "make what is registered in `__init__`" in advice(difference(*pair))


@pytest.mark.filterwarnings("ignore:.*torch.jit.script")
@pytest.mark.parametrize(("make", "said", "what_to_do"), TOLD, ids=[said for _, said, _ in TOLD])
def test_what_to_do_is_of_what_differs(
    make: Callable[[], nn.Module], said: str, what_to_do: str
) -> None:
    found = difference(make(), make())
    assert found.startswith(said)
    assert what_to_do in advice(found)
