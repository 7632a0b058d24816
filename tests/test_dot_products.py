"""Layers of one unit: torch's own numbers and gradients, however they are called."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import grad, hessian, jvp, vmap
from torch.utils._python_dispatch import TorchDispatchMode

from gatelab.gates.stack import Stack
from gatelab.tasks.dot_products import dot_products
from gatelab.tasks.layers import Linear, mlp
from gatelab.training.precision import ShortProducts

ROWS, FEATURES = 5, 3
OF_TORCH = "ignore:`torch.jit.script` is deprecated:DeprecationWarning"
"""What torch says of itself where it differentiates forwards for the first time."""


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """The shapes of what our product is called with."""
    found: list[tuple[int, ...]] = []

    def noted(x: Tensor, weight: Tensor) -> Tensor:
        found.append(tuple(x.shape))
        return dot_products(x, weight)

    monkeypatch.setattr("gatelab.tasks.layers.dot_products", noted)
    return found


class Counted(TorchDispatchMode):
    """Counts torch's operations by name."""

    def __init__(self) -> None:
        super().__init__()
        self.of: Counter[str] = Counter()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        self.of[func.overloadpacket.__name__] += 1
        return func(*args, **(kwargs or {}))


def pair(*front: int) -> tuple[Tensor, Tensor]:
    torch.manual_seed(0)
    kind = torch.float64
    return torch.randn(*front, ROWS, FEATURES, dtype=kind), torch.randn(
        *front, 1, FEATURES, dtype=kind
    )


def plain(x: Tensor, weight: Tensor) -> Tensor:
    return x @ weight.mT


def cubed(product: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
    return lambda x, weight: product(x, weight).pow(3).mean()


def test_by_hand() -> None:
    """Rows (1, 2) and (3, -1) by (10, 1): 12 and 29; their sum changes by both, and by (4, 1)."""
    x = torch.tensor([[1.0, 2.0], [3.0, -1.0]], requires_grad=True)
    weight = torch.tensor([[10.0, 1.0]], requires_grad=True)
    found = dot_products(x, weight)
    assert found.tolist() == [[12.0], [29.0]]
    found.sum().backward()
    assert x.grad is not None and x.grad.tolist() == [[10.0, 1.0], [10.0, 1.0]]
    assert weight.grad is not None and weight.grad.tolist() == [[4.0, 1.0]]


@pytest.mark.filterwarnings(OF_TORCH)
def test_gradients_of_both_orders_and_both_ways() -> None:
    x, weight = (tensor.requires_grad_() for tensor in pair())
    assert torch.autograd.gradcheck(dot_products, (x, weight), check_forward_ad=True)
    assert torch.autograd.gradgradcheck(dot_products, (x, weight))


@pytest.mark.parametrize(("which", "called"), [(0, {"mm": 1, "mul": 1}), (1, {"mm": 2})], ids=str)
def test_only_the_gradient_that_is_asked_for_is_computed(
    which: int, called: dict[str, int]
) -> None:
    tensors = pair()
    tensors[which].requires_grad_()
    with Counted() as counted:
        dot_products(*tensors).sum().backward()
    assert {name: counted.of[name] for name in ("mm", "mul") if counted.of[name]} == called


@pytest.mark.filterwarnings(OF_TORCH)
@pytest.mark.parametrize("dims", [(0, 0), (0, None), (None, 0), (1, 0), (2, 1)], ids=str)
def test_many_at_once(dims: tuple[int | None, int | None]) -> None:
    x, weight = pair(3)
    x = x[0] if dims[0] is None else x.movedim(0, dims[0])
    weight = weight[0] if dims[1] is None else weight.movedim(0, dims[1])
    for transform in (lambda f: f, lambda f: grad(f, (0, 1)), lambda f: hessian(f, 1)):
        found = vmap(transform(cubed(dot_products)), dims)(x, weight)
        torch.testing.assert_close(found, vmap(transform(cubed(plain)), dims)(x, weight))


@pytest.mark.filterwarnings(OF_TORCH)
def test_members_targets_at_once_change_as_torchs_do() -> None:
    x, weight = pair(2, 4)

    def all_of(product: Callable[[Tensor, Tensor], Tensor]) -> Callable[..., Tensor]:
        return vmap(vmap(product))

    found = jvp(all_of(dot_products), (x, weight), (x.cos(), weight.sin()))
    wanted = jvp(all_of(plain), (x, weight), (x.cos(), weight.sin()))
    torch.testing.assert_close(found, wanted)


def test_a_layer_trains_with_it_and_is_torchs_where_it_is_evaluated(
    calls: list[tuple[int, ...]],
) -> None:
    ours, theirs = Linear(FEATURES, 1), nn.Linear(FEATURES, 1)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(ROWS, FEATURES)
    torch.testing.assert_close(ours(x), theirs(x))
    assert calls == [(ROWS, FEATURES)]
    assert torch.equal(ours.eval()(x), theirs(x))
    ours.train()(x[None, :FEATURES])
    Linear(FEATURES, 2)(x)
    ours.to("meta")(x.to("meta"))
    assert len(calls) == 1


def test_a_layer_without_a_bias() -> None:
    layer = Linear(FEATURES, 1, bias=False)
    x = torch.randn(ROWS, FEATURES)
    torch.testing.assert_close(layer(x), x @ layer.weight.T)


def test_a_width_that_does_not_fit_is_told_as_torch_tells_it() -> None:
    with pytest.raises(RuntimeError, match=r"cannot be multiplied \(5x2 and 3x1\)"):
        Linear(FEATURES, 1)(torch.randn(ROWS, 2))


def test_a_stack_of_towers_is_each_alone(calls: list[tuple[int, ...]]) -> None:
    towers = [nn.Sequential(*mlp(FEATURES, 2, 1), Linear(2, 1)) for _ in range(4)]
    x = torch.randn(4, ROWS, FEATURES)
    found = Stack(towers)(x, own=True)
    assert len(calls) == 1
    wanted = torch.stack([tower(one) for tower, one in zip(towers, x, strict=True)])
    torch.testing.assert_close(found, wanted)


def test_bf16_rounds_it_and_its_gradient() -> None:
    """1 + 2^-9 is 1 in bf16; 2 + 2^-6 stays, and is what the first has as its gradient."""

    class Products(nn.Module):
        def forward(self, x: Tensor, weight: Tensor) -> Tensor:
            return dot_products(x, weight)

    x = torch.tensor([[1 + 2.0**-9]], requires_grad=True)
    weight = torch.tensor([[2 + 2.0**-6]], requires_grad=True)
    model = Products()
    with ShortProducts(model, nn.Identity()):
        found = model(x, weight)
    assert found.dtype == torch.float32 and found.item() == 2 + 2.0**-6
    found.sum().backward()
    assert x.grad is not None and x.grad.item() == 2 + 2.0**-6
    assert weight.grad is not None and weight.grad.item() == 1
