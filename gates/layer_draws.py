"""How torch's layers that drop, or draw otherwise, do so from a key."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from gatelab.gates.draws import KeyedNumbers, check_rule, even
from gatelab.gates.filled_draws import exponential, uniform_between

SATURATED = -1.7580993408473766
"""What SELU comes to far below 0."""


def _written(changed: Tensor, input: Tensor, inplace: bool) -> Tensor:
    """Return what a layer gives, in the tensor that it was given where that is asked for."""
    return input.copy_(changed) if inplace else changed


def dropout(
    draws: KeyedNumbers, input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """Set numbers to 0, and scale the others up."""
    check_rule("0 <= p <= 1", 0 <= p <= 1, p=p)
    if not training or p == 0:
        return input
    kept = even(draws, input) >= p
    return _written(input * kept * (1 / (1 - p) if p < 1 else 0.0), input, inplace)


def by_torch(layer: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Return a layer that drops, by the names that torch's own function of it has."""

    def drop(draws: KeyedNumbers, input: Tensor, p: float, train: bool) -> Tensor:
        return layer(draws, input, p, train)

    return drop


def channel_dropout(unbatched: int) -> Callable[..., Tensor]:
    """Return a function that drops whole channels, of inputs of so many dimensions without rows."""

    def drop(
        draws: KeyedNumbers,
        input: Tensor,
        p: float = 0.5,
        training: bool = True,
        inplace: bool = False,
    ) -> Tensor:
        channels = _one_each(input, 1 if input.dim() == unbatched else 2)
        return _written(input * dropout(draws, channels, p, training), input, inplace)

    return drop


def _one_each(input: Tensor, dimensions: int) -> Tensor:
    """Return ones that broadcast to a tensor, one for each place of its first dimensions."""
    return input.new_ones(*input.shape[:dimensions], *[1] * (input.dim() - dimensions))


def alpha_dropout(
    draws: KeyedNumbers,
    input: Tensor,
    p: float = 0.5,
    training: bool = False,
    inplace: bool = False,
) -> Tensor:
    """Keep mean and variance of what SELU gives.

    Source: Klambauer and others, Self-Normalizing Neural Networks, NeurIPS 2017, equation 5.
    """
    return _saturated(draws, input, input, p, training, inplace)


def feature_alpha_dropout(
    draws: KeyedNumbers,
    input: Tensor,
    p: float = 0.5,
    training: bool = False,
    inplace: bool = False,
) -> Tensor:
    """Do with whole channels what :func:`alpha_dropout` does."""
    return _saturated(draws, input, _one_each(input, 2), p, training, inplace)


def _saturated(
    draws: KeyedNumbers, input: Tensor, each: Tensor, p: float, training: bool, inplace: bool
) -> Tensor:
    """Saturate what is dropped, as is drawn for each of ``each``, which broadcasts to the input."""
    check_rule("0 <= p <= 1", 0 <= p <= 1, p=p)
    if not training or p == 0:
        return input
    if p == 1:
        return _written(input * 0, input, inplace)
    scale: float = ((1 - p) * (1 + p * SATURATED**2)) ** -0.5
    kept = even(draws, each) >= p
    dropped = scale * (torch.where(kept, input, SATURATED) - p * SATURATED)
    return _written(dropped, input, inplace)


def rrelu(
    draws: KeyedNumbers,
    input: Tensor,
    lower: float = 1 / 8,
    upper: float = 1 / 3,
    training: bool = False,
    inplace: bool = False,
) -> Tensor:
    """Scale what is negative by slopes that are drawn."""
    check_rule("lower <= upper", lower <= upper, lower=lower, upper=upper)
    if not training:
        return F.leaky_relu(input, (lower + upper) / 2, inplace)
    slopes = uniform_between(draws, input, lower, upper)
    return _written(torch.where(input >= 0, input, input * slopes), input, inplace)


def gumbel_softmax(
    draws: KeyedNumbers,
    logits: Tensor,
    tau: float = 1,
    hard: bool = False,
    eps: float = 1e-10,
    dim: int = -1,
) -> Tensor:
    """Sample weights, with ``hard`` all weight on one, and the gradient of the soft ones."""
    noisy = logits - exponential(draws, logits).log()
    soft = (noisy / tau).softmax(dim).to(logits.dtype)
    if not hard:
        return soft
    chosen = torch.zeros_like(soft).scatter(dim, soft.argmax(dim, keepdim=True), 1.0)
    return chosen - soft.detach() + soft
