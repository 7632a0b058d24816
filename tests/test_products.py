"""Large products by oneDNN: torch's own numbers and gradients, however they are called."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import grad, jvp, vmap
from torch.utils._python_dispatch import TorchDispatchMode

from gatelab.gates.stack import Stack
from gatelab.tasks import products
from gatelab.tasks.layers import Linear, mlp
from gatelab.tasks.products import LARGE, matrix_product
from gatelab.training.precision import ShortProducts

ROWS, FEATURES, UNITS = 256, 192, 192
"""A product of a few more multiplications than ``LARGE``."""
OURS = "mkldnn._linear_pointwise.default"


@pytest.fixture(autouse=True)
def _on_any_cpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    if not hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        pytest.skip("this torch has no oneDNN")
    monkeypatch.setattr(products, "WORTH_IT", True)
    torch.manual_seed(0)
    yield


class Seen(TorchDispatchMode):
    """Counts the products by oneDNN."""

    count = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        self.count += str(func) == OURS
        return func(*args, **(kwargs or {}))


def pair(*front: int) -> tuple[Tensor, Tensor]:
    return torch.randn(*front, ROWS, FEATURES), torch.randn(*front, UNITS, FEATURES)


def squared(a: Tensor, b: Tensor) -> Tensor:
    return matrix_product(a, b).pow(2).mean()


def plain(a: Tensor, b: Tensor) -> Tensor:
    return (a @ b.mT).pow(2).mean()


def close(found: Any, wanted: Any) -> None:
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4, check_dtype=False)


def doubles(tensors: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    return tensors[0].double(), tensors[1].double()


def test_a_product_and_both_gradients() -> None:
    a, b = pair()
    assert a.numel() * len(b) >= LARGE
    with Seen() as seen:
        close(matrix_product(a, b), a.double() @ b.double().T)
        close(grad(squared, (0, 1))(a, b), grad(plain, (0, 1))(*doubles((a, b))))
    assert seen.count == 4


@pytest.mark.parametrize("which", [0, 1])
def test_only_the_gradient_that_is_asked_for_is_computed(which: int) -> None:
    tensors = pair()
    tensors[which].requires_grad_()
    with Seen() as seen:
        matrix_product(*tensors).sum().backward()
    assert seen.count == 2


def test_it_is_differentiated_twice() -> None:
    def slope(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
        return grad(lambda a, b: grad(function, 1)(a, b).pow(2).sum())

    a, b = pair()
    close(slope(squared)(a, b), slope(plain)(*doubles((a, b))))


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")  # torch's
def test_it_is_differentiated_forwards() -> None:
    given, changes = pair(), pair()
    with Seen() as seen:
        found = jvp(matrix_product, given, changes)
    assert seen.count == 3
    close(found, jvp(lambda a, b: a @ b.mT, doubles(given), doubles(changes)))


@pytest.mark.parametrize("dims", [(0, 0), (0, None), (None, 0), (1, 0)], ids=str)
def test_many_at_once(dims: tuple[int | None, int | None]) -> None:
    a, b = pair(3)
    a = a[0] if dims[0] is None else a.movedim(0, dims[0])
    b = b[0] if dims[1] is None else b
    with Seen() as seen:
        found = vmap(grad(squared, (0, 1)), dims)(a, b)
    assert seen.count == 9
    close(found, vmap(grad(plain, (0, 1)), dims)(*doubles((a, b))))


def test_members_experts_at_once() -> None:
    a, b = torch.randn(2, ROWS, FEATURES), torch.randn(2, 3, UNITS, FEATURES)
    found = vmap(lambda a, b: vmap(matrix_product, (None, 0))(a, b))(a, b)
    close(found, torch.einsum("mrf,meuf->meru", a.double(), b.double()))


def test_gradients_by_row_are_those_of_small_products() -> None:
    a, b = pair()

    def one(row: Tensor, b: Tensor) -> Tensor:
        return matrix_product(row[None], b).pow(2).mean()

    with Seen() as seen:
        found = vmap(grad(one, 1), (0, None))(a, b)
    assert seen.count == 0
    wanted = torch.einsum("ru,rf->ruf", a.double() @ b.double().T, a.double()) * 2 / UNITS
    close(found, wanted)


def test_each_has_the_same_bits_whoever_is_beside_it() -> None:
    a, b = pair(3)
    order = [2, 0, 1]
    found = vmap(grad(squared, (0, 1)))(a, b)
    others = vmap(grad(squared, (0, 1)))(a[order], b[order])
    for one, other in zip(found, others, strict=True):
        assert torch.equal(one[order], other)


def test_which_products_are_torchs_own(monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = pair()
    small = a[: LARGE // b.numel() - 1]
    with Seen() as seen:
        matrix_product(*doubles((a, b)))
        matrix_product(small, b)
        matrix_product(a.to("meta"), b.to("meta"))
        monkeypatch.setattr(products, "WORTH_IT", False)
        matrix_product(a, b)
    assert seen.count == 0


def test_a_layer_trains_with_it_and_is_torchs_where_it_is_evaluated() -> None:
    ours, theirs = Linear(FEATURES, UNITS), nn.Linear(FEATURES, UNITS)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(ROWS, FEATURES)
    with Seen() as seen:
        y = ours(x)
    assert seen.count == 1
    close(y, theirs(x))
    with Seen() as seen:
        assert torch.equal(ours.eval()(x), theirs(x))
        ours.train()(x.view(2, -1, FEATURES))
        ours(x[:1])
    assert seen.count == 0


def test_a_layer_without_a_bias() -> None:
    layer = Linear(FEATURES, UNITS, bias=False)
    x = torch.randn(ROWS, FEATURES)
    close(layer(x), x.double() @ layer.weight.double().T)


def test_a_width_that_does_not_fit_is_told_as_torch_tells_it() -> None:
    with pytest.raises(RuntimeError, match="mat1 and mat2 shapes cannot be multiplied"):
        Linear(FEATURES, UNITS)(torch.randn(2 * ROWS, FEATURES // 2))


def test_a_stack_of_large_layers_is_each_alone() -> None:
    experts = [mlp(FEATURES, UNITS, 2) for _ in range(3)]
    x = torch.randn(ROWS, FEATURES)
    with Seen() as seen:
        found = Stack(experts)(x)
    assert seen.count == 6
    close(found, torch.stack([expert(x) for expert in experts]))


def test_bf16_is_what_it_is_of_torchs_own() -> None:
    """Of products that are rounded both are torch's, and so are their gradients."""
    ours, theirs = Linear(FEATURES, UNITS), nn.Linear(FEATURES, UNITS)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(ROWS, FEATURES)
    with Seen() as seen:
        for layer in (ours, theirs):
            with ShortProducts(layer, nn.Identity()):
                loss = layer(x).pow(2).mean()
            loss.backward()
    assert seen.count == 0
    assert ours.weight.grad is not None and theirs.weight.grad is not None
    torch.testing.assert_close(ours.weight.grad, theirs.weight.grad, rtol=0.02, atol=1e-3)
