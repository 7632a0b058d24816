"""Stack and mixture: the fused forms equal the plain loops."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gatelab.gates import DSelectKGate, Mixture, Routing, SoftmaxGate, Stack, TopKGate
from gatelab.gates.auxiliary import make_gate
from gatelab.gates.gate import Gate

X = torch.randn(40, 6, generator=torch.Generator().manual_seed(0))
GATES: list[tuple[type[Gate], dict[str, Any]]] = [
    (SoftmaxGate, {}),
    (TopKGate, {"k": 2}),
    (DSelectKGate, {"k": 2, "entropy_weight": 0.1}),
    (DSelectKGate, {"k": 2, "static": True}),
]


def experts(count: int = 5) -> list[nn.Module]:
    return [nn.Sequential(nn.Linear(6, 7), nn.ReLU(), nn.Linear(7, 3)) for _ in range(count)]


def close(ours: Tensor, theirs: Tensor) -> None:
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("own", [False, True])
def test_stack_is_the_loop(own: bool) -> None:
    torch.manual_seed(0)
    modules = experts()
    x = torch.randn(5, 40, 6) if own else X
    expected = torch.stack([m(x[i] if own else x) for i, m in enumerate(modules)])
    stack = Stack(modules)
    close(stack(x, own=own), expected)
    close(stack.call_one(3, x[3] if own else x), expected[3])


def test_stack_of_convolutions_is_the_loop() -> None:
    modules = [nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU()) for _ in range(3)]
    images = torch.randn(4, 1, 6, 6)
    close(Stack(modules)(images), torch.stack([m(images) for m in modules]))


def test_stack_of_modules_without_tensors() -> None:
    close(Stack([nn.ReLU(), nn.ReLU()])(X), torch.stack([X.relu(), X.relu()]))


def test_empty_stack_is_refused() -> None:
    with pytest.raises(ValueError, match="len"):
        Stack([])


@pytest.mark.parametrize(("gate", "options"), GATES)
def test_mixture_is_the_loop_with_its_gradients(gate: type[Gate], options: dict[str, Any]) -> None:
    torch.manual_seed(0)
    chosen, modules = [gate(6, 5, **options) for _ in range(3)], experts()
    mixture = Mixture(chosen, modules)
    mixed, routing = mixture(X, X)
    outputs = torch.stack([m(X) for m in modules])
    expected, aux = [], []
    for one in chosen:
        weights, loss, *_ = one(X)
        expected.append(torch.einsum("bn,nbd->bd", weights, outputs))
        aux.append(loss)
    close(mixed, torch.stack(expected))
    close(routing.aux_loss, torch.stack(aux))
    assert routing.weights.shape == (3, 40, 5)
    (mixed.square().sum() + routing.aux_loss.sum()).backward()
    (torch.stack(expected).square().sum() + torch.stack(aux).sum()).backward()
    for name, parameter in mixture.experts.each.named_parameters():
        loop = torch.stack([dict(m.named_parameters())[name].grad for m in modules])  # type: ignore[misc]
        assert parameter.grad is not None
        torch.testing.assert_close(parameter.grad, loop, rtol=1e-4, atol=1e-5)


class Narrow(Gate):
    """Forgets an expert."""

    def forward(self, x: Tensor) -> Routing:
        weights = x[:, :1].expand(-1, self.num_experts - 1).softmax(-1)
        return Routing(weights, weights.new_zeros(()))


def test_weights_of_a_wrong_shape_are_refused_by_name() -> None:
    with pytest.raises(ValueError) as caught:
        Mixture([Narrow(6, 5), Narrow(6, 5)], experts())(X, X)
    assert str(caught.value) == (
        "Narrow: weights must be of shape (batch, num_experts) = (40, 5), but got (40, 4)."
    )


class Annealed(Gate):
    temperature: Tensor

    def __init__(self, in_features: int, num_experts: int, *, start: float = 1.0) -> None:
        super().__init__(in_features, num_experts)
        self.register_hyperparameters(temperature=start)
        self.linear = nn.Linear(in_features, num_experts)

    def forward(self, x: Tensor) -> Routing:
        weights = (self.linear(x) / self.temperature).softmax(-1)
        return Routing(weights, weights.new_zeros(()))

    def update(self, routing: Routing, progress: Tensor) -> dict[str, Tensor]:
        return {"temperature": self.temperature * (1 - progress)}


class Averaging(Gate):
    """Keeps a running mean of its weights, gradients and all."""

    load: Tensor

    def __init__(self, in_features: int, num_experts: int) -> None:
        super().__init__(in_features, num_experts)
        self.register_buffer("load", torch.zeros(num_experts))
        self.linear = nn.Linear(in_features, num_experts)

    def forward(self, x: Tensor) -> Routing:
        weights = (self.linear(x) - self.load).softmax(-1)
        return Routing(weights, weights.new_zeros(()))

    def update(self, routing: Routing, progress: Tensor) -> dict[str, Tensor]:
        return {"load": 0.9 * self.load + 0.1 * routing.weights.mean(0)}


class Forgetful(Averaging):
    """Sets the buffer itself, and returns nothing."""

    def update(self, routing: Routing, progress: Tensor) -> dict[str, Tensor]:
        self.load = super().update(routing, progress)["load"]
        return None  # type: ignore[return-value]


@pytest.mark.parametrize("balance_weight", [None, 0.1])
def test_what_is_updated_has_no_gradient(balance_weight: float | None) -> None:
    more = {} if balance_weight is None else {"balance_weight": balance_weight}
    mixture = Mixture([make_gate(Averaging, 6, 5, **more)], experts())
    _, routing = mixture(X, X)
    (after,) = mixture.next_buffers(routing, torch.tensor(0.25)).values()
    assert after.any() and not after.requires_grad


@pytest.mark.parametrize("balance_weight", [None, 0.1])
def test_an_update_that_returns_nothing_is_one_line(balance_weight: float | None) -> None:
    more = {} if balance_weight is None else {"balance_weight": balance_weight}
    mixture = Mixture([make_gate(Forgetful, 6, 5, **more)], experts())
    _, routing = mixture(X, X)
    with pytest.raises(ValueError, match=r"Forgetful.update must .*, but returns None\.$"):
        mixture.next_buffers(routing, torch.tensor(0.25))


def test_next_buffers_are_each_gates_own_update() -> None:
    mixture = Mixture([Annealed(6, 5, start=1.0), Annealed(6, 5, start=4.0)], experts())
    _, routing = mixture(X, X)
    after = mixture.next_buffers(routing, torch.tensor(0.25))
    assert list(after) == ["gates.each.temperature"]
    assert after["gates.each.temperature"].tolist() == [0.75, 3.0]
    assert Mixture([SoftmaxGate(6, 5)], experts()).next_buffers(routing, torch.tensor(0.5)) == {}
