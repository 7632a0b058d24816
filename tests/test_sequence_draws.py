"""Attention and recurrent layers drop by numbers from a key, and are torch's in all else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_sequence
from torch.utils._pytree import tree_leaves

from gatelab.gates.randomness import Randomness
from gatelab.training.passage import seed_key

KEYS = torch.tensor([seed_key(seed) for seed in range(3)])
X = torch.linspace(-1, 1, 4 * 6 * 8).view(4, 6, 8).sin()
PACKED = pack_sequence([X[0, :3], X[1, :2], X[2, :2]])
CAUSAL = nn.Transformer.generate_square_subsequent_mask(6)


@pytest.fixture(autouse=True)
def seeded() -> Iterator[None]:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        yield


def attending(**options: Any) -> Callable[[float], Callable[[], Any]]:
    """Return what makes a call of an attention layer with a dropout."""

    def made(p: float) -> Callable[[], Any]:
        torch.manual_seed(3)
        layer = nn.MultiheadAttention(8, 2, dropout=p, batch_first=True)
        return lambda: layer(X, X, X, **options)

    return made


def encoder(p: float) -> Callable[[], Any]:
    torch.manual_seed(3)
    layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=p, batch_first=True)
    return lambda: layer(X)


def decoder(p: float) -> Callable[[], Any]:
    torch.manual_seed(3)
    layer = nn.TransformerDecoderLayer(8, 2, 16, dropout=p, batch_first=True)
    return lambda: layer(X, X, tgt_mask=CAUSAL, tgt_is_causal=True)


def recurring(kind: type[nn.RNNBase], x: Any, **options: Any) -> Callable[..., Callable[[], Any]]:
    def made(p: float) -> Callable[[], Any]:
        torch.manual_seed(3)
        layer = kind(8, 4, 3, dropout=p, **options)
        return lambda: layer(x)

    return made


LAYERS = {
    "attention": attending(),
    "attention alone": attending(need_weights=False),
    "causal": attending(need_weights=False, attn_mask=CAUSAL, is_causal=True),
    "encoder": encoder,
    "decoder": decoder,
    "lstm": recurring(nn.LSTM, X),
    "gru, two ways": recurring(nn.GRU, X, bidirectional=True),
    "relu, no bias": recurring(nn.RNN, X, bias=False, nonlinearity="relu"),
    "tanh, by rows": recurring(nn.RNN, X, batch_first=True),
    "lstm, packed": recurring(nn.LSTM, PACKED, bidirectional=True),
    "gru, packed": recurring(nn.GRU, PACKED),
    "one sequence": recurring(nn.GRU, X[0]),
}


def drawn(call: Callable[[], Any], key: Tensor = KEYS[0]) -> Tensor:
    with Randomness(key):
        found = [it for it in tree_leaves(call()) if isinstance(it, Tensor)]
    return torch.cat([it.detach().double().flatten() for it in found])


@pytest.mark.parametrize("name", LAYERS)
def test_what_is_dropped_follows_from_the_key_alone(name: str) -> None:
    call = LAYERS[name](0.3)
    state = torch.get_rng_state()
    first, again, other = drawn(call), drawn(call), drawn(call, KEYS[1])
    assert torch.equal(torch.get_rng_state(), state), "it draws from torch's generator"
    assert torch.equal(first, again) and not torch.equal(first, other)


@pytest.mark.parametrize("name", LAYERS)
def test_where_nearly_nothing_is_dropped_it_is_torchs(name: str) -> None:
    """The chance of a drop is 1e-12, so that all goes the way of what drops."""
    found, expected = drawn(LAYERS[name](1e-12)), drawn(LAYERS[name](0.0))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("options", [{}, {"batch_first": True}, {"bidirectional": True}])
def test_a_drop_is_between_layers(options: dict[str, Any]) -> None:
    """By hand: the second layer reads what the first gives, dropped and scaled up."""
    layer = nn.GRU(8, 4, 2, dropout=0.5, **options)
    first, second = nn.GRU(8, 4, **options), nn.GRU(4 * (1 + layer.bidirectional), 4, **options)
    own = layer.state_dict()
    first.load_state_dict({n: t for n, t in own.items() if "_l0" in n})
    second.load_state_dict({n.replace("_l1", "_l0"): t for n, t in own.items() if "_l1" in n})
    with Randomness(KEYS[0]):
        found, ends = layer(X)
    with Randomness(KEYS[0]):
        middle, end = first(X)
        expected, last = second(F.dropout(middle, 0.5))
    assert torch.equal(found, expected) and torch.equal(ends, torch.cat([end, last]))


def test_each_layer_begins_from_its_own_part_of_a_state() -> None:
    layer, state = nn.LSTM(8, 4, 2, dropout=1e-12), torch.arange(48.0).view(2, 6, 4) / 24
    with Randomness(KEYS[0]):
        found = layer(X, (state, -state))
    torch.testing.assert_close(found, layer.eval()(X, (state, -state)))


def test_features_are_dropped_as_a_whole() -> None:
    with Randomness(KEYS[0]):
        channels = F.feature_alpha_dropout(torch.ones(50, 5, 3, 2), 0.4, training=True).flatten(2)
    assert (channels == channels[..., :1]).all() and len(channels.unique()) == 2


def test_weights_of_attention_are_dropped_and_scaled_up() -> None:
    """Values that are the unit vectors show the weights themselves."""
    query, values = X[..., :6], torch.eye(6).expand(4, 6, 6)
    full = F.scaled_dot_product_attention(query, query, values)
    with Randomness(KEYS[0]):
        dropped = F.scaled_dot_product_attention(query, query, values, dropout_p=0.25)
    kept = dropped != 0
    torch.testing.assert_close(dropped[kept], full[kept] / 0.75)
    assert 0.6 < kept.double().mean() < 0.9


def test_a_stack_of_attention_draws_as_each_alone() -> None:
    layers = [nn.TransformerEncoderLayer(8, 2, 16, 0.3, batch_first=True) for _ in KEYS]
    tensors, _ = stack_module_state(layers)  # type: ignore[arg-type]

    def one(own: dict[str, Tensor], key: Tensor) -> Tensor:
        with Randomness(key):
            answer: Tensor = functional_call(layers[0], own, (X,))
        return answer

    found = torch.vmap(one, randomness="error")(tensors, KEYS)
    alone = [one({n: t[i] for n, t in tensors.items()}, KEYS[i]) for i in range(len(KEYS))]
    torch.testing.assert_close(found, torch.stack(alone))


def test_choices_have_the_shares_that_were_asked_for() -> None:
    """Places of weights 0, 3, 1 and 6: none of the first, without replacement never one twice."""
    weights = torch.tensor([0.0, 3.0, 1.0, 6.0])
    with Randomness(KEYS[0]):
        many = torch.multinomial(weights, 20_000, replacement=True)
        all_three = torch.multinomial(weights.expand(20_000, 4), 3)
        order = torch.randperm(1000)
    shares = torch.bincount(many, minlength=4) / 20_000
    assert shares.tolist() == pytest.approx([0, 0.3, 0.1, 0.6], abs=0.01)
    first = torch.bincount(all_three[:, 0], minlength=4) / 20_000
    assert first.tolist() == pytest.approx([0, 0.3, 0.1, 0.6], abs=0.01)
    assert (all_three.sort(1).values == torch.tensor([1, 2, 3])).all()
    assert order.sort().values.tolist() == list(range(1000)) != order.tolist()


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: torch.multinomial(X[0, 0].abs(), 9), "`num_samples <= places` must hold"),
        (lambda: torch.multinomial(X[0, 0].abs(), 0, True), "`num_samples >= 1` must hold"),
        (
            lambda: F.scaled_dot_product_attention(X, X, X, CAUSAL, 0.1, is_causal=True),
            r"`not \(is_causal and attn_mask\)` must hold",
        ),
        (lambda: X.clone().geometric_(1.5), "`0 < p < 1` must hold"),
        (lambda: X.clone().cauchy_(0, -1), "`sigma > 0` must hold"),
    ],
)
def test_what_breaks_a_rule_is_a_line(call: Callable[[], Tensor], said: str) -> None:
    with Randomness(KEYS[0]), pytest.raises(ValueError, match=said):
        call()
