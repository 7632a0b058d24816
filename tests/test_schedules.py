"""Gates that change with the progress of the training: what they say of it, and what they do."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from gatelab.gates import CometGate, DSelectKGate, Stack, gates
from gatelab.gates.auxiliary import make_gate
from gatelab.gates.gate import Gate
from gatelab.gates.hardening import EXACT_GAMMA
from gatelab.tasks import SyntheticGroups
from gatelab.training.configuration import Configuration
from gatelab.training.member import Member, Recipe
from gatelab.training.train import Training

X = torch.randn(64, 6, generator=torch.Generator().manual_seed(0))
ON = {"noise": 0.5, "entropy_weight": 0.2, "entropy_warmup": 0.25, "snap": 0.75}
HARDENED: list[type[Gate]] = [DSelectKGate, CometGate]
both = pytest.mark.parametrize("cls", HARDENED)


@pytest.mark.parametrize(
    ("name", "hyperparameters", "end"),
    [
        ("softmax", {}, 0.0),
        ("relu", {}, 0.0),
        ("gumbel_softmax", {"temperature": 2.0}, 1.0),
        ("comet", {}, 0.0),
        ("comet", {"search_share": 0.4}, 0.0),
        ("comet", {"local_search": True}, 0.1),
        ("comet", {"local_search": True, "search_share": 0.4}, 0.4),
        ("comet", {"local_search": True, "search_share": 0.4, "snap": 0.7}, 0.7),
        ("comet", {"local_search": True, "search_share": 0.8, "snap": 0.7}, 0.8),
        ("dselect_k", {"gamma": 0.1, "entropy_weight": 1.0}, 0.0),
        ("dselect_k", {"noise": 0, "snap": 1, "entropy_warmup": 0.0}, 0.0),
        ("dselect_k", {"snap": 0.7}, 0.7),
        ("dselect_k", {"noise": 0.1}, 1.0),
        ("dselect_k", {"entropy_warmup": 0.1}, 1.0),
        ("dselect_k", {"entropy_warmup": 0.1, "noise": 0.1, "snap": 0.5}, 0.5),
    ],
)
def test_schedule_end(name: str, hyperparameters: dict[str, Any], end: float) -> None:
    assert gates.get(name).schedule_end(hyperparameters) == end


def make(cls: type[Gate], seed: int = 1, **options: Any) -> Any:
    torch.manual_seed(seed)
    return make_gate(cls, 6, 8, **options)


def at(gate: Any, progress: float) -> list[float]:
    """Bring a gate to a share of the training; return its noise, entropy weight and gamma."""
    buffers = dict(gate.named_buffers())
    for name, value in gate.update(gate(X), torch.tensor(progress)).items():
        buffers[name].copy_(value)
    now = gate.hardening
    current = (now.current_noise, now.current_entropy_weight, now.current_gamma)
    return [float(value) for value in current]


@both
def test_noise_entropy_weight_and_gamma_by_hand(cls: type[Gate]) -> None:
    gate = make(cls, gamma=2.0, **ON)
    now = gate.hardening
    assert (now.current_noise, now.current_entropy_weight, now.current_gamma) == (0.5, 0, 2)
    assert at(gate, 0.0) == [0.5, 0, 2]
    assert at(gate, 0.15) == pytest.approx([0.4, 0, 2])  # a fifth of the way to 0.75
    assert at(gate, 0.5) == pytest.approx([0.5 / 3, 0.1, 2])  # half of the way from 0.25 to 0.75
    assert at(gate, 0.7499)[2] == 2
    for progress in (0.75, 1.0):
        assert at(gate, progress) == pytest.approx([0, 0.2, EXACT_GAMMA])
    assert EXACT_GAMMA == 1e-4


@both
def test_parts_of_the_schedule_alone(cls: type[Gate]) -> None:
    """Off, the entropy weight is constant, and gamma; a gamma below the snap's stays."""
    assert at(make(cls, entropy_weight=0.2), 1.0) == pytest.approx([0, 0.2, 1])
    assert at(make(cls, entropy_weight=0.2, snap=0.5), 0.1) == pytest.approx([0, 0.2, 1])
    assert at(make(cls, entropy_weight=0.2, entropy_warmup=0.5), 1.0) == pytest.approx([0, 0.2, 1])
    assert at(make(cls, noise=0.4), 0.5) == pytest.approx([0.2, 0, 1])
    assert at(make(cls, gamma=1e-6, snap=0.5), 0.6)[2] == pytest.approx(1e-6)


