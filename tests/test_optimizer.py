"""The members' optimiser against torch's own, in float64, over members that come and go."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from gatelab.training.members import Members
from gatelab.training.optimizer import MemberAdam, OptimizerName

RATES, DECAYS = [1e-3, 0.3, 1e-2], [0.0, 0.2, 1e-3]
KINDS: dict[OptimizerName, type[torch.optim.Adam]] = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
}


def models() -> list[nn.Linear]:
    return [nn.Linear(5, 3, dtype=torch.float64) for _ in RATES]


def gradients(seed: int, shape: torch.Size) -> Tensor:
    """Return gradients of very different sizes, some of them 0."""
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randn(shape, dtype=torch.float64, generator=generator)
    return drawn * 10.0 ** torch.randint(-6, 3, shape, generator=generator) * (drawn < 1)


def alone(name: OptimizerName, place: int, start: Tensor, grads: list[Tensor]) -> Tensor:
    """Return where torch's own optimiser takes one member."""
    row = start.clone().requires_grad_()
    optimizer = KINDS[name]([row], lr=RATES[place], weight_decay=DECAYS[place])
    for grad in grads:
        row.grad = grad.clone()
        optimizer.step()
    return row.detach()


@pytest.mark.parametrize("name", KINDS)
def test_each_member_is_stepped_as_torch_steps_it_alone(name: OptimizerName) -> None:
    """The second of three leaves after ten steps; the others do not notice."""
    members = Members(models())
    start = members.flat.detach().clone()
    optimizer = MemberAdam(members, name=name, learning_rates=RATES, weight_decays=DECAYS)
    grads = [gradients(seed, start.shape) for seed in range(25)]
    for step, grad in enumerate(grads):
        if step == 10:
            second = members.flat[1].detach().clone()
            members.keep([0, 2])
            optimizer.keep([0, 2])
        members.flat.grad = (grad if step < 10 else grad[[0, 2]]).clone()
        optimizer.step()
        assert members.flat.grad is None
    expected = [alone(name, i, start[i], [grad[i] for grad in grads]) for i in (0, 2)]
    assert torch.allclose(members.flat, torch.stack(expected), rtol=1e-12, atol=1e-15)
    gone = alone(name, 1, start[1], [grad[1] for grad in grads[:10]])
    assert torch.allclose(second, gone, rtol=1e-12, atol=1e-15)


def test_the_first_step_by_hand() -> None:
    """It is the rate towards where the gradient falls, whatever its size; epsilon is 1e-8."""
    members = Members([nn.Linear(2, 1, bias=False, dtype=torch.float64)])
    optimizer = MemberAdam(members, name="adam", learning_rates=[0.1], weight_decays=[0.0])
    start = members.flat.detach().clone()
    members.flat.grad = torch.tensor([[4.0, -1e-8]], dtype=torch.float64)
    optimizer.step()
    moved = (members.flat.detach() - start).flatten().tolist()
    assert moved == pytest.approx([-0.1 * 4 / (4 + 1e-8), 0.1 * 1e-8 / 2e-8], rel=1e-12)
    assert optimizer.state(0)["steps"] == 1


def test_a_saved_state_goes_on_exactly() -> None:
    torch.manual_seed(0)
    made = models()
    one, other = (Members(made) for _ in range(2))
    first, second = (
        MemberAdam(m, name="adam", learning_rates=RATES, weight_decays=DECAYS) for m in (one, other)
    )
    for seed in range(5):
        one.flat.grad = gradients(seed, one.flat.shape)
        first.step()
    with torch.no_grad():
        other.flat.copy_(one.flat)
    for member in range(len(one)):
        second.load(member, first.state(member))
    for members, optimizer in ((one, first), (other, second)):
        members.flat.grad = gradients(9, one.flat.shape)
        optimizer.step()
    assert torch.equal(one.flat, other.flat)
