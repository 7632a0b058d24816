"""Torch's random functions from a key: each takes what torch takes, in every form, or refuses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gatelab.gates import Stack
from gatelab.gates.answers import ANSWERS
from gatelab.gates.randomness import Randomness, drawing_from
from gatelab.training.passage import seed_key

KEY = torch.tensor(seed_key(7))
MANY = 4000
X = torch.linspace(0, 1, 3 * MANY).view(3, MANY)
ZEROS, ONES, DOUBLES = torch.zeros(3, MANY), torch.ones(3, MANY), torch.zeros(3, MANY).double()
IMAGES, SERIES, VOLUMES = torch.ones(9, 5, 3, 3), torch.ones(9, 5, 3), torch.ones(9, 5, 2, 2, 2)
SIZE = (3, MANY)
QUERY, KEYS = (
    torch.linspace(*ends, 4 * 4 * 60 * 8).view(4, 4, 60, 8) for ends in ((-1, 1), (0, 3))
)
MASK = torch.ones(60, 60, dtype=torch.bool).tril(3)
MASK[5] = False  # a query that may see nothing


def form(*args: Any, **kwargs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return args, kwargs


MADE = (
    form(3, MANY),
    form(SIZE),
    form([3, MANY]),
    form(torch.Size(SIZE)),
    form(size=SIZE),
    form(torch.tensor(3), MANY),
    form(()),
    form(0, 3),
    form(SIZE, dtype=torch.float16),
    form(SIZE, dtype=torch.bfloat16),
    form(size=SIZE, dtype=torch.float64, device="cpu", requires_grad=True),
    form(SIZE, device="meta"),
    form(SIZE, generator=None, out=None, layout=torch.strided, pin_memory=False),
)
LIKE = (
    form(X),
    form(input=X),
    form(X.half()),
    form(X.bfloat16()),
    form(X.int(), dtype=torch.float64),
    form(input=DOUBLES, device="cpu", requires_grad=True, dtype=torch.float32),
    form(X, memory_format=torch.preserve_format, layout=torch.strided),
)
WHOLE = (
    form(10, SIZE),
    form(10, size=SIZE),
    form(high=10, size=SIZE),
    form(3, 10, SIZE),
    form(3, 10, size=SIZE),
    form(3, high=10, size=[3, MANY]),
    form(low=3, high=10, size=SIZE),
    form(-5, 5, SIZE, dtype=torch.int8),
    form(2, SIZE, dtype=torch.bool),
    form(0, 9, SIZE, dtype=torch.float32, requires_grad=True, device="cpu", generator=None),
)
CHANCES = (
    form(X),
    form(X, 0.9),
    form(X, p=0.9),
    form(X.int(), p=0.1),
    form(X.half(), generator=None),
    form(X.double()),
)
AROUND = (
    form(X, ONES),
    form(mean=X, std=ONES),
    form(X),
    form(X, 0.5),
    form(X, std=0.5),
    form(2.0, X),
    form(mean=2.0, std=X),
    form(X, DOUBLES + 1),
    form(DOUBLES, ONES),
    form(X[:, :1], ONES[:1]),
    form(2, 3, SIZE),
    form(2.0, 3.0, size=SIZE),
    form(mean=2.0, std=3.0, size=SIZE, dtype=torch.float64, requires_grad=True),
)
TIMES = (
    form(ZEROS, 0.3),
    form(ZEROS, p=0.3, generator=None),
    form(ZEROS.half(), 0.9),
    form(ZEROS.int(), 0.5),
)
PICKED = torch.tensor([0.0, 3.0, 1.0, 6.0]).expand(MANY, 4)
WEIGHTED = (
    form(PICKED, 1),
    form(PICKED[0], MANY, True),
    form(PICKED[0].half(), num_samples=MANY, replacement=True),
    form(PICKED.double(), 2, replacement=False, generator=None),
    form(PICKED, 3),
)
BY_TORCH = (form(X, 0.25, True), form(input=X, p=0.25, train=True), form(X, 0.25, False))
HALVES = (form(X), form(X, 0.25), form(input=X, p=0.25), form(X, p=0.25, training=False))
FORMS: dict[Any, Sequence[tuple[tuple[Any, ...], dict[str, Any]]]] = {
    torch.rand: MADE,
    torch.randn: MADE,
    torch.rand_like: LIKE,
    torch.randn_like: LIKE,
    torch.randint: WHOLE,
    torch.randint_like: (
        form(X, 10),
        form(X, high=10),
        form(X, 3, 10),
        form(input=X, low=3, high=10),
        form(X.int(), -5, 5, dtype=torch.float64, requires_grad=True),
        form(X.half(), 10, generator=None),
    ),
    torch.randperm: (
        form(MANY),
        form(n=MANY, dtype=torch.int32, device="cpu"),
        form(7, dtype=torch.float32, requires_grad=True),
        form(0),
    ),
    torch.multinomial: (*WEIGHTED, form(input=PICKED, num_samples=2)),
    Tensor.multinomial: WEIGHTED,
    torch.feature_dropout: (
        form(IMAGES, 0.25, True),
        form(input=IMAGES, p=0.25, train=True),
        form(X, 0.25, True),
    ),
    torch.alpha_dropout: BY_TORCH,
    torch.feature_alpha_dropout: (*BY_TORCH, form(IMAGES, 0.25, True)),
    torch.bernoulli: (*CHANCES, form(input=X), form(input=X, p=0.1, generator=None)),
    Tensor.bernoulli: CHANCES,
    torch.normal: AROUND,
    torch.dropout: (
        form(X, 0.5, True),
        form(X, p=0.5, train=True),
        form(input=X, p=0.5, train=False),
        form(X.half(), 0.5, train=True),
    ),
    F.dropout: (*HALVES, form(X.clone(), 0.5, True, True), form(X, 1.0), form(X.half(), 0.3)),
    F.dropout1d: (form(SERIES), form(input=SERIES, p=0.25), form(SERIES[0], 0.25, training=True)),
    F.dropout2d: (form(IMAGES), form(input=IMAGES, p=0.25, training=True)),
    F.dropout3d: (form(VOLUMES), form(VOLUMES[0], p=0.25), form(VOLUMES.clone(), inplace=True)),
    F.alpha_dropout: (form(X), form(X, 0.25, True), form(input=X, p=0.25, training=True)),
    F.feature_alpha_dropout: (
        form(IMAGES, 0.25, True),
        form(input=X, p=0.25, training=True),
        form(SERIES.clone(), training=True, inplace=True),
        form(X),
    ),
    F.scaled_dot_product_attention: (
        form(QUERY, KEYS, KEYS),
        form(QUERY, KEYS, KEYS, None, 0.1),
        form(query=QUERY, key=KEYS, value=KEYS, dropout_p=0.1, is_causal=True, scale=0.3),
        form(QUERY, KEYS, KEYS, MASK, 0.1),
        form(QUERY, KEYS, KEYS, attn_mask=MASK.float().log(), dropout_p=0.1),
        form(QUERY, KEYS[:, :2], KEYS[:, :2], dropout_p=0.1, enable_gqa=True),
    ),
    F.rrelu: (form(-X), form(input=-X, lower=0.1, upper=0.2, training=True), form(-X, 0.1, 0.2)),
    F.gumbel_softmax: (
        form(X),
        form(logits=X, tau=0.5, hard=True),
        form(X, 0.5, False, dim=0),
        form(X.T.half(), 0.5),
    ),
    Tensor.uniform_: (
        form(ZEROS),
        form(ZEROS, 2, 3),
        form(ZEROS, 2, to=3),
        form(ZEROS, to=2.0),
        form(ZEROS, generator=None, **{"from": -1.0, "to": 1.0}),
        form(ZEROS.half()),
    ),
    Tensor.normal_: (
        form(ZEROS),
        form(ZEROS, 2, 3),
        form(ZEROS, mean=2.0, std=3.0),
        form(ZEROS, 2, std=3.0, generator=None),
        form(ZEROS.half()),
    ),
    Tensor.exponential_: (
        form(ZEROS),
        form(ZEROS, 2.0),
        form(ZEROS, lambd=2.0),
        form(ZEROS, generator=None),
        form(ZEROS.half()),
    ),
    Tensor.log_normal_: (
        form(ZEROS, 0.0, 0.25),
        form(ZEROS, mean=0.5, std=0.1, generator=None),
        form(ZEROS.half(), 0, 0.1),
    ),
    Tensor.geometric_: TIMES,
    Tensor.cauchy_: (form(ZEROS[:1, :7]), form(ZEROS[:1, :7], median=3.0, sigma=2.0)),
    Tensor.random_: (
        form(ZEROS),
        form(ZEROS.half()),
        form(ZEROS.double()),
        form(ZEROS.long()),
        form(ZEROS.to(torch.uint8)),
        form(ZEROS.bool()),
        form(ZEROS, 10),
        form(ZEROS, to=10),
        form(ZEROS, -5, 5),
        form(ZEROS.int(), generator=None, **{"from": 2, "to": 6}),
    ),
    Tensor.bernoulli_: (
        form(ZEROS),
        form(ZEROS, 0.9),
        form(ZEROS, p=0.9),
        form(ZEROS, X),
        form(ZEROS, p=X),
        form(ZEROS.int(), 0.9, generator=None),
    ),
}
CALLS = [(func, *call) for func, calls in FORMS.items() for call in calls]


def called(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
    """Call with tensors of its own, as what is drawn in place would change the next call's."""
    own = [it.clone() if isinstance(it, Tensor) else it for it in args]
    answer: Tensor = func(*own, **kwargs)
    return answer


