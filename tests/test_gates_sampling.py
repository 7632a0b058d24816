"""Gates of samples and of a soft Top-k; and how they and COMET run as one, and refuse values."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from itertools import permutations
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.func import functional_call

from gatelab.gates.comet import CometGate
from gatelab.gates.gate import Gate, Routing
from gatelab.gates.lapsum import LapSumGate, decaying_sums, soft_top_k
from gatelab.gates.sampled_k import SampledKGate
from gatelab.gates.stack import Stack

X = torch.randn(32, 6, generator=torch.Generator().manual_seed(0))


def sampler(logits: Tensor, k: int) -> SampledKGate:
    gate = SampledKGate(6, len(logits), k=k, static=True)
    with torch.no_grad():
        assert gate.logits.bias is not None
        gate.logits.bias.copy_(logits)
    return gate


LOGITS = torch.tensor([1.0, 0.0, -1.0, 0.5, -0.5])


def test_sampling_follows_the_softmax_without_replacement() -> None:
    chances = LOGITS.double().softmax(0)
    expected = torch.zeros(5, dtype=torch.float64)
    for first, second in permutations(range(5), 2):
        chance = chances[first] * chances[second] / (1 - chances[first])
        expected[first] += chance
        expected[second] += chance
    torch.manual_seed(0)
    weights = sampler(LOGITS, 2)(torch.zeros(100_000, 6)).weights
    found = (weights > 0).double().mean(0)
    # Five standard errors of a share of 100,000.
    torch.testing.assert_close(found, expected, rtol=0, atol=5 * 0.5 / 100_000**0.5)


def adjusted(drawn: Tensor, one: int) -> Tensor:
    """Return the published softmax of adjusted logits of the drawn experts."""
    correction = ((len(drawn) - 1) * LOGITS.softmax(0)[drawn]).log()
    correction[one] = 0.0
    return (LOGITS[drawn] - correction).softmax(0)


@pytest.mark.parametrize("k", [2, 3, 5])
def test_sampled_weights_are_the_published_softmax(k: int) -> None:
    torch.manual_seed(0)
    weights = sampler(LOGITS, k)(torch.zeros(3000, 6)).weights.detach()
    assert ((weights > 0).sum(1) == k).all()
    chosen = torch.zeros(k)
    for row in weights:
        drawn = row.nonzero().flatten()
        fits = torch.stack(
            [(row[drawn] - adjusted(drawn, one)).abs().max() < 1e-6 for one in range(k)]
        )
        assert fits.sum() == 1
        chosen += fits
    # Whose logit is not adjusted is drawn evenly, whatever the chances: five standard errors.
    assert (chosen / 3000 - 1 / k).abs().max() < 5 * 0.5 / 3000**0.5


def test_sampling_is_of_each_row_and_evaluation_of_the_largest() -> None:
    torch.manual_seed(0)
    gate = SampledKGate(6, 8, k=3)
    first, second = gate(X), gate(X)
    assert not torch.equal(first.weights, second.weights)
    assert ((first.weights > 0).sum(1) == 3).all()
    gate.eval()
    weights = gate(X).weights
    assert torch.equal(weights, gate(X).weights)
    largest = gate(X).logits[0].topk(3).indices
    torch.testing.assert_close(weights.gather(1, largest), torch.full((32, 3), 1 / 3))
    torch.testing.assert_close(weights.sum(1), torch.ones(32))
    static = sampler(torch.zeros(8), 2)(X).weights
    assert len({tuple(row.nonzero().flatten().tolist()) for row in static}) > 5


def test_trimmed_lasso_is_the_mean_chance_of_all_but_the_k_likeliest() -> None:
    gate = SampledKGate(6, 8, k=3, trimmed_lasso_weight=0.5)
    routing = gate(X)
    trimmed = routing.logits[0].softmax(-1).sort(descending=True).values[:, 3:].sum(1)
    torch.testing.assert_close(routing.aux_loss, 0.5 * trimmed.mean())
    torch.testing.assert_close(gate.eval()(X).diagnostics["trimmed_mass"], trimmed.mean())


def bisection(x: Tensor, k: int) -> Tensor:
    """Return Laplace's chances that sum to k, by halving an interval of b."""
    x = x.double()
    low = x.min(-1, keepdim=True).values - 50
    high = x.max(-1, keepdim=True).values + 50

    def chances(b: Tensor) -> Tensor:
        tail = (-(x - b).abs()).exp() / 2
        return torch.where(x > b, 1 - tail, tail)

    for _ in range(200):
        middle = (low + high) / 2
        many = chances(middle).sum(-1, keepdim=True) > k
        low, high = torch.where(many, middle, low), torch.where(many, high, middle)
    return chances((low + high) / 2)


