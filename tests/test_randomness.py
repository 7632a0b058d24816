"""Random numbers by keys: what they are, and that nobody else's matter."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from scipy import stats
from torch import Tensor, distributions, nn
from torch.nn import functional as F

from gatelab.gates import Routing, SoftmaxGate, Stack, gates
from gatelab.gates.gate import Gate
from gatelab.gates.randomness import (
    GOLDEN,
    Randomness,
    current_randomness,
    drawing_from,
    keyed,
    mix,
)
from gatelab.tasks import SyntheticGroups
from gatelab.training.configuration import Configuration
from gatelab.training.member import Member, Recipe
from gatelab.training.passage import seed_key, shuffled
from gatelab.training.train import Training

KEY = torch.tensor(seed_key(7))
DRAWS: dict[str, Callable[[], Tensor]] = {
    "rand": lambda: torch.rand(3, 4),
    "randn": lambda: torch.randn((3, 4)),
    "rand_like": lambda: torch.rand_like(torch.zeros(3, 4)),
    "randn_like": lambda: torch.randn_like(torch.zeros(3, 4, dtype=torch.float64)),
    "randint": lambda: torch.randint(-5, 1000, (3, 4)),
    "randint from 0": lambda: torch.randint(1000, (3, 4)),
    "whole words": lambda: torch.randint(-(2**63), 2**63 - 1, (12,)),
    "bernoulli": lambda: torch.bernoulli(torch.full((30, 4), 0.5)),
    "dropout": lambda: F.dropout(torch.ones(30, 4), 0.3),
    "a layer's dropout": lambda: nn.Dropout(0.3)(torch.ones(30, 4)),
    "uniform_": lambda: torch.zeros(3, 4).uniform_(2, 3),
    "normal_": lambda: torch.zeros(3, 4).normal_(),
    "exponential_": lambda: torch.zeros(3, 4).exponential_(2.0),
    "bernoulli_": lambda: torch.zeros(30, 4).bernoulli_(0.5),
    "normal": lambda: torch.normal(torch.zeros(3, 1), torch.ones(4)),
    "normal of a size": lambda: torch.normal(1.0, 2.0, (3, 4)),
    "a distribution": lambda: distributions.Gumbel(torch.zeros(3), 1.0).sample(),
    "gumbel_softmax": lambda: F.gumbel_softmax(torch.zeros(3, 4), 0.5),
    "a hard gumbel_softmax": lambda: F.gumbel_softmax(torch.zeros(3, 9), hard=True, dim=1),
    "dropout1d": lambda: nn.Dropout1d(0.3)(torch.ones(30, 4, 2)),
    "dropout1d without rows": lambda: F.dropout1d(torch.ones(30, 2)),
    "dropout2d": lambda: nn.Dropout2d(0.3)(torch.ones(30, 4, 2, 2)),
    "dropout3d": lambda: F.dropout3d(torch.ones(30, 2, 2, 2, 2)),
    "alpha_dropout": lambda: nn.AlphaDropout(0.3)(torch.ones(30, 4)),
    "rrelu": lambda: nn.RReLU()(-torch.ones(3, 4)),
}


@pytest.fixture
def exact() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def test_words_are_those_of_splitmix64() -> None:
    """From state 0, as in the reference implementation of Vigna (public domain)."""
    words = mix(torch.arange(1, 4) * GOLDEN)
    known = (0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F)
    assert [word % 2**64 for word in words.tolist()] == list(known)


def drawn(name: str, key: Tensor) -> Tensor:
    with Randomness(key):
        return DRAWS[name]()


@pytest.mark.parametrize("name", DRAWS)
def test_a_draw_follows_from_its_key_alone(name: str) -> None:
    before = torch.get_rng_state()
    first = drawn(name, KEY)
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(5)
    assert torch.equal(drawn(name, KEY), first)
    assert not torch.equal(drawn(name, keyed(KEY, 1)), first)
    plain = DRAWS[name]()
    assert (plain.shape, plain.dtype) == (first.shape, first.dtype)
    with Randomness(KEY):
        assert not torch.equal(DRAWS[name](), DRAWS[name]()), "one draw is not the next"


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_distributions(dtype: torch.dtype) -> None:
    with Randomness(KEY):
        uniform = torch.rand(200_000, dtype=dtype).double()
        normal = torch.randn(200_000, dtype=dtype).double()
        exponential = torch.zeros(200_000, dtype=dtype).exponential_(2.0).double()
        whole = torch.randint(3, 8, (200_000,))
        kept = F.dropout(torch.ones(200_000, dtype=dtype), 0.25)
    assert 0 <= uniform.min() and uniform.max() < 1 and normal.isfinite().all()
    assert stats.kstest(uniform, "uniform").pvalue > 0.001
    assert stats.kstest(normal, "norm").pvalue > 0.001
    assert stats.kstest(exponential, "expon", args=(0, 0.5)).pvalue > 0.001
    assert stats.chisquare(torch.bincount(whole)[3:]).pvalue > 0.001
    assert set(kept.unique().tolist()) == {0.0, kept.max().item()}
    assert kept.max().item() == pytest.approx(4 / 3) and float(kept.mean()) == pytest.approx(
        1, 0.01
    )


def test_what_is_drawn_within_functions_is_distributed_as_torchs() -> None:
    with Randomness(KEY):
        soft = F.gumbel_softmax(torch.tensor([0.0, 1.0, 2.0]).expand(100_000, 3), 0.5)
        hard = F.gumbel_softmax(torch.tensor([0.0, 1.0, 2.0]).expand(100_000, 3), hard=True)
        normal = torch.normal(torch.full((200_000,), 3.0), 2.0)
        slopes = -F.rrelu(-torch.ones(200_000), 0.25, 0.5, training=True)
        selu = F.alpha_dropout(torch.randn(400_000), 0.3, training=True)
        channels = F.dropout2d(torch.ones(50_000, 2, 2, 2), 0.25)
    theirs = F.gumbel_softmax(torch.tensor([0.0, 1.0, 2.0]).expand(100_000, 3), 0.5)
    assert stats.ks_2samp(soft[:, 2], theirs[:, 2]).pvalue > 0.001
    shares = 100_000 * torch.tensor([0.0, 1.0, 2.0], dtype=torch.float64).softmax(0)
    assert stats.chisquare(hard.sum(0).double(), shares).pvalue > 0.001
    assert stats.kstest(normal, "norm", args=(3, 2)).pvalue > 0.001
    assert stats.kstest(slopes, "uniform", args=(0.25, 0.25)).pvalue > 0.001
    assert selu.mean().item() == pytest.approx(0, abs=0.01) and selu.var().item() == pytest.approx(
        1, abs=0.02
    )
    assert (channels.flatten(2).amax(2) == channels.flatten(2).amin(2)).all(), "or all, or nothing"
    assert channels.mean().item() == pytest.approx(1, abs=0.01)


def test_a_hard_gumbel_softmax_has_the_gradient_of_the_soft() -> None:
    logits = torch.randn(5, 3, requires_grad=True)
    gradients = []
    for hard in (True, False):
        with Randomness(KEY):
            weights = F.gumbel_softmax(logits, 0.7, hard=hard)
        gradients += torch.autograd.grad(weights[:, 0].sum(), logits)
        assert (weights.detach().amax(1) > 0.999).all() == hard
    torch.testing.assert_close(*gradients)


class Lowest(Randomness):
    """Draws nothing but the least number, as is drawn once in sixteen million times."""

    def uniform(self, shape: torch.Size, dtype: torch.dtype) -> Tensor:
        return torch.zeros(shape, dtype=dtype)


def test_an_exponential_is_never_0() -> None:
    """Of which the logarithm is infinite, and weights are NaN."""
    with Lowest(KEY):
        assert torch.zeros(3).exponential_().min() > 0
        assert F.gumbel_softmax(torch.zeros(2, 3)).isfinite().all()


def test_draws_of_neighbours_are_apart() -> None:
    """Keys that follow each other, and draws that do: no more alike than chance has it."""
    keys = keyed(KEY, torch.arange(64))
    with Randomness(keys[0]):
        rows = [torch.randn(4096) for _ in range(64)]
    for key in keys[1:]:
        with Randomness(key):
            rows.append(torch.randn(4096))
    correlations = torch.corrcoef(torch.stack(rows)).fill_diagonal_(0)
    assert float(correlations.abs().max()) < 5.5 / 4096**0.5


def test_orders_of_rows_are_all_alike_likely() -> None:
    keys = torch.tensor([seed_key(seed) for seed in range(6000)])
    orders = shuffled(keys, 3)
    assert {tuple(sorted(order)) for order in orders.tolist()} == {(0, 1, 2)}
    counts = torch.bincount(orders @ torch.tensor([9, 3, 1]))
    assert stats.chisquare(counts[counts > 0]).pvalue > 0.001 and (counts > 0).sum() == 6


class Noise(nn.Module):
    """Adds noise."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.scale * torch.randn_like(x)


