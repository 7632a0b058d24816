"""What is particular to each learned gate beside softmax, Top-k and DSelect-k."""

from __future__ import annotations

from typing import Any

import entmax
import pytest
import torch
from scipy.special import expit, softmax
from scipy.stats import norm
from torch import Tensor, nn

from gatelab.gates.bias_balanced_top_k import BiasBalancedTopKGate
from gatelab.gates.entmax15 import Entmax15Gate
from gatelab.gates.gate import Gate, Routing
from gatelab.gates.gumbel_softmax import GumbelSoftmaxGate, gumbel_like
from gatelab.gates.mixture import Mixture
from gatelab.gates.noisy_top_k import (
    LEAST_DEVIATION,
    NoisyTopKGate,
    chance_selected,
    squared_variation,
)
from gatelab.gates.relu import FALLBACK, LEAST, MOST, ReLUGate
from gatelab.gates.rowwise import entmax15, sparsemax
from gatelab.gates.sparsemax import SparsemaxGate
from gatelab.gates.stack import Stack

X = torch.randn(32, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
VARIANTS: list[tuple[type[Gate], dict[str, Any]]] = [
    (NoisyTopKGate, {"k": 2}),
    (NoisyTopKGate, {"k": 8}),
    (GumbelSoftmaxGate, {}),
    (GumbelSoftmaxGate, {"straight_through": True}),
    (GumbelSoftmaxGate, {"static": True}),
    (SparsemaxGate, {}),
    (SparsemaxGate, {"static": True}),
    (Entmax15Gate, {}),
    (Entmax15Gate, {"static": True}),
    (ReLUGate, {"k": 1, "l1_weight": 0.5}),
    (ReLUGate, {"balanced": False, "normalise": True, "l1_weight": 0.5}),
    (BiasBalancedTopKGate, {"k": 3, "update_rate": 0.1}),
]
RANDOM = (NoisyTopKGate, GumbelSoftmaxGate)
LIBRARY = [(sparsemax, entmax.sparsemax), (entmax15, entmax.entmax15)]


def make(cls: Any, num_experts: int = 8, seed: int = 1, **options: Any) -> Any:
    torch.manual_seed(seed)
    return cls(6, num_experts, **options).double()


def with_logits(gate: Any, logits: Tensor) -> Tensor:
    """Make a gate's map such that the returned input gives the logits ``(batch, experts)``."""
    gate.in_features = len(logits)
    gate.logits.kernel = nn.Parameter(logits)
    if gate.logits.bias is not None:
        nn.init.zeros_(gate.logits.bias)
    if isinstance(gate, NoisyTopKGate):
        gate.noise.kernel = nn.Parameter(torch.zeros_like(logits))
    return torch.eye(len(logits), dtype=logits.dtype)


@pytest.mark.parametrize(("cls", "options"), VARIANTS)
def test_stacked_targets_are_the_loop_with_gradients_and_updates(
    cls: type[Gate], options: dict[str, Any]
) -> None:
    each = [make(cls, seed=i, **options).train(cls not in RANDOM) for i in range(3)]
    mixture = Mixture(each, [nn.Linear(6, 2).double() for _ in range(8)])
    stack = mixture.gates.train(cls not in RANDOM)
    together: Routing = stack(X)
    alone = [gate(X) for gate in each]
    for name in ("weights", "aux_loss"):
        expected = torch.stack([getattr(routing, name) for routing in alone])
        torch.testing.assert_close(getattr(together, name), expected)
    (together.weights[..., 0].square().sum() + together.aux_loss.sum()).backward()
    for routing in alone:
        (routing.weights[..., 0].square().sum() + routing.aux_loss).backward()
    for name, parameter in stack.each.named_parameters():
        gradients = [gate.get_parameter(name).grad for gate in each]
        if all(gradient is not None for gradient in gradients):
            torch.testing.assert_close(parameter.grad, torch.stack(gradients))
    progress = torch.tensor(0.3)
    after = mixture.next_buffers(together, progress)
    steps = [gate.update(routing, progress) for gate, routing in zip(each, alone, strict=True)]
    assert {f"gates.each.{name}" for name in steps[0]} == set(after)
    for name in steps[0]:
        expected = torch.stack([step[name] for step in steps])
        torch.testing.assert_close(after[f"gates.each.{name}"], expected)
        assert after[f"gates.each.{name}"].shape == stack.tensors()[name].shape


@pytest.mark.parametrize("num_experts", [1, 2, 5, 64])
@pytest.mark.parametrize(("ours", "library"), LIBRARY)
def test_sparse_maps_are_the_librarys_with_gradients(
    ours: Any, library: Any, num_experts: int
) -> None:
    torch.manual_seed(0)
    for scale in (0.1, 1.0, 10.0):
        logits = (scale * torch.randn(20, num_experts).double()).requires_grad_()
        cotangent = torch.randn(20, num_experts).double()
        values = [ours(logits), library(logits, dim=-1)]
        torch.testing.assert_close(*values, rtol=0, atol=0)
        gradients = [torch.autograd.grad(v, logits, cotangent)[0] for v in values]
        torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("in_dim", [0, 1, 2])
@pytest.mark.parametrize(("ours", "library"), LIBRARY)
def test_sparse_maps_under_nested_vmap(ours: Any, library: Any, in_dim: int) -> None:
    torch.manual_seed(0)
    logits = torch.randn(2, 3, 4, 5).double()
    expected = library(logits, dim=-1)
    moved = logits.movedim(1, in_dim + 1).requires_grad_()
    found = torch.vmap(torch.vmap(ours, in_dim))(moved)
    torch.testing.assert_close(found, expected)
    cotangent = torch.randn_like(expected)
    wanted = logits.clone().requires_grad_()
    library(wanted, dim=-1).backward(cotangent)
    found.backward(cotangent)
    torch.testing.assert_close(moved.grad, wanted.grad.movedim(1, in_dim + 1))  # type: ignore[union-attr]
    torch.autograd.gradcheck(ours, (logits.requires_grad_(),))


@pytest.mark.parametrize(("cls", "library"), [(SparsemaxGate, 0), (Entmax15Gate, 1)])
def test_sparse_gates_are_their_maps_of_the_logits(cls: Any, library: int) -> None:
    gate = make(cls)
    torch.testing.assert_close(gate(X).weights, LIBRARY[library][1](X @ gate.logits.kernel))
    assert gate.k is None


def test_noisy_top_k_in_evaluation_is_top_k_without_noise() -> None:
    gate = make(NoisyTopKGate, k=3).eval()
    routing = gate(X)
    for row, logits in zip(routing.weights, gate.logits(X), strict=True):
        best = logits.argsort(descending=True)[:3]
        torch.testing.assert_close(row[best], logits[best].softmax(0))
        assert (row > 0).sum() == 3
    assert torch.equal(routing.weights, gate(X).weights)
    assert not torch.equal(gate.train()(X).weights, gate(X).weights)


def noisy_case(k: int, num_experts: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return logits, noisy logits, deviations and the chances that the gate computes of them."""
    torch.manual_seed(k)
    logits, noise = torch.randn(2, 4, num_experts).double()
    deviation = torch.rand(4, num_experts).double() + 0.3
    noisy = logits + noise * deviation
    chances = chance_selected(logits, noisy, deviation, noisy.topk(k + 1).values)
    return logits, noisy, deviation, chances


@pytest.mark.parametrize(("k", "num_experts"), [(1, 2), (1, 6), (2, 6), (5, 6)])
def test_load_is_the_published_formula(k: int, num_experts: int) -> None:
    logits, noisy, deviation, chances = noisy_case(k, num_experts)
    for row in range(4):
        for expert in range(num_experts):
            others = [float(noisy[row, j]) for j in range(num_experts) if j != expert]
            threshold = sorted(others, reverse=True)[k - 1]
            chance = norm.cdf(float((logits[row, expert] - threshold) / deviation[row, expert]))
            assert float(chances[row, expert]) == pytest.approx(chance, rel=1e-9)


@pytest.mark.parametrize("k", [1, 2])
def test_load_is_how_often_new_noise_selects_the_expert(k: int) -> None:
    logits, noisy, deviation, chances = noisy_case(k, 5)
    for expert in range(5):
        again = noisy.expand(20_000, -1, -1).clone()
        drawn = torch.randn(20_000, 4).double()
        again[..., expert] = logits[:, expert] + drawn * deviation[:, expert]
        often = (again.topk(k).indices == expert).any(-1).double().mean(0)
        torch.testing.assert_close(often, chances[:, expert], rtol=0, atol=0.02)


@pytest.mark.parametrize("k", [2, 8])
def test_noisy_top_k_losses_are_squared_variations(k: int) -> None:
    gate = make(NoisyTopKGate, k=k, importance_weight=0.3, load_weight=0.7).eval()
    routing = gate(X)
    importance = routing.weights.sum(0).detach()
    expected = 0.3 * float(importance.var(correction=0) / importance.mean() ** 2)
    if k < 8:
        logits = gate.logits(X).detach()
        deviation = torch.full_like(logits, 0.6931471805599453 + LEAST_DEVIATION)
        load = chance_selected(logits, logits, deviation, logits.topk(k + 1).values).sum(0)
        expected += 0.7 * float(load.var(correction=0) / load.mean() ** 2)
    assert float(routing.aux_loss.detach()) == pytest.approx(expected)
    assert squared_variation(torch.full((5,), 3.0)) == 0


def test_noisy_top_k_losses_spread_the_experts() -> None:
    gate = make(NoisyTopKGate, k=1, importance_weight=1.0, load_weight=1.0)
    x = X.abs()
    with torch.no_grad():
        gate.logits.kernel[:, 0] += 1.0
    before = gate(x).weights.mean(0).max()
    optimizer = torch.optim.Adam(gate.parameters(), lr=0.05)
    for _ in range(60):
        optimizer.zero_grad()
        gate(x).aux_loss.backward()
        optimizer.step()
    assert before > 0.7
    assert gate(x).weights.mean(0).max() < 0.5


def test_gumbel_noise_draws_experts_with_their_softmax() -> None:
    logits = torch.tensor([1.0, 0.0, -1.0, 0.5]).double()
    gate = make(GumbelSoftmaxGate, 4, static=True, straight_through=True)
    gate.logits.bias = nn.Parameter(logits)
    shares = gate(torch.zeros(40_000, 6).double()).weights.mean(0)
    torch.testing.assert_close(shares, logits.softmax(0), rtol=0, atol=0.01)


def test_gumbel_softmax_divides_by_the_current_temperature() -> None:
    gate = make(GumbelSoftmaxGate, temperature=2.0, final_temperature=0.5)
    expected = (gate.logits(X) / 2.0).softmax(-1)
    torch.testing.assert_close(gate.eval()(X).weights, expected)
    for progress, temperature in ((0.0, 2.0), (0.5, 1.0), (1.0, 0.5)):
        after = gate.update(gate(X), torch.tensor(progress))
        assert float(after["current_temperature"]) == pytest.approx(temperature)
    gate.load_state_dict({**gate.state_dict(), **after})
    torch.testing.assert_close(gate(X).weights, (gate.logits(X) / 0.5).softmax(-1))
    assert gate.k is None


def test_straight_through_is_one_hot_with_the_soft_gradient() -> None:
    hard, soft = (make(GumbelSoftmaxGate, straight_through=on) for on in (True, False))
    cotangent = torch.randn(32, 8).double()
    for gate in (hard, soft):
        torch.manual_seed(3)
        weights = gate(X).weights
        (weights * cotangent).sum().backward()
        if gate is hard:
            assert torch.equal(weights.sort(-1).values, torch.eye(8)[-1].double().expand(32, -1))
    torch.testing.assert_close(hard.logits.kernel.grad, soft.logits.kernel.grad)
    assert hard.k == 1


def test_gumbel_noise_is_finite_for_a_draw_of_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "rand_like", torch.zeros_like)
    for dtype in (torch.float32, torch.float64):
        assert torch.isfinite(gumbel_like(torch.zeros(2, 1, dtype=dtype))).all()


@pytest.mark.parametrize("balanced", [False, True])
def test_relu_is_the_positive_part_with_its_l1_loss(balanced: bool) -> None:
    gate = make(ReLUGate, k=2, l1_weight=0.25, balanced=balanced)
    logits = gate.logits(X).detach()
    assert (logits > 0).any(-1).all(), "no row falls back here"
    routing = gate(X)
    torch.testing.assert_close(routing.weights, logits.clamp(min=0))
    expected = 0.0
    for expert in range(8):
        share = float((logits[:, expert] > 0).double().mean()) / (2 / 8) if balanced else 1.0
        expected += 0.25 * share * float(logits[:, expert].clamp(min=0).mean())
    assert float(routing.aux_loss.detach()) == pytest.approx(expected)
    assert gate.k is None


@pytest.mark.parametrize("normalise", [False, True])
def test_relu_rows_without_a_positive_logit_keep_their_best_expert(normalise: bool) -> None:
    gate = make(ReLUGate, 3, k=1, normalise=normalise)
    x = with_logits(
        gate, torch.tensor([[-1.0, -0.5, -2.0], [-1e4, -1e3, 1e3], [0, -1, 0]]).double()
    )
    routing = gate(x)
    kept = [FALLBACK * 2.718281828**-0.5, 1e3, FALLBACK]
    assert (routing.weights > 0).sum(-1).tolist() == [1, 1, 1]
    found = routing.weights.max(-1).values
    expected = torch.ones(3).double() if normalise else torch.tensor(kept).double()
    torch.testing.assert_close(found, expected)
    (found.sum() + routing.aux_loss).backward()
    gradient = gate.logits.kernel.grad
    assert torch.isfinite(gradient).all()
    assert normalise or gradient[0].tolist() == [0, pytest.approx(kept[0]), 0]


def test_relu_gradient_is_finite_where_exp_would_overflow() -> None:
    gate = make(ReLUGate, 3, k=1)
    x = with_logits(gate, torch.tensor([[1e3, 0.0, 0.0]]).double())
    gate(x).weights.sum().backward()
    assert torch.isfinite(gate.logits.kernel.grad).all()


@pytest.mark.parametrize(
    ("positive", "start", "expected"),
    [(3, 0.1, 0.2), (1, 0.1, 0.05), (2, 0.1, 0.1), (3, MOST, MOST), (1, LEAST, LEAST)],
)
def test_relu_controller_moves_towards_k(positive: int, start: float, expected: float) -> None:
    gate = make(ReLUGate, 4, k=2, l1_weight=start, l1_multiplier=2.0)
    x = with_logits(gate, torch.tensor([[1.0] * positive + [-1.0] * (4 - positive)] * 2).double())
    after = gate.update(gate(x), torch.tensor(0.0))["l1_weight"]
    assert float(after) == pytest.approx(expected)


def test_relu_controller_ends_near_k_experts() -> None:
    gate = make(ReLUGate, k=2)
    optimizer = torch.optim.Adam(gate.parameters(), lr=0.02)
    used = []
    for _ in range(400):
        routing = gate(X)
        optimizer.zero_grad()
        ((routing.weights.sum(-1) - 1).square().mean() + routing.aux_loss).backward()
        optimizer.step()
        gate.l1_weight.copy_(gate.update(routing, torch.tensor(0.0))["l1_weight"])
        used.append(float((routing.weights > 0).double().sum(-1).mean()))
    assert used[0] > 3
    assert sum(used[-100:]) / 100 == pytest.approx(2, abs=0.4)


def test_bias_selects_and_does_not_weigh() -> None:
    gate = make(BiasBalancedTopKGate, k=2)
    gate.bias.copy_(torch.linspace(0, 0.4, 8))
    scores = expit((X @ gate.logits.kernel).detach().numpy())
    for row, score in zip(gate(X).weights, scores, strict=True):
        best = (-(score + gate.bias.numpy())).argsort()[:2]
        expected = torch.zeros(8).double()
        expected[best.tolist()] = torch.tensor(score[best] / score[best].sum())
        torch.testing.assert_close(row.detach(), expected)


def test_bias_moves_against_the_load_by_the_rate() -> None:
    gate = make(BiasBalancedTopKGate, 4, k=1, update_rate=0.25)
    x = with_logits(gate, torch.eye(4).double()[[0, 0, 0, 1]] * 5)
    found = gate.update(gate(x), torch.tensor(0.0))["bias"]
    assert found.tolist() == [-0.25, 0.0, 0.25, 0.25]  # loads 3, 1, 0, 0 of a mean of 1
    assert gate.bias.tolist() == [0, 0, 0, 0]


def test_even_loads_leave_the_bias() -> None:
    gate = make(BiasBalancedTopKGate, 7, k=1)  # seven times 1/7 is not 1
    x = with_logits(gate, torch.eye(7).double())
    assert gate.update(gate(x), torch.tensor(0.0))["bias"].tolist() == [0.0] * 7


def test_bias_balances_an_uneven_gate() -> None:
    gate = make(BiasBalancedTopKGate, k=2, update_rate=0.01)
    x = X.abs()
    with torch.no_grad():
        gate.logits.kernel[:, :2] += 1.0
    loads = []
    for _ in range(200):
        routing = gate(x)
        loads.append((routing.weights > 0).double().mean(0))
        gate.bias.copy_(gate.update(routing, torch.tensor(0.0))["bias"])
    assert loads[0].max() > 0.9
    assert torch.stack(loads[-20:]).mean(0).max() < 0.35  # evenly it would be 0.25


def test_bias_balanced_weights_are_scores_where_those_underflow() -> None:
    gate = BiasBalancedTopKGate(6, 3, k=2)
    x = with_logits(gate, torch.tensor([[-1000.0, -1001.0, -2000.0]]))
    expected = torch.tensor([[*softmax([0.0, -1.0]), 0.0]], dtype=torch.float32)
    torch.testing.assert_close(gate(x).weights.detach(), expected)


@pytest.mark.parametrize("cls", [cls for cls, _ in VARIANTS])
def test_gates_of_one_structure_stack_whatever_their_real_values(cls: type[Gate]) -> None:
    buffers = {name for name, _ in cls(6, 4).named_buffers()}
    real = {name for name in cls.search_space if name not in ("k", "straight_through")}
    assert real <= buffers
    assert Stack([cls(6, 4), cls(6, 4)])(X.float()).weights.shape == (2, 32, 4)


@pytest.mark.parametrize(
    ("cls", "options", "fragment"),
    [
        (NoisyTopKGate, {"k": 5}, "(k=5, num_experts=4)"),
        (NoisyTopKGate, {"load_weight": -1.0}, "(load_weight=-1.0)"),
        (NoisyTopKGate, {"importance_weight": float("nan")}, "(importance_weight=nan)"),
        (GumbelSoftmaxGate, {"temperature": 0.0}, "(temperature=0.0)"),
        (GumbelSoftmaxGate, {"final_temperature": -1.0}, "(final_temperature=-1.0)"),
        (ReLUGate, {"k": 0}, "(k=0, num_experts=4)"),
        (ReLUGate, {"l1_weight": 0.0}, "(l1_weight=0.0)"),
        (ReLUGate, {"l1_multiplier": 0.9}, "(l1_multiplier=0.9)"),
        (BiasBalancedTopKGate, {"k": 5}, "(k=5, num_experts=4)"),
        (BiasBalancedTopKGate, {"update_rate": -0.1}, "(update_rate=-0.1)"),
    ],
)
def test_errors_name_the_rule_and_the_values(
    cls: type[Gate], options: dict[str, Any], fragment: str
) -> None:
    with pytest.raises(ValueError) as caught:
        cls(6, 4, **options)
    assert "must hold, but got" in str(caught.value)
    assert fragment in str(caught.value)
