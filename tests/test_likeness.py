"""Modules that differ in more than tensors are told apart, and those that do not are not."""

from __future__ import annotations

import weakref
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from random import Random
from types import FunctionType, MethodType
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, fx, nn
from torch.nn.utils import parametrizations

from gatelab.gates import gates
from gatelab.nn.likeness import difference
from tests.odd_layers import Holder


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