def test_stacked_modules_draw_apart_and_as_in_turn() -> None:
    stack, zeros = Stack([Noise(), Noise(), Noise()]), torch.zeros(5, 2)
    found = []
    for stack.fused in (True, False):
        with Randomness(KEY):
            found.append((stack(zeros), stack(zeros)))
    assert torch.equal(found[0][0], found[1][0]) and torch.equal(found[0][1], found[1][1])
    assert len(torch.stack(found[0]).unique()) == 2 * 3 * 10
    assert current_randomness() is None


def test_stacks_in_stacks_draw_apart() -> None:
    inner = [Stack([Noise(), Noise()]) for _ in range(2)]
    stack = Stack([nn.Sequential(Noise(), one) for one in inner])
    with Randomness(KEY):
        fused = stack(torch.zeros(4))
    stack.fused = False
    with Randomness(KEY):
        assert torch.equal(stack(torch.zeros(4)), fused)
    assert len(fused.unique()) == 16


TASK = SyntheticGroups(num_targets=3, num_groups=1, train_rows=70, val_rows=32, test_rows=32)
RANDOM: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "noisy_top_k": ("noisy_top_k", {}, {}),
    "top_k": ("top_k", {"noise": True}, {}),
    "gumbel_softmax": ("gumbel_softmax", {}, {}),
    "sampled_k": ("sampled_k", {}, {}),
    "dselect_k": ("dselect_k", {"gamma": 0.05, "noise": 0.3}, {}),
    "comet": ("comet", {"noise": 0.3}, {}),
    "dropout": ("softmax", {}, {"dropout": 0.5}),
}


