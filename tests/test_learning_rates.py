"""The schedule of the learning rate against torch's schedulers, and what a training makes of it."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import (
    ConstantLR,
    CosineAnnealingLR,
    LinearLR,
    LRScheduler,
    MultiStepLR,
    SequentialLR,
)

from gatelab.gates import SoftmaxGate
from gatelab.training.configuration import Configuration
from gatelab.training.member import Member, Recipe
from gatelab.training.members import Members
from gatelab.training.optimizer import MemberOptimizer
from gatelab.training.schedule import Schedule
from gatelab.training.train import Training
from tests.scaled import Scaled

STEPS = 40
AFTER: dict[str, Callable[[torch.optim.Optimizer, int], LRScheduler]] = {
    "constant": lambda optimizer, steps: ConstantLR(optimizer, 1.0),
    "cosine": lambda optimizer, steps: CosineAnnealingLR(optimizer, steps),
    "step": lambda optimizer, steps: MultiStepLR(
        optimizer, [math.ceil(steps / 2), math.ceil(steps * 3 / 4)], 0.1
    ),
}


def torchs(optimizer: torch.optim.Optimizer, name: str, warm: int) -> LRScheduler:
    """Return torch's scheduler of a warm-up and what follows it."""
    after = AFTER[name](optimizer, STEPS - warm)
    if not warm:
        return after
    rise = LinearLR(optimizer, 1 / warm, total_iters=max(warm - 1, 1))
    return SequentialLR(optimizer, [rise, after], [warm])


@pytest.mark.parametrize("name", AFTER)
@pytest.mark.parametrize(("warmup", "warm"), [(0.0, 0), (0.01, 1), (0.25, 10), (0.6, 24)])
def test_rates_are_torchs(name: str, warmup: float, warm: int) -> None:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = torchs(optimizer, name, warm)
    schedule = Schedule(name, warmup, STEPS)
    for step in range(STEPS):
        assert schedule.factor(step) == pytest.approx(scheduler.get_last_lr()[0], rel=1e-12), step
        optimizer.step()
        scheduler.step()


def test_factors_by_hand() -> None:
    found = [Schedule("cosine", 0.2, 10).factor(step) for step in range(10)]
    assert found[:3] == [0.5, 1.0, 1.0]
    assert found[6] == pytest.approx(0.5)
    assert found[9] == pytest.approx((1 + math.cos(math.pi * 7 / 8)) / 2)
    steps = [Schedule("step", 0.0, 8).factor(step) for step in range(8)]
    assert steps == pytest.approx([1] * 4 + [0.1] * 2 + [0.01] * 2)
    assert 0 < min(Schedule("step", 0.99, 3).factor(step) for step in range(3))