@both
@pytest.mark.parametrize("static", [False, True])
def test_all_off_is_the_published_gate_bit_for_bit(cls: type[Gate], static: bool) -> None:
    """In training nothing is drawn, and steps change nothing."""
    gate, plain = (make(cls, entropy_weight=0.1, static=static) for _ in range(2))
    state = torch.random.get_rng_state()
    at(gate, 0.9)
    for each in (gate.train(), plain.eval()):
        routing = each(X)
        (routing.weights.square().sum() + routing.aux_loss).backward()
    assert torch.equal(gate(X).weights, plain(X).weights)
    assert torch.equal(gate(X).aux_loss, plain(X).aux_loss)
    for one, other in zip(gate.parameters(), plain.parameters(), strict=True):
        assert torch.equal(one.grad, other.grad)
    assert torch.equal(state, torch.random.get_rng_state())
    assert gate.state_dict().keys() == plain.state_dict().keys()


@both
@pytest.mark.parametrize("static", [False, True])
def test_noise_differs_between_rows_gates_and_passes(cls: type[Gate], static: bool) -> None:
    """Also where a gate is static; in evaluation there is none."""
    gate = make(cls, noise=0.3, static=static)
    x = X[:1].expand(64, -1)
    weights = gate(x).weights
    assert len(weights.unique(dim=0)) == 64
    assert not torch.equal(weights, gate(x).weights)
    stack = Stack([make(cls, noise=0.3, static=static) for _ in range(3)])
    assert not torch.equal(*stack(x).weights[:2].unbind(0))
    assert len(gate.eval()(x).weights.unique(dim=0)) == 1
    plain = make(cls, static=static).eval()
    assert torch.equal(gate(X).weights, plain(X).weights)


class Steps(DSelectKGate):
    """Keeps the bits' logits as they are used, to be looked at."""

    def noisy_logits(self) -> Tensor:
        seen: list[Tensor] = []
        hook = self.hardening.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
        bits = self.select(X).bits
        hook.remove()
        # The smooth step, turned round: t = gamma * u with 0.5 + 1.5 u - 2 u^3 = bit.
        u = torch.sin(torch.asin(2 * bits.double() - 1) / 3)
        return u * float(self.hardening.gamma.detach()) - seen[0]


def test_noise_has_its_deviation_in_units_of_gamma() -> None:
    gate = make(Steps, noise=0.1, gamma=4.0, static=True, k=8)
    noise = gate.noisy_logits()
    assert noise.shape == (3, 8, 64)
    assert float(noise.detach().std()) == pytest.approx(0.4, rel=0.05)
    at(gate, 0.5)
    assert float(gate.noisy_logits().detach().std()) == pytest.approx(0.2, rel=0.05)


@both
@pytest.mark.parametrize("static", [False, True])
def test_after_the_snap_rows_use_k_and_selectors_train_on(cls: type[Gate], static: bool) -> None:
    gate = make(cls, k=2, static=static, **ON)
    assert ((gate.eval()(X).weights > 1e-5).sum(1) > 2).all()
    bits = 2 * (3 if cls is DSelectKGate else 7)
    with torch.no_grad():
        for parameter in gate.parameters():
            parameter[..., :bits] *= 100  # from the start's gamma / 100 to what is learnt
    at(gate.train(), 0.75)
    for mode in (True, False):
        routing = gate.train(mode)(X)
        assert ((routing.weights > 0).sum(1) <= 2).all()
        torch.testing.assert_close(routing.weights.sum(1), torch.ones(64))
    (gate.train()(X).weights @ torch.arange(8.0)).square().sum().backward()
    for parameter in gate.parameters():
        assert not parameter.grad[..., :bits].any()
        assert parameter.grad[..., bits:].any()


@both
def test_after_the_snap_bits_stay_even_between_0_and_1(cls: type[Gate]) -> None:
    """Within 1e-4 of a border a step is so steep that one row would throw the bits about."""
    gate = make(cls, static=True, **ON)
    for end, moves in ((0.7, True), (0.75, False)):
        at(gate, end)
        with torch.no_grad():
            gate.logits.bias.fill_(1e-6)
        gate.zero_grad()
        gate.hardening.current_noise.zero_()
        (gate(X).weights @ torch.arange(8.0)).sum().backward()
        assert bool(gate.logits.bias.grad[:6].any()) == moves


