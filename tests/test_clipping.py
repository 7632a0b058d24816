"""Clipping of each member's gradients by their norm, against torch's of each alone."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from gatelab.training.clipping import clip_gradients
from gatelab.training.members import Members
from gatelab.training.optimizer import MemberOptimizer
from tests.test_fused_tables import fused

LIMITS = [1.0, 0.1, math.inf, 100.0]


def members_of(models: list[nn.Module], grad: Tensor | None = None) -> Members:
    members = Members(models)
    if grad is None:
        grad = torch.randn(members.flat.shape, dtype=members.flat.dtype)
    members.flat.grad = grad.clone()
    return members


def linear() -> list[nn.Module]:
    return [nn.Linear(5, 3, dtype=torch.float64) for _ in LIMITS]


def gradient(members: Members) -> Tensor:
    assert members.flat.grad is not None
    return members.flat.grad


def limits(members: Members, values: list[float]) -> Tensor:
    return torch.tensor(values, dtype=members.flat.dtype).unsqueeze(1)


def test_each_member_is_clipped_as_torch_clips_it_alone() -> None:
    torch.manual_seed(0)
    members = members_of(linear())
    before = gradient(members).clone()
    clip_gradients(members, limits(members, LIMITS))
    for row, start, limit in zip(gradient(members), before, LIMITS, strict=True):
        parts = [nn.Parameter(part) for part in (torch.zeros(10), torch.zeros(8))]
        parts = [nn.Parameter(part.double()) for part in parts]
        for part, grad in zip(parts, start.split([10, 8]), strict=True):
            part.grad = grad.clone()
        torch.nn.utils.clip_grad_norm_(parts, limit)
        expected = torch.cat([part.grad for part in parts if part.grad is not None])
        assert torch.allclose(row, expected, rtol=1e-12, atol=0)
    assert torch.equal(gradient(members)[2:], before[2:])


def test_a_norm_by_hand() -> None:
    grad = torch.tensor([[3.0, 4.0], [0.3, 0.4]], dtype=torch.float64)
    members = members_of([nn.Linear(2, 1, bias=False, dtype=torch.float64)] * 2, grad)
    clip_gradients(members, limits(members, [1.0, 1.0]))
    assert gradient(members)[0].tolist() == pytest.approx([3 / 5.000001, 4 / 5.000001], rel=1e-12)
    assert torch.equal(gradient(members)[1], grad[1])


def test_what_is_not_finite_stays_in_its_member() -> None:
    torch.manual_seed(0)
    members = members_of(linear())
    before = gradient(members).clone()
    gradient(members)[0, 3] = math.nan
    gradient(members)[3, 2] = math.inf
    clip_gradients(members, limits(members, LIMITS))
    alone = members_of(linear()[:1], before[1:2])
    clip_gradients(alone, limits(alone, LIMITS[1:2]))
    assert torch.equal(gradient(members)[1], gradient(alone)[0])
    assert torch.equal(gradient(members)[2], before[2])
    assert gradient(members)[0].isnan().all()


def test_a_member_that_is_not_clipped_keeps_its_bits_beyond_the_norm_of_its_type() -> None:
    """In float32 the square of 1e30 is infinite."""
    grad = torch.tensor([[1e30, 1e30], [3.0, 4.0]])
    members = members_of([nn.Linear(2, 1, bias=False) for _ in range(2)], grad)
    clip_gradients(members, limits(members, [math.inf, 1.0]))
    assert torch.equal(gradient(members)[0], grad[0])


def test_frozen_parameters_do_not_count() -> None:
    layer = nn.Linear(2, 1, dtype=torch.float64)
    layer.bias.requires_grad_(False)
    members = members_of([layer], torch.tensor([[0.6, 0.8]], dtype=torch.float64))
    clip_gradients(members, limits(members, [2.0]))
    assert gradient(members).tolist() == [[0.6, 0.8]]


def test_rows_of_sparse_tables_count_once_each() -> None:
    """Row 1 is looked up twice: its gradient is (2, 2), the norm with a dense 1 is 3."""
    model = nn.Sequential(nn.Embedding(4, 2, sparse=True), nn.Linear(2, 1, bias=False)).double()
    with fused(False):
        members = members_of([model], torch.tensor([[1.0, 0.0]], dtype=torch.float64))
    table = members.tables[0]["0.weight"]
    nn.functional.embedding(torch.tensor([1, 1]), table, sparse=True).sum().backward()
    clip_gradients(members, limits(members, [1.5]))
    assert gradient(members).tolist()[0] == pytest.approx([0.5, 0], rel=1e-6)
    assert table.grad is not None
    assert table.grad.to_dense()[1].tolist() == pytest.approx([1, 1], rel=1e-6)


def test_members_that_leave_take_their_limits_along() -> None:
    torch.manual_seed(0)
    grads = torch.randn(len(LIMITS), 18, dtype=torch.float64)
    option = {"name": "sgd", "learning_rate": 1.0, "weight_decay": 0.0}
    members = members_of(linear(), grads)
    clips = [None if math.isinf(limit) else limit for limit in LIMITS]
    optimizer = MemberOptimizer(members, [option] * len(LIMITS), clips=clips)
    optimizer.ready(0, 1)
    members.keep([3, 1])
    optimizer.keep([3, 1])
    start = members.flat.detach().clone()
    members.flat.grad = grads[[3, 1]].clone()
    optimizer.step()
    moved = (start - members.flat.detach()).norm(dim=1)
    assert moved.tolist() == pytest.approx([float(grads[3].norm()), 0.1], rel=1e-5)


def test_by_default_nothing_is_clipped() -> None:
    option = {"name": "sgd", "learning_rate": 1.0, "weight_decay": 0.0}
    assert MemberOptimizer(members_of(linear()), [option] * 4, clips=[None] * 4).limits is None
