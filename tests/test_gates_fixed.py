"""Gates that learn nothing: which experts they give which target."""

from __future__ import annotations

from typing import get_args

import pytest
import torch

from gatelab.gates.auxiliary import make_gate
from gatelab.gates.fixed import (
    IndependentGate,
    OneEachGate,
    RandomKGate,
    SingleGate,
    UniformGate,
)
from gatelab.gates.gate import Gate, Role, gates
from gatelab.gates.mixture import Mixture
from gatelab.gates.stack import Stack
from gatelab.training.member import Recipe
from gatelab.training.model import Model
from gatelab.training.train import Training
from tests.scaled import BATCH, Scaled, member

X = torch.randn(5, 6)
FIXED: list[type[Gate]] = [UniformGate, RandomKGate, SingleGate, OneEachGate, IndependentGate]


def rows(cls: type[Gate], targets: int = 3, experts: int = 4) -> torch.Tensor:
    """Return every target's weights, ``(targets, experts)``, through a stack."""
    torch.manual_seed(0)
    gates = [make_gate(cls, 6, experts, target=t, num_targets=targets) for t in range(targets)]
    weights: torch.Tensor = Stack(gates)(X).weights
    alone = torch.stack([gate(X).weights for gate in gates])
    assert torch.equal(weights, alone)
    assert weights.shape == (targets, 5, experts)
    assert (weights == weights[:, :1]).all()
    return weights[:, 0]


def test_uniform_uses_all_alike() -> None:
    assert torch.equal(rows(UniformGate), torch.full((3, 4), 0.25))
    assert UniformGate(6, 4).k is None


def test_single_uses_the_first_for_every_target() -> None:
    assert torch.equal(rows(SingleGate), torch.eye(4)[[0, 0, 0]])
    assert SingleGate(6, 4).k == 1


def test_one_each_gives_every_target_its_own() -> None:
    assert torch.equal(rows(OneEachGate), torch.eye(4)[:3])
    assert torch.equal(rows(OneEachGate, targets=4), torch.eye(4))
    assert OneEachGate(6, 4).k == 1


def test_one_each_refuses_more_targets_than_experts() -> None:
    with pytest.raises(ValueError) as caught:
        make_gate(OneEachGate, 6, 4, target=0, num_targets=5)
    message = "`num_targets <= num_experts` must hold, but got (num_targets=5, num_experts=4)."
    assert str(caught.value) == message


def test_independent_brings_an_expert_for_each_target_whatever_the_model_says() -> None:
    """Experts and towers of ``Scaled`` have one weight and none: two targets are two weights."""
    sizes = {}
    for name in ("independent", "one_each"):
        model = Model(Scaled(), gates.get(name), {}, {"num_experts": 8})
        assert isinstance(model.mixture.gates.each, OneEachGate)
        sizes[name] = model.mixture.experts.size, sum(p.numel() for p in model.parameters())
        weights = model(torch.ones(3, 1)).routing.weights[:, 0]
        assert torch.equal(weights, torch.eye(sizes[name][0])[:2])
    assert sizes == {"independent": (2, 2), "one_each": (8, 8)}


def test_independent_trains_as_one_each_does_with_as_many_experts() -> None:
    """``member`` says one expert; a model of two starts alike, and one expert a target learns."""
    found = Training(Scaled(), IndependentGate, [member(rate=0.1)], Recipe(BATCH, 1))
    found.run_epoch()
    weights = found.best[0]["mixture.experts.each.weight"].flatten()
    assert len(weights) == 2
    assert (weights < 4).all(), "each has moved"
    assert weights[0] != weights[1], "by its own target's loss"


def test_roles() -> None:
    ours = {n: gates.get(n) for n in gates.names() if gates.get(n).__module__.startswith("gatelab")}
    roles = {role: {n for n, cls in ours.items() if cls.role == role} for role in get_args(Role)}
    assert roles["baseline"] == {
        *("single", "random_k", "one_each", "independent", "uniform", "constant")
    }
    assert roles["ceiling"] == {"oracle"}
    assert {n for n, cls in ours.items() if cls.hardens} == {"dselect_k", "comet"}
    assert {n for n, cls in ours.items() if not cls.trained} == {"constant"}


def test_random_k_draws_k_experts_for_each_target_from_torchs_state() -> None:
    found = rows(RandomKGate, targets=40, experts=8)
    assert torch.equal(found.sort(-1).values, torch.tensor([0.0] * 6 + [0.5] * 2).expand(40, -1))
    assert len(found.unique(dim=0)) > 10
    assert (found.sum(0) > 0).all()
    assert torch.equal(found, rows(RandomKGate, targets=40, experts=8))
    assert RandomKGate(6, 8, k=3).k == 3


@pytest.mark.parametrize("k", [0, 5])
def test_random_k_refuses_other_numbers(k: int) -> None:
    with pytest.raises(ValueError) as caught:
        RandomKGate(6, 4, k=k)
    assert f"({k=}, num_experts=4)" in str(caught.value)


@pytest.mark.parametrize("cls", FIXED)
@pytest.mark.parametrize("num_experts", [2, 3, 5, 16, 64])
def test_weights_sum_to_one_and_travel_as_state(cls: type[Gate], num_experts: int) -> None:
    gate, other = cls(6, num_experts), cls(6, num_experts)
    assert gate(X).weights.sum(-1).tolist() == pytest.approx([1.0] * 5)
    gate.row = torch.eye(num_experts)[-1]
    other.load_state_dict(gate.state_dict())
    assert torch.equal(other(X).weights, gate(X).weights)
    assert gate.double()(X.double()).weights.dtype == torch.float64


@pytest.mark.parametrize("cls", FIXED)
def test_experts_learn_under_a_fixed_gate(cls: type[Gate]) -> None:
    gates = [make_gate(cls, 6, 4, target=t, num_targets=2) for t in range(2)]
    mixture = Mixture(gates, [torch.nn.Linear(6, 2) for _ in range(4)])
    mixed, routing = mixture(X, X)
    (mixed.square().sum() + routing.aux_loss.sum()).backward()
    used = (routing.weights > 0).any(0).any(0)
    gradient = mixture.experts.each.get_parameter("weight").grad
    assert gradient is not None
    assert torch.equal(gradient.abs().sum((1, 2)) > 0, used)
