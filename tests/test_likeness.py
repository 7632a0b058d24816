"""Modules that differ in more than tensors are told apart, and those that do not are not."""

from __future__ import annotations

import weakref
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from random import Random
from types import FunctionType, MethodType
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, fx, nn
from torch.nn.utils import parametrizations

from gatelab.gates import SoftmaxGate, Stack, gates
from gatelab.gates.check import run_checks
from gatelab.nn.likeness import advice, difference
from gatelab.tasks import Network, SyntheticGroups
from gatelab.training.configuration import Configuration
from gatelab.training.member import Member, Recipe
from gatelab.training.train import Training
from tests.unsteady_gates import Placed

OPTIMIZER = {"name": "adam", "learning_rate": 0.01, "weight_decay": 0.0}
MEMBER = Member(Configuration.of({}, {"num_experts": 3}, OPTIMIZER), 0)
RECIPE = Recipe(batch_size=32, max_epochs=2)
TASK = SyntheticGroups(num_targets=3, train_rows=64, val_rows=32, test_rows=32)


class Holder(nn.Module):
    """Keeps a value as a plain attribute."""

    def __init__(self, value: Any) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 3)
        self.value = value


class Plain:
    """An object without a rule of when it equals another."""

    def __init__(self, value: Any) -> None:
        self.value = value


class Slotted:
    """Keeps a value beside its attributes."""

    __slots__ = ("__dict__", "value")

    def __init__(self, value: Any) -> None:
        self.name, self.value = "the same", value


class Named(set[Any]):
    """Has items beside its attributes."""

    name = ""

    def __init__(self, value: Any) -> None:
        super().__init__([value])
        self.name = "the same"


class Annotated(float):
    """Is the same number whatever its attribute is."""

    note: Any

    def __new__(cls, note: Any) -> Annotated:
        made = super().__new__(cls, 1.0)
        made.note = note
        return made


def scaled(factor: float) -> Callable[[Tensor], Tensor]:
    return lambda x: factor * x


def of_globals(function: Callable[..., Any], **known: Any) -> Callable[..., Any]:
    """Return a function of the same code that finds other things, as one of another file would."""
    return FunctionType(function.__code__, known)


def doubled(x: Tensor) -> Tensor:
    return x * FACTOR  # type: ignore[name-defined, no-any-return]  # noqa: F821


def doubled_within(x: Tensor) -> Tensor:
    return (lambda: x * FACTOR)()  # type: ignore[name-defined, no-any-return]  # noqa: F821


def calling(x: Tensor) -> Tensor:
    return other(x)  # type: ignore[name-defined, no-any-return]  # noqa: F821


def mutual(value: float) -> Callable[..., Any]:
    """Return a function that calls another, which leads back to it and finds a number."""
    made = of_globals(calling, other=None)
    made.__globals__["other"] = of_globals(doubled, FACTOR=value)
    made.__globals__["other"].again = made  # type: ignore[attr-defined]
    return made


def with_default(value: float) -> Callable[..., Any]:
    def add(x: Tensor, *, by: float = value) -> Tensor:
        return x + by

    return add


def with_note(value: float) -> Callable[..., Any]:
    made = of_globals(doubled, FACTOR=1)
    made.note = value  # type: ignore[attr-defined]
    return made


def traced(value: float) -> nn.Module:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(2, 2)

        def forward(self, x: Tensor) -> Any:
            return torch.relu(self.linear(x)) * value

    return fx.symbolic_trace(Scaled())


def calls_a_function(value: float) -> nn.Module:
    """Trace to code that is the same for each function that it calls."""
    graph = fx.Graph()
    function = of_globals(doubled, FACTOR=value)
    function.__module__ = "of_mine"
    graph.output(graph.call_function(function, (graph.placeholder("x"),)))
    return fx.GraphModule(nn.Module(), graph)


def hooked(factor: float) -> nn.Module:
    module = nn.Linear(2, 2)
    module.register_forward_hook(lambda module, inputs, output: output * factor)
    return module


def patched(factor: float) -> nn.Module:
    module: Any = nn.Linear(2, 2)
    module.forward = MethodType(lambda self, x: x * factor, module)
    return module


def of_a_local_class(factor: float) -> nn.Module:
    class Local(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) * factor

    return Local(2, 2)


def frozen(value: float) -> nn.Module:
    return nn.Linear(2, 2).requires_grad_(value < 2)


def evaluated(value: float) -> nn.Module:
    return nn.Sequential(nn.Dropout().train(value < 2))


def with_list(value: float) -> nn.Module:
    return Holder([nn.Linear(2, 2).requires_grad_(value < 2)])


