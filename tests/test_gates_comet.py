"""COMET: soft trees, sparse once their splits are saturated, and the order of its leaves."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from gatelab.gates.comet import CometGate, leaf_chances
from gatelab.gates.gate import Routing
from gatelab.gates.learnt_order import nearest_permutation

X = torch.randn(32, 6, generator=torch.Generator().manual_seed(0))


def tree(steps: Tensor, num_experts: int, node: int = 0, chance: float = 1.0) -> list[float]:
    """Return a tree's leaf chances as its definition reads, from left to right."""
    if node >= num_experts - 1:
        return [chance]
    left, right = chance * float(steps[node]), chance * (1 - float(steps[node]))
    return tree(steps, num_experts, 2 * node + 1, left) + tree(
        steps, num_experts, 2 * node + 2, right
    )


@pytest.mark.parametrize("num_experts", [1, 2, 3, 5, 6, 8, 11, 16, 64])
def test_leaf_chances_are_products_of_the_steps(num_experts: int) -> None:
    steps = torch.rand(num_experts - 1, 3, dtype=torch.float64)
    expected = [tree(column, num_experts) for column in steps.unbind(1)]
    torch.testing.assert_close(leaf_chances(steps).mT, torch.tensor(expected).double())


def saturated(k: int, num_experts: int = 8, **options: Any) -> CometGate:
    """Return a gate all of whose splits are exact."""
    gate = CometGate(6, num_experts, k=k, gamma=0.1, **options)
    with torch.no_grad():
        for parameter in gate.logits.parameters():
            parameter[..., : k * (num_experts - 1)] *= 1e7
    return gate


def test_comet_is_exactly_sparse_once_its_splits_are_saturated() -> None:
    torch.manual_seed(1)
    gate = saturated(2).eval()
    routing = gate(X)
    used = (routing.weights > 0).sum(1)
    assert routing.diagnostics["saturated_splits"] == 1
    assert used.max() == 2
    assert used.min() >= 1
    torch.testing.assert_close(
        routing.diagnostics["tree_duplication"], (used == 1).to(torch.float32).mean()
    )
    fresh = CometGate(6, 8, k=2).eval()(X)
    assert (fresh.weights > 0).all()
    assert fresh.diagnostics["saturated_splits"] == 0


def test_comet_weighs_the_found_leaves_by_a_softmax_of_their_logits() -> None:
    torch.manual_seed(2)
    gate = saturated(2)
    routing = gate(X)
    leaves = routing.logits[0].unflatten(-1, (8, 2))
    rows = (routing.weights > 0).sum(1) == 2
    assert rows.any()
    for weights, logits in zip(routing.weights[rows], leaves[rows], strict=True):
        a, b = weights.nonzero().flatten().tolist()
        pairs = [(logits[a, t], logits[b, 1 - t]) for t in range(2)]
        expected = [torch.stack(pair).softmax(0) for pair in pairs]
        assert any(torch.allclose(weights[[a, b]], e, atol=1e-6) for e in expected)


def test_comet_is_finite_where_the_largest_leaf_logit_is_out_of_reach() -> None:
    torch.manual_seed(3)
    gate = saturated(1)
    with torch.no_grad():
        assert gate.logits.bias is not None
        gate.logits.bias[-8:] = torch.arange(8) * 1e3
    routing = gate(X)
    (routing.weights[:, 0].sum() + routing.aux_loss).backward()
    torch.testing.assert_close(routing.weights.sum(1), torch.ones(32))
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in gate.parameters())


def test_comet_entropy_is_zero_once_saturated_and_a_mean_before() -> None:
    assert saturated(3, entropy_weight=1.0)(X).aux_loss.abs() < 1e-5
    with torch.no_grad():
        even = CometGate(6, 8, k=3, entropy_weight=0.5)
        for parameter in even.logits.parameters():
            parameter.zero_()
    # Three trees of eight even leaves: 0.5 * 3 * log(8).
    torch.testing.assert_close(even(X).aux_loss, torch.tensor(1.5 * 2.0794415), rtol=1e-4, atol=0)


