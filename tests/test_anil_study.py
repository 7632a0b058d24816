"""The study of inner steps: its predictions, and that the learner's steps come to them."""

from __future__ import annotations

import pytest
import torch
from torch.func import grad

from benchmarks.anil import RIDGE, World, _curved, _predicted

pytestmark = pytest.mark.usefixtures("float64")


@pytest.fixture
def world() -> World:
    return World(1)


def test_the_inner_loss_is_as_convex_as_its_ridge(world: World) -> None:
    values = torch.linalg.eigvalsh(world.curvature())
    assert values[0] > RIDGE
    least = grad(lambda w: world.support({"phi": world.phi, "w": w}).objective)
    ends = [least(torch.full((5,), place)) for place in (0.0, 1.0)]
    assert torch.allclose(ends[1] - ends[0], world.curvature().sum(1), rtol=0, atol=1e-14)


def test_the_meta_gradient_nears_its_limit_by_the_smallest_curvature(world: World) -> None:
    """By 1 - alpha mu a step, up to N; the gradient in the start by no less than that."""
    values = torch.linalg.eigvalsh(world.curvature())
    rate = float(1 / values[-1])
    factor, limit = 1 - rate * float(values[0]), world.limit()
    few, many = (grad(world.after)(world.linear, steps, rate) for steps in (40, 60))
    fall = (many["phi"] - limit).norm() / (few["phi"] - limit).norm()
    assert factor**20 <= float(fall) <= 60 / 40 * factor**20 * 1.01
    assert float(many["w"].norm() / few["w"].norm()) == pytest.approx(factor**20, rel=0.05)
    last = grad(world.after)(world.linear, 300, rate)
    assert torch.allclose(last["phi"], limit, rtol=0, atol=1e-12)


@pytest.mark.parametrize("steps", [1, 5])
def test_the_curvature_in_the_start(world: World, steps: int) -> None:
    rate = float(1 / torch.linalg.eigvalsh(world.curvature())[-1])
    assert _curved(world, steps, rate) == pytest.approx(_predicted(world, steps), rel=1e-10)


def test_two_layers_need_steps_of_one_over_their_number(world: World) -> None:
    world.deep = world.deep[:2]
    long, short = ([_curved(world, n, rate(n), deep=True) for n in (1, 4)]
                   for rate in (lambda n: 1.0, lambda n: 0.5 / n))  # fmt: skip
    assert long[1] > 3 * long[0]
    assert short[1] < short[0]
