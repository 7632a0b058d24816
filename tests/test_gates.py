"""What is particular to softmax, Top-k and DSelect-k; the suite has what all gates share."""

from __future__ import annotations

from inspect import signature
from typing import Any

import pytest
import torch
from torch.nn.functional import softplus

from gatelab.gates import DSelectKGate, SoftmaxGate, TopKGate, gates
from gatelab.gates.binary_codes import fold
from gatelab.gates.gate import Gate

X = torch.randn(32, 6, generator=torch.Generator().manual_seed(0))


def make(name: str, num_experts: int, options: dict[str, Any]) -> Gate:
    torch.manual_seed(1)
    return gates.get(name)(6, num_experts, **options)


def test_real_hyperparameters_are_buffers() -> None:
    gate = make("dselect_k", 6, {"gamma": 0.25, "entropy_weight": 0.5})
    assert {n: b.item() for n, b in gate.named_buffers()} == {
        "penalty_weight": 1.0,
        "hardening.gamma": 0.25,
        "hardening.entropy_weight": 0.5,
        "hardening.noise": 0.0,
        "hardening.entropy_warmup": 0.0,
        "hardening.snap": 1.0,
        "hardening.current_gamma": 0.25,
        "hardening.current_entropy_weight": 0.5,
        "hardening.current_noise": 0.0,
    }


def test_top_k_is_the_softmax_of_the_kept_logits() -> None:
    gate = make("top_k", 8, {"k": 3})
    assert isinstance(gate, TopKGate)
    logits = gate.logits(X)
    weights = gate(X).weights
    assert ((weights > 0).sum(1) == 3).all()
    for row, kept in zip(weights, logits, strict=True):
        best = kept.sort(descending=True).indices[:3]
        torch.testing.assert_close(row[best], kept[best].softmax(0))


def test_top_n_is_softmax() -> None:
    top, soft = TopKGate(6, 8, k=8), SoftmaxGate(6, 8)
    top.load_state_dict(soft.state_dict())
    torch.testing.assert_close(top(X).weights, soft(X).weights)


def test_noise_is_in_training_only_and_as_published() -> None:
    gate = TopKGate(6, 8, k=2, noise=True)
    assert not torch.equal(gate(X).weights, gate(X).weights)
    quiet = TopKGate(6, 8, k=2)
    quiet.load_state_dict(gate.state_dict(), strict=False)
    torch.testing.assert_close(gate.eval()(X).weights, quiet(X).weights)
    # With one dominant logit the noise shows in full: deviation softplus(0) at the start.
    assert gate.noise is not None
    assert softplus(gate.noise(X)).unique().item() == pytest.approx(0.6931, abs=1e-4)


def test_dselect_k_is_exactly_sparse_once_its_bits_are_saturated() -> None:
    gate = DSelectKGate(6, 8, k=2, gamma=0.5)
    with torch.no_grad():
        for parameter in gate.logits.parameters():
            parameter[..., :6] *= 1e4  # the bits' part: two selectors of three bits
    routing = gate.eval()(X)
    used = (routing.weights > 0).sum(1)
    saturated = routing.diagnostics["saturated_bits"]
    assert saturated > 0.9
    assert (used <= 2).float().mean() > 0.5
    assert (used >= 1).all()


def test_dselect_k_penalty_is_finite_where_no_expert_is_reachable() -> None:
    gate = DSelectKGate(6, 5, k=1, gamma=0.1)
    with torch.no_grad():
        assert gate.logits.bias is not None
        gate.logits.bias[:3] = 10.0  # code 7 of 5 experts
    routing = gate(X)
    routing.aux_loss.backward()
    assert torch.isfinite(routing.aux_loss)
    assert routing.aux_loss > 1e6
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in gate.parameters())


@pytest.mark.parametrize("num_experts", range(1, 18))
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e4])
def test_dselect_k_folded_loses_no_weight(num_experts: int, scale: float) -> None:
    """For every number of experts and all bits: the sum is one, and each expert can be picked."""
    torch.manual_seed(0)
    gate = DSelectKGate(6, num_experts, k=1, folded=True)
    with torch.no_grad():
        for parameter in gate.logits.parameters():
            parameter.mul_(100 * scale)
    x = torch.randn(512, 6)
    routing = gate(x)
    torch.testing.assert_close(routing.weights.sum(1), torch.ones(512))
    assert routing.aux_loss == 0, "no penalty is left"
    if scale == 1e4 and num_experts > 1:
        assert ((routing.weights > 0).sum(1) == 1).float().mean() > 0.95


@pytest.mark.parametrize("num_experts", range(2, 18))
def test_folding_gives_every_code_to_one_expert_and_every_expert_a_code(num_experts: int) -> None:
    size = 2 ** (num_experts - 1).bit_length()
    folded = fold(torch.eye(size), num_experts)  # (experts, codes)
    assert folded.shape == (num_experts, size)
    assert torch.equal(folded.sum(0), torch.ones(size))
    assert torch.equal(folded[:, :num_experts], torch.eye(num_experts))
    assert folded.sum(1).max() <= 2


def test_dselect_k_folded_is_the_published_gate_where_all_codes_are_experts() -> None:
    torch.manual_seed(0)
    plain, folded = DSelectKGate(6, 8, k=2), DSelectKGate(6, 8, k=2, folded=True)
    folded.load_state_dict(plain.state_dict())
    assert torch.equal(plain(X).weights, folded(X).weights)


@pytest.mark.parametrize(
    ("name", "options", "fragment"),
    [
        ("top_k", {"k": 0}, "(k=0, num_experts=4)"),
        ("top_k", {"k": 5}, "(k=5, num_experts=4)"),
        ("dselect_k", {"gamma": 0.0}, "gamma=0.0"),
        ("dselect_k", {"gamma": float("nan")}, "gamma=nan"),
        ("dselect_k", {"entropy_weight": -1.0}, "entropy_weight=-1.0"),
        ("dselect_k", {"reduction": "max"}, "reduction='max'"),
    ],
)
def test_constructor_errors_name_the_value(
    name: str, options: dict[str, Any], fragment: str
) -> None:
    with pytest.raises(ValueError) as caught:
        gates.get(name)(6, 4, **options)
    assert fragment in str(caught.value)


@pytest.mark.parametrize("k", [2, 4])
@pytest.mark.parametrize("name", gates.names())
def test_a_batch_of_no_rows_is_routed(name: str, k: int) -> None:
    gate = gates.get(name)(
        6, 4, **({"k": k} if "k" in signature(gates.get(name)).parameters else {})
    )
    for training in (True, False):
        assert gate.train(training)(X[:0]).weights.shape == (0, 4)
