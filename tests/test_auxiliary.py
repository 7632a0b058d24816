"""Losses that any gate can be given: their formulas, and a gate with them is still a gate."""

from __future__ import annotations

import math

import pytest
import torch

from gatelab.conformance import name_of, run
from gatelab.gates import BiasBalancedTopKGate, SoftmaxGate, Stack, UniformGate, gates, make_gate
from gatelab.gates.auxiliary import AuxiliaryLosses, balance_loss, z_loss
from gatelab.gates.check import CHECKS
from gatelab.gates.check.subject import Subject

X = torch.randn(32, 6, generator=torch.Generator().manual_seed(0))


def test_balance_loss_is_one_where_even_and_n_where_all_is_on_one() -> None:
    even = torch.eye(4).repeat(3, 1)
    assert balance_loss(even).item() == pytest.approx(1.0)
    assert balance_loss(torch.eye(4)[[2, 2, 2]]).item() == pytest.approx(4.0)
    weights = torch.tensor([[0.7, 0.3], [0.6, 0.4], [0.1, 0.9]])
    expected = 2 * (2 / 3 * 1.4 / 3 + 1 / 3 * 1.6 / 3)
    assert balance_loss(weights).item() == pytest.approx(expected)


def test_z_loss_is_the_mean_squared_log_partition() -> None:
    assert z_loss(torch.zeros(5, 8)).item() == pytest.approx(math.log(8) ** 2)


def test_they_are_added_to_the_gates_own() -> None:
    torch.manual_seed(0)
    gate = make_gate(SoftmaxGate, 6, 8, balance_weight=0.5, z_weight=0.25)
    assert isinstance(gate, AuxiliaryLosses)
    routing = gate(X)
    expected = 0.5 * balance_loss(routing.weights) + 0.25 * z_loss(routing.logits[0])
    torch.testing.assert_close(routing.aux_loss, expected)
    assert type(make_gate(SoftmaxGate, 6, 8)) is SoftmaxGate, "nothing is wrapped without need"


def test_what_the_gate_says_of_itself_is_kept() -> None:
    gate = make_gate(BiasBalancedTopKGate, 6, 8, k=3, balance_weight=0.1)
    assert (gate.k, gate.updates) == (3, True)
    assert set(gate.update(gate(X), torch.tensor(0.5))) == {"gate.bias"}
    assert not make_gate(SoftmaxGate, 6, 8, balance_weight=0.1).updates


def test_members_may_differ_in_them() -> None:
    torch.manual_seed(0)
    made = [make_gate(SoftmaxGate, 6, 8, balance_weight=w) for w in (0.0, 1.0, 2.0)]
    losses = Stack(made)(X).aux_loss
    assert losses.tolist() == pytest.approx([gate(X).aux_loss.item() for gate in made])
    assert losses[0] == 0
    assert losses[1] > 0


def test_a_z_loss_needs_logits() -> None:
    with pytest.raises(ValueError, match="`z_weight` needs a gate with logits, but UniformGate"):
        make_gate(UniformGate, 6, 8, z_weight=0.1)
    make_gate(UniformGate, 6, 8, z_weight=0.0)
    with pytest.raises(ValueError, match="balance_weight=-1"):
        make_gate(SoftmaxGate, 6, 8, balance_weight=-1)


@pytest.mark.parametrize("name", ["softmax", "dselect_k", "bias_balanced_top_k", "gumbel_softmax"])
def test_a_gate_with_them_passes_the_suite(name: str) -> None:
    subject = Subject(gates.get(name), {"balance_weight": 0.1, "z_weight": 0.01})
    outcomes = [run(check, subject, subject.cls.expected_failed_checks) for check in CHECKS]
    assert [(name_of(c), o.reason) for c, o in zip(CHECKS, outcomes, strict=True) if not o.ok] == []