def lapsum_inputs(n: int) -> Tensor:
    """Return rows ``(60, n)``: of every spread, with ties, all tied, and with wide gaps."""
    x = torch.randn(60, n, generator=torch.Generator().manual_seed(n))
    x = x * torch.logspace(-3, 1.5, 60).unsqueeze(-1)
    x[:10] = x[:10].mul(1e3).round()
    x[10:15] = x[10:15, :1]
    x[15:20, n // 2 :] += 500.0
    x[20:25, -1] -= 500.0
    return x


@pytest.mark.parametrize("n", [2, 3, 5, 8, 16, 64])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 5e-5)])
def test_lapsum_equals_a_bisection(n: int, dtype: torch.dtype, tolerance: float) -> None:
    x = lapsum_inputs(n)
    for k in range(1, n):
        found = soft_top_k(x.to(dtype), k)
        assert found.dtype == dtype
        torch.testing.assert_close(found.double(), bisection(x, k), rtol=0, atol=tolerance)


def test_decaying_sums_are_sums_over_the_neighbours() -> None:
    x = torch.randn(4, 11, dtype=torch.float64).sort(-1).values
    below, above = decaying_sums(x)
    for j in range(11):
        torch.testing.assert_close(below[:, j], (x[:, : j + 1] - x[:, j : j + 1]).exp().sum(1))
        torch.testing.assert_close(above[:, j], (x[:, j : j + 1] - x[:, j:]).exp().sum(1))


@pytest.mark.parametrize("k", [1, 2, 3, 4])
def test_lapsum_gradient_is_right_where_logits_are_tied_too(k: int) -> None:
    tied = torch.tensor([[0.0, 0, 0, 0], [1, 1, 0, 0], [2, 1, 1, 0]], dtype=torch.float64)
    x = torch.cat([tied, torch.randn(5, 4, dtype=torch.float64)]).requires_grad_()
    # The density has a kink at b, which a finite difference meets where a logit is b itself.
    assert torch.autograd.gradcheck(lambda x: soft_top_k(x, k), (x,), eps=1e-6, atol=1e-5)


@pytest.mark.parametrize("logits", [torch.zeros(8), torch.arange(8.0) * 1e4, torch.full((8,), 1e6)])
@pytest.mark.parametrize("k", [1, 4, 7, 8])
def test_lapsum_is_finite_for_tied_and_for_large_logits(logits: Tensor, k: int) -> None:
    gate = LapSumGate(6, 8, k=k, static=True)
    with torch.no_grad():
        assert gate.logits.bias is not None
        gate.logits.bias.copy_(logits)
    weights = gate(X).weights
    weights[:, 0].sum().backward()
    torch.testing.assert_close(weights.sum(1), torch.ones(32))
    assert gate.logits.bias.grad is not None and torch.isfinite(gate.logits.bias.grad).all()
    if logits[0] == logits[-1] or k == 8:
        torch.testing.assert_close(weights, torch.full((32, 8), 1 / 8))


def test_lapsum_is_top_k_where_alpha_is_small() -> None:
    torch.manual_seed(0)
    gate = LapSumGate(6, 8, k=2, alpha=1e-9).double().eval()
    assert gate.k is None
    routing = gate(X.double())
    largest = routing.logits[0].topk(2).indices
    hard = torch.zeros(32, 8).double().scatter(1, largest, 0.5)
    torch.testing.assert_close(routing.weights, hard, rtol=0, atol=1e-6)
    torch.testing.assert_close(routing.diagnostics["top_k_mass"], torch.tensor(1.0).double())


STACKED: list[Callable[[], Gate]] = [
    lambda: CometGate(6, 5, k=2, entropy_weight=0.3, gamma=0.05),
    lambda: CometGate(6, 1, k=1, entropy_weight=0.3),
    lambda: CometGate(6, 8, k=3, static=True, entropy_weight=0.3),
    lambda: CometGate(6, 8, k=2, local_search=True),
    lambda: SampledKGate(6, 8, k=3),
    lambda: SampledKGate(6, 8, k=2, static=True),
    lambda: LapSumGate(6, 8, k=3),
    lambda: LapSumGate(6, 8, k=3, static=True),
    lambda: LapSumGate(6, 8, k=8),
]