def numbers(answer: Tensor) -> tuple[float, ...]:
    """Return the mean, the deviation and the shares at the ends, which tell distributions apart."""
    flat = answer.detach().double().flatten()
    ends = [(flat == flat.min()).double().mean(), (flat == flat.max()).double().mean()]
    return tuple(float(it) for it in (flat.mean(), flat.std(), *ends))


def test_every_function_that_is_answered_is_tried() -> None:
    assert FORMS.keys() == ANSWERS.keys()


@pytest.mark.parametrize(
    ("func", "args", "kwargs"), CALLS, ids=lambda v: getattr(v, "__name__", "")
)
def test_each_form_is_answered_as_torch_does(
    func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    with drawing_from(0):
        theirs = called(func, args, kwargs)
    state = torch.get_rng_state()
    with Randomness(KEY):
        ours = called(func, args, kwargs)
    assert torch.equal(torch.get_rng_state(), state), "it draws from torch's generator"
    assert (ours.shape, ours.dtype, ours.device) == (theirs.shape, theirs.dtype, theirs.device)
    assert ours.requires_grad == theirs.requires_grad
    if ours.numel() > 1 and ours.device.type != "meta":
        assert ours.isfinite().all()
        if ours.numel() >= MANY:
            assert numbers(ours) == pytest.approx(numbers(theirs), rel=0.1, abs=0.05)


@pytest.mark.parametrize("name", ["dropout", "dropout2d", "alpha_dropout", "rrelu"])
def test_in_place_is_in_the_tensor_that_was_given(name: str) -> None:
    given = -torch.ones(9, 5, 3, 3)
    with Randomness(KEY):
        answer = getattr(F, name)(given, training=True, inplace=True)
    assert answer is given and not torch.equal(given, -torch.ones(9, 5, 3, 3))


def test_a_layer_in_place_goes_into_a_stack() -> None:
    layers = [nn.Sequential(nn.Linear(4, 4), nn.Dropout(inplace=True)) for _ in range(2)]
    with Randomness(KEY):
        Stack(layers)(torch.ones(5, 4)).sum().backward()
    stack, x = Stack([nn.Sequential(nn.Linear(4, 4), nn.Dropout()) for _ in range(2)]), ONES[:, :4]
    with Randomness(KEY):
        fused = stack(x)
    stack.fused = False
    with Randomness(KEY):
        torch.testing.assert_close(stack(x), fused)


REFUSED: dict[str, tuple[Callable[[], Tensor], str]] = {
    "out": (lambda: torch.randn(3, out=torch.ones(3)), "takes no `out`"),
    "layout": (lambda: torch.rand_like(X, layout=torch.sparse_coo), "takes no `layout`"),
    "whole": (lambda: torch.rand(3, dtype=torch.int64), "`dtype.is_floating_point` must hold"),
    "complex": (lambda: torch.randn(3, dtype=torch.complex64), "(dtype=torch.complex64)"),
    "chance": (lambda: F.dropout(X, 1.5), "`0 <= p <= 1` must hold of a random draw, but got (p="),
    "chances": (lambda: torch.bernoulli(X, -0.1), "`0 <= p <= 1`"),
    "bounds": (lambda: torch.ones(3).uniform_(2, 1), "`from <= to` must hold of a random draw"),
    "none": (lambda: torch.randint(5, 5, (2,)), "`low < high` must hold"),
    "too large": (lambda: torch.randint(300, (2,), dtype=torch.uint8), "(low=0, high=300, dtype="),
    "deviation": (lambda: torch.normal(0.0, -1.0, (3,)), "`std >= 0` must hold"),
    "rate": (lambda: torch.ones(3).exponential_(0.0), "`lambd > 0` must hold"),
    "slopes": (lambda: F.rrelu(X, 0.5, 0.2, training=True), "`lower <= upper` must hold"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_has_no_effect_or_breaks_a_rule_is_refused_in_a_line(what: str) -> None:
    call, said = REFUSED[what]
    with Randomness(KEY), pytest.raises(ValueError) as caught:
        call()
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_what_torch_does_not_take_torch_refuses() -> None:
    with Randomness(KEY), pytest.raises(TypeError, match=r"dropout\(\) missing 1 required"):
        torch.dropout(X, 0.5, training=True)  # type: ignore[call-arg]


def test_no_gradient_reaches_the_means_of_normal_numbers() -> None:
    """In torch it is 0: a gate would else learn in training by what it does not have elsewhere."""
    mean = torch.zeros(3, requires_grad=True)
    with Randomness(KEY):
        assert (
            torch.autograd.grad((mean + torch.normal(mean, 1.0)).sum(), mean)[0].tolist() == [1] * 3
        )


def test_who_brings_a_generator_draws_from_it() -> None:
    first, second = (torch.Generator().manual_seed(3) for _ in range(2))
    with Randomness(KEY):
        ours = torch.randn(5, generator=first)
    assert torch.equal(ours, torch.randn(5, generator=second))