def trained(name: str, seeds: list[int], gate: type[Gate] | None = None) -> Training:
    known, gate_options, model = RANDOM[name]
    optimizer = {"name": "adam", "learning_rate": 0.01, "weight_decay": 0.0}
    configuration = Configuration.of(gate_options, {"num_experts": 4, **model}, optimizer)
    many = [Member(configuration, seed) for seed in seeds]
    training = Training(TASK, gate or gates.get(known), many, Recipe(16, 5))
    while not training.done:
        training.run_epoch()
    return training


@pytest.mark.parametrize("name", RANDOM)
def test_a_member_learns_the_same_whoever_is_beside_it(name: str, exact: None) -> None:
    """Five epochs in float64, alone, among three and among others."""
    alone = trained(name, [5])
    assert alone.loop.draws and alone.notes == []
    for beside in ([5, 1, 2], [9, 5]):
        together = trained(name, beside)
        own = together.best[beside.index(5)]
        for tensor, expected in zip(own.values(), alone.best[0].values(), strict=True):
            torch.testing.assert_close(tensor, expected, rtol=1e-7, atol=1e-9)


class DrawnWithin(SoftmaxGate):
    """Draws by a function of torch's that draws within."""

    def forward(self, x: Tensor) -> Routing:
        routing = super().forward(x)
        if not self.training:
            return routing
        return routing._replace(weights=F.gumbel_softmax(routing.weights.log(), 0.5))


def test_what_is_drawn_within_a_function_is_the_members_own(exact: None) -> None:
    alone, together = (trained("dropout", seeds, DrawnWithin) for seeds in ([5], [9, 5]))
    assert alone.notes == together.notes == []
    for tensor, expected in zip(together.best[1].values(), alone.best[0].values(), strict=True):
        torch.testing.assert_close(tensor, expected, rtol=1e-7, atol=1e-9)


def test_what_draws_nothing_pays_nothing() -> None:
    optimizer = {"name": "adam", "learning_rate": 0.01, "weight_decay": 0.0}
    many = [Member(Configuration.of({}, {"num_experts": 4}, optimizer), 1)]
    assert not Training(TASK, SoftmaxGate, many, Recipe(16, 5)).loop.draws


class Unkeyed(SoftmaxGate):
    """Draws by a function that knows no keys."""

    def forward(self, x: Tensor) -> Routing:
        routing = super().forward(x)
        noise = torch.poisson(torch.ones_like(routing.weights)).sum()
        return routing._replace(aux_loss=routing.aux_loss + 0 * noise)


def test_what_cannot_be_keyed_is_said() -> None:
    (note,) = trained("noisy_top_k", [1, 2], Unkeyed).notes
    assert "draws from no key" in note


def test_a_seed_draws_as_torchs_own_and_leaves_no_trace() -> None:
    torch.manual_seed(5)
    expected, after = torch.rand(3), torch.rand(3)
    torch.manual_seed(5)
    torch.rand(3)
    with drawing_from(5):
        assert torch.equal(torch.rand(3), expected)
    assert torch.equal(torch.rand(3), after)
    before = torch.get_rng_state()
    with pytest.raises(KeyError), drawing_from(7):
        raise KeyError
    assert torch.equal(torch.get_rng_state(), before)