def results(call: Callable[..., Routing], tensors: dict[str, Tensor], shape: int) -> list[Tensor]:
    """Return weights, loss and gradients by the parameters, of a fixed linear loss."""
    learnt = [tensor.requires_grad_() for tensor in tensors.values()]
    routing = call(tensors)
    cotangent = torch.randn(32, shape, generator=torch.Generator().manual_seed(5))
    ((routing.weights * cotangent).sum() + routing.aux_loss.sum()).backward()
    gradients = [torch.zeros_like(t) if t.grad is None else t.grad for t in learnt]
    return [routing.weights.detach(), routing.aux_loss.detach(), *gradients]


@pytest.mark.parametrize("make", STACKED)
def test_targets_and_members_at_once_equal_the_loop(make: Callable[[], Gate]) -> None:
    torch.manual_seed(0)
    x = X.double()
    members = [[make().double() for _ in range(3)] for _ in range(2)]
    training = not isinstance(members[0][0], SampledKGate)
    stacks = [Stack(gates).train(training) for gates in members]
    each = stacks[0].each
    names = [name for name, _ in each.named_parameters()]
    everything = {
        n: torch.stack([s.tensors()[n].detach() for s in stacks]) for n in stacks[0].tensors()
    }
    buffers = {n: t for n, t in everything.items() if n not in names}

    def one(tensors: dict[str, Tensor]) -> Routing:
        routing: Routing = functional_call(each, tensors, (x,))
        return routing

    def together(parameters: dict[str, Tensor]) -> Routing:
        call = torch.vmap(torch.vmap(one, randomness="different"), randomness="different")
        return call({**parameters, **buffers})  # type: ignore[no-any-return]

    found = results(together, {n: everything[n].clone() for n in names}, each.num_experts)
    for m, gates in enumerate(members):
        for t, gate in enumerate(gates):
            alone = results(
                lambda tensors, gate=gate: functional_call(gate.train(training), tensors, (x,)),
                {n: p.detach().clone() for n, p in gate.named_parameters()},
                gate.num_experts,
            )
            for mine, theirs in zip(alone, found, strict=True):
                torch.testing.assert_close(mine, theirs[m, t], rtol=1e-9, atol=1e-11)


def test_stacked_samplers_draw_their_own_numbers() -> None:
    torch.manual_seed(0)
    gate = SampledKGate(6, 8, k=2)
    weights = Stack([gate, deepcopy(gate)])(X).weights
    assert ((weights > 0).sum(-1) == 2).all()
    assert not torch.equal(weights[0], weights[1])


@pytest.mark.parametrize(
    ("cls", "options", "fragment"),
    [
        (CometGate, {"k": 0}, "(k=0, num_experts=4)"),
        (CometGate, {"k": 5}, "(k=5, num_experts=4)"),
        (CometGate, {"gamma": 0.0}, "gamma=0.0"),
        (CometGate, {"entropy_weight": -1.0}, "entropy_weight=-1.0"),
        (CometGate, {"search_share": 0.0}, "search_share=0.0"),
        (CometGate, {"search_share": float("nan")}, "search_share=nan"),
        (CometGate, {"search_temperature": -0.5}, "search_temperature=-0.5"),
        (SampledKGate, {"k": 1}, "(k=1, num_experts=4)"),
        (SampledKGate, {"k": 5}, "(k=5, num_experts=4)"),
        (SampledKGate, {"trimmed_lasso_weight": -2.0}, "trimmed_lasso_weight=-2.0"),
        (LapSumGate, {"k": 5}, "(k=5, num_experts=4)"),
        (LapSumGate, {"alpha": 0.0}, "alpha=0.0"),
        (LapSumGate, {"alpha": float("nan")}, "alpha=nan"),
    ],
)
def test_errors_name_the_values(cls: type[Gate], options: dict[str, Any], fragment: str) -> None:
    with pytest.raises(ValueError) as caught:
        cls(6, 4, **options)
    assert "must hold" in str(caught.value)
    assert fragment in str(caught.value)
