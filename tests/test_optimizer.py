"""The members' optimisers against torch's own, in float64, over members that come and go."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gatelab.training.members import Members
from gatelab.training.optimizer import MemberOptimizer
from gatelab.training.optimizers.catalogue import OPTIMIZERS, check_optimizer, optimizer_defaults
from tests.test_fused_tables import fused

RATES, DECAYS = [1e-3, 0.3, 1e-2], [0.0, 0.2, 1e-3]
TORCH: dict[str, type[torch.optim.Optimizer]] = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "sgd": torch.optim.SGD,
}
OWN: dict[str, list[dict[str, Any]]] = {
    "adam": [{}] * 3,
    "adamw": [{}] * 3,
    "plain": [{"momentum": 0.0, "nesterov": False}] * 3,
    "sgd": [{"momentum": m, "nesterov": n} for m, n in ((0.9, False), (0.5, True), (0.0, False))],
    "nesterov": [{"momentum": m, "nesterov": True} for m in (0.9, 0.5, 0.99)],
}
"""Three members' own hyperparameters, by what is tried."""


def options(case: str) -> list[dict[str, Any]]:
    name = case if case in TORCH else "sgd"
    return [
        {"name": name, "learning_rate": rate, "weight_decay": decay, **own}
        for rate, decay, own in zip(RATES, DECAYS, OWN[case], strict=True)
    ]


def models() -> list[nn.Linear]:
    return [nn.Linear(5, 3, dtype=torch.float64) for _ in RATES]


def gradients(seed: int, shape: torch.Size) -> Tensor:
    """Return gradients of very different sizes, some of them 0."""
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randn(shape, dtype=torch.float64, generator=generator)
    return drawn * 10.0 ** torch.randint(-6, 3, shape, generator=generator) * (drawn < 1)


def alone(option: Mapping[str, Any], start: Tensor, grads: list[Tensor]) -> Tensor:
    """Return where torch's own optimiser takes one member."""
    row = start.clone().requires_grad_()
    own = {n: v for n, v in option.items() if n not in ("name", "learning_rate")}
    optimizer = TORCH[option["name"]]([row], lr=option["learning_rate"], **own)
    for grad in grads:
        row.grad = grad.clone()
        optimizer.step()
    return row.detach()


def test_every_optimizer_is_tried() -> None:
    assert OPTIMIZERS.keys() == TORCH.keys() == {options(case)[0]["name"] for case in OWN}


@pytest.mark.parametrize("case", OWN)
def test_each_member_is_stepped_as_torch_steps_it_alone(case: str) -> None:
    """The second of three leaves after ten steps; the others do not notice."""
    members = Members(models())
    start, given = members.flat.detach().clone(), options(case)
    optimizer = MemberOptimizer(members, given)
    optimizer.ready(0, 60)
    grads = [gradients(seed, start.shape) for seed in range(60)]
    for step, grad in enumerate(grads):
        if step == 10:
            second = members.flat[1].detach().clone()
            members.keep([0, 2])
            optimizer.keep([0, 2])
        members.flat.grad = (grad if step < 10 else grad[[0, 2]]).clone()
        optimizer.step()
        assert members.flat.grad is None
    expected = [alone(given[i], start[i], [grad[i] for grad in grads]) for i in (0, 2)]
    assert torch.allclose(members.flat, torch.stack(expected), rtol=1e-12, atol=1e-15)
    gone = alone(given[1], start[1], [grad[1] for grad in grads[:10]])
    assert torch.allclose(second, gone, rtol=1e-12, atol=1e-15)


def one_member(**option: Any) -> tuple[Members, MemberOptimizer, Tensor]:
    members = Members([nn.Linear(2, 1, bias=False, dtype=torch.float64)])
    optimizer = MemberOptimizer(members, [{"weight_decay": 0.0, **option}])
    optimizer.ready(0, 2)
    return members, optimizer, members.flat.detach().clone()


