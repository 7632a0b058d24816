"""Layers of the bundled tasks: dropout's share, scale and randomness, and the MLPs' structure."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from gatelab.rules import check_counts
from gatelab.tasks import Target
from gatelab.tasks.layers import Dropout, Linear, mlp, mlp_network

# Multiples of 1/256 and others: eight or four elements share a draw.
SHARES = [1 / 256, 0.25, 0.5, 255 / 256, 0.1, 0.3, 0.999]


@pytest.mark.parametrize("p", SHARES)
def test_dropout_keeps_its_share_and_scales_what_it_keeps(p: float) -> None:
    torch.manual_seed(0)
    size = 1_000_000
    dropped = Dropout(p)(torch.ones(size))
    deviation = (p * (1 - p) / size) ** 0.5
    assert (dropped > 0).float().mean().item() == pytest.approx(1 - p, abs=5 * deviation + 1e-5)
    # The share is rounded to a multiple of 1/65536, so the scale is too.
    assert dropped[dropped > 0].unique().tolist() == pytest.approx([1 / (1 - p)], rel=1e-2)


@pytest.mark.parametrize("p", [0.3, 0.5])
def test_neighbours_in_one_draw_are_independent(p: float) -> None:
    torch.manual_seed(0)
    kept = (Dropout(p)(torch.ones(1_000_000)) > 0).float()
    for lag in range(1, 9):
        together = torch.stack([kept[:-lag], kept[lag:]])
        assert torch.corrcoef(together)[0, 1].item() == pytest.approx(0, abs=5e-3)


@pytest.mark.parametrize("shape", [(), (1,), (5, 7), (0, 4)])
@pytest.mark.parametrize("p", [0.3, 0.5])
def test_dropout_takes_any_shape(shape: tuple[int, ...], p: float) -> None:
    assert Dropout(p)(torch.ones(shape)).shape == shape


def test_dropout_keeps_the_type_and_scales_the_gradient_alike() -> None:
    x = torch.ones(100, dtype=torch.float64, requires_grad=True)
    dropped = Dropout(0.5)(x)
    dropped.sum().backward()
    assert dropped.dtype == torch.float64
    assert x.grad is not None
    assert torch.equal(x.grad, dropped.detach())


def test_dropout_follows_the_seed() -> None:
    x, layer = torch.ones(1000), Dropout(0.5)
    torch.manual_seed(0)
    first, second = layer(x), layer(x)
    torch.manual_seed(0)
    assert torch.equal(layer(x), first)
    assert not torch.equal(first, second)


@pytest.mark.parametrize("p", [0.0, 0.5, 0.3])
def test_dropout_leaves_its_input_alone_in_evaluation(p: float) -> None:
    x = torch.randn(100)
    assert Dropout(p).eval()(x) is x


def test_no_share_is_left_alone_in_training() -> None:
    x = torch.randn(100)
    assert Dropout(0.0)(x) is x


def test_a_share_just_below_one_is_no_division_by_zero() -> None:
    assert torch.isfinite(Dropout(1 - 1e-9)(torch.ones(100_000))).all()


@pytest.mark.parametrize("p", [0.3, 0.5])
def test_vmap_draws_a_mask_for_each(p: float) -> None:
    x = torch.ones(3, 1000)
    masks = torch.vmap(Dropout(p), randomness="different")(x) > 0
    assert not torch.equal(masks[0], masks[1])
    assert not torch.equal(masks[1], masks[2])
    same = torch.vmap(Dropout(p), randomness="same")(x) > 0
    assert torch.equal(same[0], same[1])


@pytest.mark.parametrize("p", [-0.1, 1.0, 1.5, float("nan")])
def test_dropout_range(p: float) -> None:
    with pytest.raises(ValueError) as caught:
        Dropout(p)
    assert str(caught.value) == f"`0 <= p < 1` must hold, but got (p={p})."


def test_mlp_has_its_depth_width_and_dropout() -> None:
    sizes = [m.weight.shape for m in mlp(5, 7, 3) if isinstance(m, nn.Linear)]
    assert sizes == [(7, 5), (7, 7), (7, 7)]
    layers = mlp(5, 7, 2, dropout=0.25)
    assert [type(m) for m in layers] == [Linear, nn.ReLU, Dropout] * 2
    assert [m.p for m in layers if isinstance(m, Dropout)] == [0.25, 0.25]
    assert not any(isinstance(m, Dropout) for m in mlp(5, 7, 2))


SIZES: dict[str, Any] = {"expert_width": 7, "expert_depth": 2, "tower_width": 3, "dropout": 0.25}


def test_network_is_of_its_sizes_and_fresh_each_time() -> None:
    network = mlp_network(nn.Flatten, 5, **SIZES)
    expert, again = network.expert(), network.expert()
    assert [p.shape for p in expert.parameters()] == [(7, 5), (7,), (7, 7), (7,)]
    assert not any(map(torch.equal, expert.parameters(), again.parameters()))
    assert sum(isinstance(m, Dropout) for m in expert.modules()) == 2
    tower = network.tower(Target("t", "multiclass", 4))
    assert [p.shape for p in tower.parameters()] == [(3, 7), (3,), (4, 3), (4,)]
    assert not any(isinstance(m, Dropout) for m in tower.modules())
    assert network.gate_features == 5
    assert isinstance(network.bottom(), nn.Flatten)


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("expert_width", 0, "expert_width >= 1"),
        ("expert_depth", 0, "expert_depth >= 1"),
        ("tower_width", -2, "tower_width >= 1"),
        ("dropout", 1.0, "0 <= dropout < 1"),
        ("dropout", -0.1, "0 <= dropout < 1"),
    ],
)
def test_network_range(name: str, value: float, rule: str) -> None:
    with pytest.raises(ValueError) as caught:
        mlp_network(nn.Identity, 5, **{**SIZES, name: value})
    assert str(caught.value) == f"`{rule}` must hold, but got ({name}={value})."


def test_the_first_count_that_is_none_is_named() -> None:
    check_counts(rows=1, columns=1)
    with pytest.raises(ValueError, match=r"\(columns=0\)"):
        check_counts(rows=1, columns=0)