def is_permutation(matrix: Tensor) -> bool:
    ones = torch.ones(len(matrix))
    exact = ((matrix == 0) | (matrix == 1)).all()
    return bool(exact) and all(torch.equal(matrix.sum(d), ones) for d in (0, 1))


def test_nearest_permutation_takes_the_largest_free_entry() -> None:
    matrix = torch.tensor([[0.9, 0.8, 0.0], [0.7, 0.1, 0.2], [0.3, 0.6, 0.0]])
    expected = torch.tensor([[1.0, 0, 0], [0, 0, 1], [0, 1, 0]])
    torch.testing.assert_close(nearest_permutation(matrix), expected)
    assert is_permutation(nearest_permutation(torch.zeros(5, 5)))
    assert is_permutation(nearest_permutation(torch.rand(16, 16)))


def step(gate: CometGate, routing: Routing, progress: float) -> None:
    buffers = dict(gate.named_buffers())
    with torch.no_grad():
        for name, value in gate.update(routing, torch.tensor(progress)).items():
            buffers[name].copy_(value)


@pytest.mark.parametrize("seed", range(3))
def test_local_search_finds_a_planted_order(seed: int) -> None:
    torch.manual_seed(seed)
    gate = saturated(1, local_search=True, search_share=0.8)
    assert gate.order is not None
    plain = saturated(1)
    plain.logits.load_state_dict(gate.logits.state_dict())
    x, order = torch.randn(256, 6), torch.randperm(8)
    wanted, outputs = plain(x).weights[:, order].detach(), torch.randn(8, 5)
    optimizer = torch.optim.Adam([gate.order.scores], 1e-2)
    for index in range(200):
        routing = gate(x)
        optimizer.zero_grad()
        ((routing.weights - wanted) @ outputs).square().mean().backward()
        optimizer.step()
        step(gate, routing, (index + 1) / 200)
    assert is_permutation(gate.order.kept)
    torch.testing.assert_close(gate(x).weights, wanted)
    torch.testing.assert_close(gate.eval()(x).weights, wanted)


def test_local_search_keeps_its_order_after_its_share_of_the_training() -> None:
    torch.manual_seed(0)
    gate = CometGate(6, 8, k=2, local_search=True, search_share=0.5)
    assert gate.order is not None

    def gradient() -> Tensor:
        gate.zero_grad()
        gate(X).weights[:, 0].sum().backward()
        assert gate.order is not None and gate.order.scores.grad is not None
        return gate.order.scores.grad

    assert gradient().any()
    step(gate, gate(X), 0.4)
    assert gradient().any()
    step(gate, gate(X), 0.5)
    kept = gate.order.kept.clone()
    assert is_permutation(kept)
    assert not gradient().any()
    with torch.no_grad():
        gate.order.scores.copy_(torch.randn(8, 8))
    step(gate, gate(X), 0.9)
    assert torch.equal(gate.order.kept, kept)
    weights = gate(X).weights
    assert torch.equal(weights, gate.eval()(X).weights)


def test_weights_sum_to_one_while_the_order_is_not_yet_a_permutation() -> None:
    torch.manual_seed(0)
    gate = CometGate(6, 8, k=2, local_search=True, search_temperature=1e-3)
    assert gate.order is not None
    assert not torch.allclose(gate.order.soft().sum(0), torch.ones(8), atol=1e-3)
    torch.testing.assert_close(gate(X).weights.sum(1), torch.ones(32))


def test_comet_updates_an_order_only_where_one_is_learnt() -> None:
    gates = CometGate(6, 8), CometGate(6, 8, local_search=True)
    found = [{n for n in g.update(g(X), torch.tensor(0.5)) if "order" in n} for g in gates]
    assert found == [set(), {"order.searched", "order.kept"}]
    assert [gate.updates for gate in gates] == [False, True]