def test_the_first_step_of_adam_by_hand() -> None:
    """It is the rate towards where the gradient falls, whatever its size; epsilon is 1e-8."""
    members, optimizer, start = one_member(name="adam", learning_rate=0.1)
    members.flat.grad = torch.tensor([[4.0, -1e-8]], dtype=torch.float64)
    optimizer.step()
    moved = (members.flat.detach() - start).flatten().tolist()
    assert moved == pytest.approx([-0.1 * 4 / (4 + 1e-8), 0.1 * 1e-8 / 2e-8], rel=1e-12)


@pytest.mark.parametrize(("nesterov", "moved"), [(False, -0.1 * 3.5), (True, -0.1 * 4.75)])
def test_two_steps_of_sgd_by_hand(nesterov: bool, moved: float) -> None:
    """Velocities 1 and 0.5 x 1 + 2 = 2.5; looking ahead, steps of 1.5 and 2 + 0.5 x 2.5."""
    members, optimizer, start = one_member(
        name="sgd", learning_rate=0.1, momentum=0.5, nesterov=nesterov
    )
    for grad in (1.0, 2.0):
        members.flat.grad = torch.full_like(start, grad)
        optimizer.step()
    found = (members.flat.detach() - start).flatten().tolist()
    assert found == pytest.approx([moved, moved], rel=1e-12)


@pytest.mark.parametrize("case", OWN)
def test_a_saved_state_goes_on_exactly(case: str) -> None:
    torch.manual_seed(0)
    made = models()
    one, other = (Members(made) for _ in range(2))
    first, second = (MemberOptimizer(m, options(case)) for m in (one, other))
    first.ready(0, 6)
    for seed in range(5):
        one.flat.grad = gradients(seed, one.flat.shape)
        first.step()
    with torch.no_grad():
        other.flat.copy_(one.flat)
    for member in range(len(one)):
        second.load(member, first.state(member))
    second.ready(5, 1)
    for members, optimizer in ((one, first), (other, second)):
        members.flat.grad = gradients(9, one.flat.shape)
        optimizer.step()
    assert torch.equal(one.flat, other.flat)


def test_tables_with_sparse_gradients_go_down_without_velocity() -> None:
    """Each member's rate moves the rows that were looked up, and no others."""
    made = [nn.Embedding(4, 2, sparse=True) for _ in range(2)]
    with fused(False):
        members = Members([nn.Sequential(table, nn.Linear(2, 1)) for table in made])
    given = [optimizer_defaults("sgd") | {"name": "sgd", "momentum": 0.9}] * 2
    rated = [
        {**option, "learning_rate": rate} for option, rate in zip(given, (0.5, 1), strict=True)
    ]
    optimizer = MemberOptimizer(members, rated)
    optimizer.ready(0, 2)
    before = [table["0.weight"].detach().clone() for table in members.tables]
    for _ in range(2):
        for table in members.tables:
            nn.functional.embedding(
                torch.tensor([1]), table["0.weight"], sparse=True
            ).sum().backward()
        members.flat.grad = torch.zeros_like(members.flat)
        optimizer.step()
    for table, start, rate in zip(members.tables, before, (0.5, 1), strict=True):
        moved = torch.zeros(4, 2)
        moved[1] = -2 * rate
        assert torch.allclose(table["0.weight"] - start, moved)


@pytest.mark.parametrize(
    ("name", "given", "said"),
    [
        ("adam", {"learning_rate": 0.0}, {"learning_rate"}),
        ("adam", {"learning_rate": 1e-60}, {"learning_rate"}),
        ("adam", {"learning_rate": 1e-37}, set()),
        ("sgd", {"weight_decay": -1.0, "momentum": 1.0}, {"weight_decay", "momentum"}),
        ("sgd", {"momentum": -0.1}, {"momentum"}),
        ("sgd", {"nesterov": True}, {"momentum"}),
        ("sgd", {"nesterov": True, "momentum": 0.9}, set()),
    ],
)
def test_ranges(name: str, given: dict[str, Any], said: set[str]) -> None:
    assert check_optimizer({"name": name, **optimizer_defaults(name), **given}).keys() == said