MAKERS: dict[str, Callable[[Any], nn.Module]] = {
    "number": Holder,
    "submodule's": lambda value: nn.Sequential(nn.ReLU(), Holder(value)),
    "tensor": lambda value: Holder(torch.tensor([value, float("nan")])),
    "array": lambda value: Holder(np.array([value, 2.0])),
    "nested": lambda value: Holder({"a": [1, (value, "b")]}),
    "object": lambda value: Holder(Plain(value)),
    "slot": lambda value: Holder(Slotted(value)),
    "item": lambda value: Holder(Named(value)),
    "attribute of a number": lambda value: Holder(Annotated(value)),
    "masked array": lambda value: Holder(np.ma.masked_array([value, 1.0], [False, True])),
    "random numbers": lambda value: Holder(Random(int(value))),
    "what is not there": lambda value: Holder(defaultdict(partial(float, value))),
    "closure": lambda value: Holder(scaled(value)),
    "global": lambda value: Holder(of_globals(doubled, FACTOR=value)),
    "global of an inner function": lambda value: Holder(of_globals(doubled_within, FACTOR=value)),
    "global of a global": lambda value: Holder(mutual(value)),
    "default": lambda value: Holder(with_default(value)),
    "attribute of a function": lambda value: Holder(with_note(value)),
    "traced": traced,
    "traced module's submodule": lambda value: fx.symbolic_trace(nn.Sequential(nn.ELU(value))),
    "traced module's function": calls_a_function,
    "partial": lambda value: Holder(partial(torch.add, alpha=value)),
    "generator": lambda value: Holder(torch.Generator().manual_seed(int(value))),
    "activation": lambda value: nn.Sequential(nn.ReLU() if value < 2 else nn.Tanh()),
    "argument": lambda value: nn.Sequential(nn.LeakyReLU(value)),
    "shape": lambda value: nn.Linear(2, int(value)),
    "type": lambda value: nn.Linear(2, 2).to(torch.float64 if value < 2 else torch.float32),
    "hook": hooked,
    "forward": patched,
    "local class": of_a_local_class,
    "frozen": frozen,
    "mode": evaluated,
    "attribute missing": lambda value: Holder(1) if value < 2 else nn.Sequential(nn.Linear(3, 3)),
    "layers": lambda value: nn.Sequential(*(nn.ReLU() for _ in range(int(value)))),
}


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_what_differs_is_found(make: Callable[[Any], nn.Module]) -> None:
    assert difference(make(1.0), make(1.0)) == ""
    assert "differs (" in difference(make(1.0), make(3.0))


def test_a_difference_says_where_and_what() -> None:
    found = difference(*(nn.Sequential(nn.ReLU(), Holder(value)) for value in (1.0, 50.0)))
    assert found == "'1.value' differs (1.0 and 50.0)"
    found = difference(nn.Sequential(nn.ReLU()), nn.Sequential(nn.Tanh()))
    assert found == "'0' differs (ReLU and Tanh)"
    found = difference(Holder("x" * 1000), Holder("y" * 1000))
    assert len(found) < 150


def back_reference() -> nn.Module:
    module: Any = nn.Sequential(Holder(None))
    module[0].value = weakref.ref(module)
    object.__setattr__(module[0], "parent", module)
    return module  # type: ignore[no-any-return]


ALIKE: dict[str, Callable[[], nn.Module]] = {
    "recurrent": lambda: nn.Sequential(nn.LSTM(2, 3, num_layers=2), nn.GRU(3, 2)),
    "attention": lambda: nn.TransformerEncoderLayer(4, 2, 8),
    "normed": lambda: parametrizations.weight_norm(nn.Linear(2, 2)),
    "spectral": lambda: parametrizations.spectral_norm(nn.Linear(2, 2)),
    "a reference to the whole": back_reference,
    "traced": lambda: fx.symbolic_trace(nn.Sequential(nn.Linear(2, 2), nn.ReLU())),
    "a global that is not asked for": lambda: Holder(of_globals(doubled, factor=torch.rand(2))),
    "not a number": lambda: Holder(float("nan")),
}


@pytest.mark.parametrize("make", ALIKE.values(), ids=ALIKE)
def test_what_differs_in_tensors_alone_is_alike(make: Callable[[], nn.Module]) -> None:
    assert difference(make(), make()) == ""


@pytest.mark.parametrize("name", gates.names())
def test_our_gates_of_different_targets_are_alike(name: str) -> None:
    made = [gates.get(name)(6, 8) for _ in range(3)]
    for target, gate in enumerate(made):
        gate.place(target, 3)
    assert [difference(made[0], gate) for gate in made] == ["", "", ""]


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
