"""A stack in every way of running it: vmapped, one by one, convolutions, and each its own input."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gatelab.gates import DSelectKGate, SoftmaxGate, Stack, TopKGate
from gatelab.gates.stack import ONE_BY_ONE_FROM, has_ties
from gatelab.tasks.layers import Dropout


def small() -> tuple[nn.Module, tuple[int, ...]]:
    return nn.Sequential(nn.Linear(6, 7), nn.ReLU(), nn.Linear(7, 3)), (6,)


def large() -> tuple[nn.Module, tuple[int, ...]]:
    return nn.Sequential(nn.Linear(6, ONE_BY_ONE_FROM // 6 + 1), nn.ReLU()), (6,)


def convolution() -> tuple[nn.Module, tuple[int, ...]]:
    layers = (nn.Conv2d(2, 3, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(12, 4))
    return nn.Sequential(*layers), (2, 6, 6)


def normalised() -> tuple[nn.Module, tuple[int, ...]]:
    layer = nn.BatchNorm1d(6).eval()
    assert layer.running_mean is not None
    layer.running_mean.normal_()
    return layer, (6,)


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("kind", [small, large, convolution, normalised])
def test_stack_is_the_loop_with_its_gradients(
    kind: Callable[[], tuple[nn.Module, tuple[int, ...]]], own: bool
) -> None:
    torch.manual_seed(0)
    modules = [kind()[0] for _ in range(3)]
    shape = kind()[1]
    x = torch.randn(3, 8, *shape) if own else torch.randn(8, *shape)
    expected = torch.stack([m(x[i] if own else x) for i, m in enumerate(modules)])
    stack = Stack(modules)
    stack.train(modules[0].training)
    found = stack(x, own=own)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    found.square().sum().backward()
    expected.square().sum().backward()
    for name, parameter in stack.each.named_parameters():
        loop = torch.stack([m.get_parameter(name).grad for m in modules])  # type: ignore[misc]
        torch.testing.assert_close(parameter.grad, loop, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", [small, large])
def test_how_it_runs_does_not_change_the_result(
    kind: Callable[[], tuple[nn.Module, tuple[int, ...]]],
) -> None:
    torch.manual_seed(0)
    stack, x = Stack([kind()[0] for _ in range(3)]), torch.randn(8, 6)
    assert stack.large == (kind is large)
    first = stack(x)
    stack.large = not stack.large
    torch.testing.assert_close(stack(x), first, rtol=1e-5, atol=1e-6)


GATES: list[Callable[[float], nn.Module]] = [
    lambda value: SoftmaxGate(6, 5),
    lambda value: TopKGate(6, 5, k=2),
    lambda value: DSelectKGate(6, 5, k=2, gamma=value, entropy_weight=value),
    lambda value: DSelectKGate(6, 5, k=2, gamma=value, static=True),
]


@pytest.mark.parametrize("gate", GATES)
def test_gates_with_hyperparameters_of_their_own_are_stacked(
    gate: Callable[[float], nn.Module],
) -> None:
    torch.manual_seed(0)
    modules = [gate(value).eval() for value in (0.02, 0.5, 3.0)]
    x = torch.randn(8, 6)
    weights, aux_loss, diagnostics, _ = Stack(modules).eval()(x)
    for i, (one, loss, values, _) in enumerate(m(x) for m in modules):
        torch.testing.assert_close(weights[i], one, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(aux_loss[i], loss, rtol=1e-5, atol=1e-6)
        assert {n: v[i].item() for n, v in diagnostics.items()} == {
            n: v.item() for n, v in values.items()
        }


@pytest.mark.parametrize("random", [Dropout(0.5), nn.Dropout(0.5)])
@pytest.mark.parametrize("one_by_one", [False, True])
def test_each_module_draws_numbers_of_its_own(random: nn.Module, one_by_one: bool) -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(50, 50), random)
    stack = Stack([module, copy.deepcopy(module)])  # equal but for what is drawn
    stack.large = one_by_one
    first, second = stack(torch.randn(20, 50))
    assert not torch.equal(first == 0, second == 0)
    first, second = stack.eval()(torch.randn(20, 50))
    torch.testing.assert_close(first, second)


def test_it_shares_nothing_with_what_it_was_made_from() -> None:
    modules = [small()[0], small()[0]]
    before = [{name: p.clone() for name, p in m.named_parameters()} for m in modules]
    stack = Stack(modules)
    with torch.no_grad():
        for parameter in stack.parameters():
            parameter.zero_()
    for module, old in zip(modules, before, strict=True):
        assert all(torch.equal(p, old[name]) for name, p in module.named_parameters())


def test_parameters_are_learnt_and_buffers_are_not() -> None:
    stack = Stack([DSelectKGate(6, 4, gamma=value) for value in (0.5, 2.0)])
    assert {name: p.shape[0] for name, p in stack.named_parameters()} == {
        "each.logits.kernel": 2,
        "each.logits.bias": 2,
    }
    assert dict(stack.named_buffers())["each.hardening.gamma"].tolist() == [0.5, 2.0]
    assert all(p.is_leaf and p.requires_grad for p in stack.parameters())


@pytest.mark.parametrize("index", [0, 1])
def test_one_module_alone(index: int) -> None:
    modules = [small()[0], small()[0]]
    stack, x = Stack(modules), torch.randn(8, 6)
    torch.testing.assert_close(stack.call_one(index, x), modules[index](x))
    tensors: dict[str, Tensor] = stack.only(index)
    expected: dict[str, Any] = dict(modules[index].named_parameters())
    assert tensors.keys() == expected.keys()
    assert all(torch.equal(tensors[name], expected[name]) for name in tensors)


class Told(nn.Module):
    """A module that vmap cannot run: what it does depends on a value."""

    def __init__(self) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(2.0))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.factor if float(self.factor.detach()) > 0 else x


@pytest.mark.parametrize("own", [False, True])
def test_of_one_module_nothing_is_fused(own: bool) -> None:
    x = torch.ones(1, 3, 2) if own else torch.ones(3, 2)
    assert torch.equal(Stack([Told()])(x, own=own), torch.full((1, 3, 2), 2.0))
    with pytest.raises(RuntimeError, match="vmap"):
        Stack([Told(), Told()])(torch.ones(2, 3, 2) if own else x, own=own)


class Shared(nn.Module):
    """Two layers of one weight."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False)
        self.two.weight = self.one.weight

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.two(self.one(x))
        return result


@pytest.mark.parametrize("count", [1, 2])
def test_layers_that_share_a_weight_run_with_each_modules_own(count: int) -> None:
    modules = [Shared() for _ in range(count)]
    stack, x = Stack(modules), torch.randn(3, 2)
    assert has_ties(modules[0]) and not has_ties(modules[0].one)
    assert [*stack.tensors()] == ["one.weight"]
    found = stack(x)
    for module, result in zip(modules, found, strict=True):
        assert torch.allclose(result, module(x))
    found.sum().backward()
    modules[-1](x).sum().backward()
    assert torch.allclose(stack.each.one.weight.grad[-1], modules[-1].one.weight.grad)
