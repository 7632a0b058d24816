"""Softmax of short rows: torch's own in another order of numbers, whatever calls it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from gatelab.gates import gates, make_gate
from gatelab.nn.short_rows import LONG, log_softmax, softmax

PAIRS = [(softmax, functional.softmax), (log_softmax, functional.log_softmax)]
SIZES = [(5,), (1, 5), (7, 1), (7, 2), (7, LONG - 1), (7, LONG), (3, 7, 5), (0, 5)]


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_it_is_torchs_with_its_gradients(
    ours: Callable[[Tensor], Tensor], theirs: Callable[..., Tensor], size: tuple[int, ...]
) -> None:
    torch.manual_seed(0)
    logits = torch.randn(size, dtype=torch.float64, requires_grad=True)
    cotangent = torch.randn(size, dtype=torch.float64)
    found, wanted = ours(logits), theirs(logits, -1)
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-15)
    slopes = [torch.autograd.grad(y, logits, cotangent)[0] for y in (found, wanted)]
    torch.testing.assert_close(*slopes, rtol=0, atol=1e-15)


@pytest.mark.parametrize("ours", [softmax, log_softmax])
def test_it_is_differentiated_twice(ours: Callable[[Tensor], Tensor]) -> None:
    logits = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(ours, (logits,))


def test_rows_by_hand() -> None:
    weights = softmax(torch.tensor([[0.0, 0.0], [0.0, 3.0]]).log())  # infinite where 0
    assert weights.isnan().tolist() == [[True, True], [False, False]]
    assert weights[1].tolist() == [0.0, 1.0]
    shares = softmax(torch.tensor([[1.0, 3.0], [2.0, 2.0]]).log())
    assert shares.flatten().tolist() == pytest.approx([0.25, 0.75, 0.5, 0.5])


def test_members_and_modules_that_are_called_at_once_get_what_each_gets_alone() -> None:
    logits = torch.randn(3, 2, 7, 4)
    together = torch.vmap(torch.vmap(softmax))(logits)
    alone = torch.stack([torch.stack([softmax(x) for x in member]) for member in logits])
    assert together.equal(alone)


class _Rows(TorchDispatchMode):
    """Notes the shape and the dimension of every softmax's kernel."""

    def __init__(self) -> None:
        super().__init__()
        self.lengths: list[int] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        if "softmax" in str(func):
            logits, dim = args[0], args[1] if "backward" not in str(func) else args[2]
            last = dim in (-1, logits.dim() - 1)
            self.lengths += [logits.shape[-1]] * (last and logits.numel() > logits.shape[-1])
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("name", [name for name in gates.names() if name != "constant"])
def test_no_gate_makes_torch_take_short_rows(name: str) -> None:
    """A gate of 8 experts: its kernels' rows are long, or lie side by side."""
    gate = make_gate(gates.get(name), 6, 8, target=0, num_targets=2)
    x = torch.randn(32, 6)
    with _Rows() as rows:
        weights = gate(x).weights
        if weights.requires_grad:
            weights.square().sum().backward()
    assert not [length for length in rows.lengths if length < LONG]