def test_passes_meet() -> None:
    """Plain descent of two members, one of which leaves in the second pass of three."""
    each, total = 40, 120
    schedules = [Schedule("cosine", 0.1, total), Schedule("step", 0.0, total)]
    members = Members([nn.Linear(1, 1, bias=False, dtype=torch.float64) for _ in schedules])
    members.load(0, {"weight": torch.zeros(1, 1)})
    members.load(1, {"weight": torch.zeros(1, 1)})
    given = [{"name": "sgd", "learning_rate": 1.0, "weight_decay": 0.0}] * 2
    optimizer, left = MemberOptimizer(members, given, schedules), [0, 1]
    for step in range(total):
        if step % each == 0:
            optimizer.ready(step, each)
        if step == each + 7:
            members.keep([1])
            optimizer.keep([1])
            left = [1]
        before = members.flat.detach().clone()
        members.flat.grad = -torch.ones_like(members.flat)
        optimizer.step()
        moved = (members.flat.detach() - before).flatten().tolist()
        assert moved == pytest.approx([schedules[m].factor(step) for m in left], abs=1e-12)


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd"])
def test_each_member_is_stepped_as_torch_steps_it_alone(name: str) -> None:
    """With a schedule, a decay and a rate of its own; the second leaves after twenty steps."""
    torch.manual_seed(0)
    kinds = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "sgd": torch.optim.SGD}
    members = Members([nn.Linear(5, 3, dtype=torch.float64) for _ in AFTER])
    start = members.flat.detach().clone()
    own: dict[str, Any] = {"momentum": 0.9} if name == "sgd" else {}
    rates, warm = (0.01, 0.1, 0.003), (0, 4, 10)
    given = [{"name": name, "learning_rate": r, "weight_decay": 0.1, **own} for r in rates]
    schedules = [Schedule(n, w / STEPS, STEPS) for n, w in zip(AFTER, warm, strict=True)]
    optimizer = MemberOptimizer(members, given, schedules)
    optimizer.ready(0, STEPS)
    grads = torch.randn(STEPS, *start.shape, dtype=torch.float64)
    for step in range(STEPS):
        if step == 20:
            members.keep([0, 2])
            optimizer.keep([0, 2])
        members.flat.grad = grads[step] if step < 20 else grads[step, [0, 2]]
        members.flat.grad = members.flat.grad.clone()
        optimizer.step()
    for place, member in enumerate((0, 2)):
        row = start[member].clone().requires_grad_()
        other = kinds[name]([row], lr=rates[member], weight_decay=0.1, **own)  # type: ignore[operator]
        scheduler = torchs(other, list(AFTER)[member], warm[member])
        for step in range(STEPS):
            row.grad = grads[step, member].clone()
            other.step()
            scheduler.step()
        assert torch.allclose(members.flat[place], row, rtol=1e-12, atol=1e-15)


def member(seed: int = 0, **training: Any) -> Member:
    optimizer = {"name": "sgd", "learning_rate": 0.05, "weight_decay": 0.0, "momentum": 0.9}
    return Member(Configuration.of({}, {"num_experts": 2}, optimizer, training), seed)


def trained(members: list[Member], epochs: int, patience: int | None = None) -> Training:
    training = Training(Scaled(), SoftmaxGate, members, Recipe(16, 6, patience))
    while not training.done and training.epoch < epochs:
        training.run_epoch()
    return training


def states(training: Training) -> list[dict[str, Any]]:
    """Return what each member goes on from."""
    return [training.state(index) for index in range(len(training.courses))]


def numbers(state: Any) -> list[Tensor]:
    """Return all tensors of a state, in order."""
    if isinstance(state, Tensor):
        return [state]
    if isinstance(state, dict):
        state = list(state.values())
    return [t for part in state for t in numbers(part)] if isinstance(state, list) else []


SCHEDULED = [member(0, schedule="cosine", warmup=0.2), member(1, schedule="step"), member(2)]


def test_a_stopped_training_goes_on_exactly() -> None:
    """From the state of every epoch, as at the rungs of a search."""
    whole = states(trained(SCHEDULED, 6))
    for epoch in range(1, 6):
        kept = io.BytesIO()
        torch.save(states(trained(SCHEDULED, epoch)), kept)
        kept.seek(0)
        again = Training(Scaled(), SoftmaxGate, SCHEDULED, Recipe(16, 6))
        again.load(torch.load(kept, weights_only=True))
        while not again.done:
            again.run_epoch()
        found = states(again)
        assert [one["course"] for one in found] == [one["course"] for one in whole]
        pairs = zip(numbers(found), numbers(whole), strict=True)
        assert all(torch.equal(one, other) for one, other in pairs)


def test_the_schedule_is_by_max_epochs_and_not_by_patience() -> None:
    """What ends early has gone as what does not."""
    patient, other = (trained(SCHEDULED[:1], 2, patience) for patience in (None, 5))
    pairs = zip(numbers(states(patient)), numbers(states(other)), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_constant_is_no_schedule_at_all() -> None:
    said, unsaid = member(schedule="constant", warmup=0.0, gradient_clip=None), member()
    assert trained([said], 1).group.optimizer._factors is None
    pairs = zip(*(numbers(states(trained([m], 3))) for m in (said, unsaid)), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_a_member_goes_as_if_alone() -> None:
    together = trained(SCHEDULED, 4).members.flat
    for place, one in enumerate(SCHEDULED):
        assert torch.allclose(trained([one], 4).members.flat[0], together[place], atol=1e-6)
