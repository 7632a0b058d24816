"""How torch's layers that drop, or draw otherwise, do so from a key."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from gatelab.gates.draws import KeyedNumbers, check_rule, even, exponential, uniform_between

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


def torchs_dropout(draws: KeyedNumbers, input: Tensor, p: float, train: bool) -> Tensor:
    """Do what :func:`dropout` does, by the names that :func:`torch.dropout` has."""
    return dropout(draws, input, p, train)


def channel_dropout(unbatched: int) -> Callable[..., Tensor]:
    """Return a function that drops whole channels, of inputs of so many dimensions without rows."""

    def drop(
        draws: KeyedNumbers,
        input: Tensor,
        p: float = 0.5,
        training: bool = True,
        inplace: bool = False,
    ) -> Tensor:
        channels = input.shape[: 1 if input.dim() == unbatched else 2]
        kept = dropout(draws, input.new_ones(channels), p, training)
        dropped = input * kept.view(*channels, *(1 for _ in input.shape[len(channels) :]))
        return _written(dropped, input, inplace)

    return drop


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
    check_rule("0 <= p <= 1", 0 <= p <= 1, p=p)
    if not training or p == 0:
        return input
    if p == 1:
        return _written(input * 0, input, inplace)
    scale: float = ((1 - p) * (1 + p * SATURATED**2)) ** -0.5
    kept = even(draws, input) >= p
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