@both
def test_gates_that_differ_in_the_schedule_stack(cls: type[Gate]) -> None:
    """Each follows its own, within gates and within members."""
    options = [{**ON, "noise": 0.2 * i, "entropy_warmup": 0.2 * i, "snap": 0.3 * i} for i in (1, 2)]
    stack = Stack([make(cls, **chosen) for chosen in options])
    members = [
        Member(Configuration.of(o, {"num_experts": 4}, adam(0.01)), 7 + i)
        for i, o in enumerate(options)
    ]
    task = SyntheticGroups(num_targets=2, train_rows=64, val_rows=32, test_rows=8)
    training = Training(task, cls, members, Recipe(16, 2))
    assert training.notes == [] and not training.members.one_by_one
    assert stack(X).weights.shape == (2, 64, 8)
    training.run_epoch()  # its last step is at 0.375 of the training, past the first one's snap
    found = training.members.buffers
    prefix = "mixture.gates.each.hardening.current_"
    assert found[f"{prefix}gamma"][:, 0].tolist() == pytest.approx([1e-4, 1])
    assert found[f"{prefix}noise"][:, 0].tolist() == pytest.approx([0, 0.4 * (1 - 0.375 / 0.6)])
    assert found[f"{prefix}entropy_weight"][:, 0].tolist() == pytest.approx([0.2, 0])


@both
@pytest.mark.parametrize(
    ("options", "updates"),
    [({}, False), ({"noise": 0.1}, True), ({"entropy_warmup": 0.2}, True), ({"snap": 0.5}, True)],
)
def test_a_gate_updates_where_any_part_of_the_schedule_is_on(
    cls: type[Gate], options: dict[str, float], updates: bool
) -> None:
    assert make(cls, **options).updates == updates


@both
def test_a_schedule_of_one_member_leaves_the_others_as_they_are(cls: type[Gate]) -> None:
    """Whether a step sets anything is found once for all; none is trained by another's."""
    options = [{"snap": 1.0, "gamma": 1.0}, {"snap": 0.5, "gamma": 1.0}]
    members = [Member(Configuration.of(o, {"num_experts": 4}, adam(0.01)), 7) for o in options]
    task = SyntheticGroups(num_targets=2, train_rows=64, val_rows=32, test_rows=8)
    recipe = Recipe(16, 2)
    together = Training(task, cls, members, recipe)
    alone = [Training(task, cls, [member], recipe) for member in members]
    assert [training.loop.updates for training in (together, *alone)] == [True, False, True]
    for _ in range(2):
        losses = [loss for loss, _ in together.run_epoch().values()]
        assert losses == pytest.approx([t.run_epoch()[0][0] for t in alone], rel=1e-5)
    assert losses[0] != losses[1]


def adam(learning_rate: float) -> dict[str, Any]:
    return {"name": "adam", "learning_rate": learning_rate, "weight_decay": 0.0}


@both
def test_auxiliary_losses_leave_the_schedule(cls: type[Gate]) -> None:
    gate = make(cls, balance_weight=0.1, **ON)
    assert gate.updates
    after = gate.update(gate(X), torch.tensor(0.8))
    assert float(after["gate.hardening.current_gamma"]) == pytest.approx(1e-4)


@both
@pytest.mark.parametrize(
    ("options", "fragment"),
    [
        ({"noise": -0.1}, "`noise >= 0` must hold, but got (noise=-0.1)"),
        ({"noise": float("nan")}, "`noise >= 0` must hold"),
        ({"snap": 0.0}, "but got (entropy_warmup=0.0, snap=0.0)"),
        ({"snap": 1.1}, "`0 <= entropy_warmup < snap <= 1` must hold"),
        ({"entropy_warmup": 0.7, "snap": 0.7}, "but got (entropy_warmup=0.7, snap=0.7)"),
        ({"entropy_warmup": -0.1}, "but got (entropy_warmup=-0.1, snap=1.0)"),
    ],
)
def test_values_out_of_range(cls: type[Gate], options: dict[str, Any], fragment: str) -> None:
    with pytest.raises(ValueError) as caught:
        make(cls, **options)
    assert fragment in str(caught.value)
