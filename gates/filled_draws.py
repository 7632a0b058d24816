"""How a tensor is filled, or another of its shape, with numbers that are drawn from a key."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import wraps
from typing import Any

import torch
from torch import Tensor

from gatelab.gates.draws import (
    KeyedNumbers,
    around,
    bernoulli_of_chance,
    bounds_of,
    check_rule,
    even,
    floating,
    randint_like,
)


def uniform_between(
    draws: KeyedNumbers, input: Tensor, from_: float = 0.0, to: float = 1.0
) -> Tensor:
    """Draw from [from, to) in the shape of another."""
    check_rule("from <= to", from_ <= to, **{"from": from_, "to": to})
    return from_ + draws.uniform(input.shape, floating(input.dtype)) * (to - from_)


def normal_around(
    draws: KeyedNumbers, input: Tensor, mean: float = 0.0, std: float = 1.0
) -> Tensor:
    """Draw normal numbers in the shape of another."""
    return around(draws.normal(input.shape, floating(input.dtype)), mean, std)


def exponential(draws: KeyedNumbers, input: Tensor, lambd: float = 1.0) -> Tensor:
    """Never give 0, of which the logarithm is infinite; nor does torch."""
    check_rule("lambd > 0", lambd > 0, lambd=lambd)
    numbers = even(draws, input)
    least = torch.finfo(numbers.dtype).eps / 2
    return -(1 - numbers).log().clamp_max(-least) / lambd


def chosen(draws: KeyedNumbers, input: Tensor, p: float | Tensor = 0.5) -> Tensor:
    """Draw 1 with a chance, else 0, in the shape of another."""
    return bernoulli_of_chance(draws, input, p)


def log_normal(draws: KeyedNumbers, input: Tensor, mean: float = 1.0, std: float = 2.0) -> Tensor:
    """Draw numbers whose logarithms are normal, in the shape of another."""
    return normal_around(draws, input, mean, std).exp()


def geometric(draws: KeyedNumbers, input: Tensor, p: float) -> Tensor:
    """Draw how often is tried until a chance comes true, from 1 on, in the shape of another."""
    check_rule("0 < p < 1", 0 < p < 1, p=p)
    numbers = draws.uniform(input.shape, torch.get_default_dtype())
    return ((1 - numbers).log() / math.log1p(-p)).ceil().clamp_min(1)


def cauchy(draws: KeyedNumbers, input: Tensor, median: float = 0.0, sigma: float = 1.0) -> Tensor:
    """Draw from Cauchy's distribution, in the shape of another."""
    check_rule("sigma > 0", sigma > 0, sigma=sigma)
    return median + sigma * ((even(draws, input) - 0.5) * math.pi).tan()


def any_whole(draws: KeyedNumbers, input: Tensor) -> Tensor:
    """Draw from 0 on what a type holds of whole numbers without a gap, in the shape of another."""
    dtype = input.dtype
    if dtype.is_floating_point:
        return randint_like(draws, input, 0, 1 + round(2 / torch.finfo(dtype).eps))
    return (draws.words(input.numel()).view(input.shape) & int(bounds_of(dtype)[1])).to(dtype)


def whole_below(draws: KeyedNumbers, input: Tensor, to: int) -> Tensor:
    """Draw whole numbers from [0, to), in the shape of another."""
    return randint_like(draws, input, 0, to)


def whole_between(draws: KeyedNumbers, input: Tensor, from_: int, to: int) -> Tensor:
    """Draw whole numbers from [from, to), in the shape of another."""
    return randint_like(draws, input, from_, to)


def multinomial(
    draws: KeyedNumbers, input: Tensor, num_samples: int, replacement: bool = False
) -> Tensor:
    """Draw places by their weights: first come those whose waiting times are the shortest.

    Args:
        draws: What draws.
        input: Weights, ``([rows,] places)``.
        num_samples: Of each row.
        replacement: Whether a place can be drawn again.
    """
    check_rule("num_samples >= 1", num_samples >= 1, num_samples=num_samples)
    if replacement:
        input = input.unsqueeze(-2).expand(*input.shape[:-1], num_samples, -1)
        return (input / exponential(draws, input)).argmax(-1)
    places = input.shape[-1]
    check_rule(
        "num_samples <= places", num_samples <= places, num_samples=num_samples, places=places
    )
    return (input / exponential(draws, input)).topk(num_samples, dim=-1).indices


def filled(draw: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Return a function that draws into its tensor."""

    @wraps(draw)
    def fill(draws: KeyedNumbers, input: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        return input.copy_(draw(draws, input, *args, **kwargs))

    return fill
