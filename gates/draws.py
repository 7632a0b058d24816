"""Torch's random functions, each drawn from a key: by :class:`.randomness.Randomness`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

WHOLE_WORDS = (-(2**63), 2**63 - 1)
"""The bounds between which :func:`torch.randint` is taken to ask for whole words."""

SATURATED = -1.7580993408473766
"""What SELU comes to far below 0."""


class KeyedNumbers(Protocol):
    """What draws from a key."""

    def words(self, number: int) -> Tensor:
        """Draw int64 words ``(number,)``."""

    def uniform(self, shape: torch.Size, dtype: torch.dtype) -> Tensor:
        """Draw from [0, 1)."""

    def normal(self, shape: torch.Size, dtype: torch.dtype) -> Tensor:
        """Draw from the standard normal distribution."""


def shifted(words: Tensor, by: int) -> Tensor:
    """Shift to the right and fill up with zeros, where int64 would repeat the sign."""
    return (words >> by) & ((1 << (64 - by)) - 1)


def _shape(size: tuple[Any, ...]) -> torch.Size:
    return torch.Size(size[0] if len(size) == 1 and not isinstance(size[0], int) else size)


def _dtype(dtype: torch.dtype | None) -> torch.dtype:
    return torch.get_default_dtype() if dtype is None else dtype


def _rand(draws: KeyedNumbers, *size: Any, dtype: torch.dtype | None = None, **_: Any) -> Tensor:
    return draws.uniform(_shape(size), _dtype(dtype))


def _randn(draws: KeyedNumbers, *size: Any, dtype: torch.dtype | None = None, **_: Any) -> Tensor:
    return draws.normal(_shape(size), _dtype(dtype))


def _rand_like(
    draws: KeyedNumbers, x: Tensor, *, dtype: torch.dtype | None = None, **_: Any
) -> Tensor:
    return draws.uniform(x.shape, dtype or x.dtype)


def _randn_like(
    draws: KeyedNumbers, x: Tensor, *, dtype: torch.dtype | None = None, **_: Any
) -> Tensor:
    return draws.normal(x.shape, dtype or x.dtype)


def _randint(
    draws: KeyedNumbers, *arguments: Any, dtype: torch.dtype | None = None, **_: Any
) -> Tensor:
    *bounds, size = arguments
    low, high = bounds if len(bounds) == 2 else (0, *bounds)
    words = draws.words(torch.Size(size).numel()).view(size)
    if (low, high) != WHOLE_WORDS:
        words = low + shifted(words, 1) % (high - low)
    return words.to(dtype or torch.int64)


def _bernoulli(draws: KeyedNumbers, chances: Tensor, **_: Any) -> Tensor:
    return (draws.uniform(chances.shape, chances.dtype) < chances).to(chances.dtype)


def _dropout(
    draws: KeyedNumbers, x: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    if not training or p == 0:
        return x
    kept = draws.uniform(x.shape, x.dtype) >= p
    return x * kept * (1 / (1 - p) if p < 1 else 0.0)


def _filled(draw: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Return a function that draws into its tensor."""
    return lambda draws, x, *args, **kwargs: x.copy_(draw(draws, x, *args, **kwargs))


def _uniform_between(
    draws: KeyedNumbers, x: Tensor, start: float = 0.0, end: float = 1.0
) -> Tensor:
    return start + draws.uniform(x.shape, x.dtype) * (end - start)


def _normal_around(draws: KeyedNumbers, x: Tensor, mean: float = 0.0, std: float = 1.0) -> Tensor:
    return mean + draws.normal(x.shape, x.dtype) * std


def _exponential(draws: KeyedNumbers, x: Tensor, rate: float = 1.0) -> Tensor:
    """Never give 0, of which the logarithm is infinite; nor does torch."""
    least = torch.finfo(x.dtype).eps / 2
    return -(1 - draws.uniform(x.shape, x.dtype)).log().clamp_max(-least) / rate


def _chosen(draws: KeyedNumbers, x: Tensor, p: float | Tensor = 0.5) -> Tensor:
    return (draws.uniform(x.shape, torch.get_default_dtype()) < p).to(x.dtype)


def _normal(
    draws: KeyedNumbers,
    mean: float | Tensor = 0.0,
    std: float | Tensor = 1.0,
    size: Any = None,
    *,
    dtype: torch.dtype | None = None,
    **_: Any,
) -> Tensor:
    tensors = [it for it in (mean, std) if isinstance(it, Tensor)]
    if not tensors:
        return mean + draws.normal(torch.Size(size), _dtype(dtype)) * std
    shape = torch.broadcast_shapes(*(tensor.shape for tensor in tensors))
    return mean + draws.normal(shape, tensors[0].dtype) * std


def _gumbel_softmax(
    draws: KeyedNumbers,
    logits: Tensor,
    tau: float = 1,
    hard: bool = False,
    eps: float = 1e-10,
    dim: int = -1,
) -> Tensor:
    soft = ((logits - _exponential(draws, logits).log()) / tau).softmax(dim)
    if not hard:
        return soft
    chosen = torch.zeros_like(soft).scatter(dim, soft.argmax(dim, keepdim=True), 1.0)
    return chosen - soft.detach() + soft


def _channel_dropout(unbatched: int) -> Callable[..., Tensor]:
    """Return a function that drops whole channels, of inputs of so many dimensions without rows."""

    def drop(
        draws: KeyedNumbers, x: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
    ) -> Tensor:
        channels = x.shape[: 1 if x.dim() == unbatched else 2]
        kept = _dropout(draws, x.new_ones(channels), p, training)
        return x * kept.view(*channels, *(1 for _ in x.shape[len(channels) :]))

    return drop


def _alpha_dropout(
    draws: KeyedNumbers, x: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False
) -> Tensor:
    """Keep mean and variance of what SELU gives.

    Source: Klambauer and others, Self-Normalizing Neural Networks, NeurIPS 2017, equation 5.
    """
    if not training or p == 0:
        return x
    if p == 1:
        return x * 0
    scale: float = ((1 - p) * (1 + p * SATURATED**2)) ** -0.5
    kept = draws.uniform(x.shape, x.dtype) >= p
    return scale * (torch.where(kept, x, SATURATED) - p * SATURATED)


def _rrelu(
    draws: KeyedNumbers,
    x: Tensor,
    lower: float = 1 / 8,
    upper: float = 1 / 3,
    training: bool = False,
    inplace: bool = False,
) -> Tensor:
    if not training:
        return F.leaky_relu(x, (lower + upper) / 2)
    return torch.where(x >= 0, x, x * _uniform_between(draws, x, lower, upper))


DRAWN: dict[Any, Callable[..., Tensor]] = {
    torch.rand: _rand,
    torch.randn: _randn,
    torch.rand_like: _rand_like,
    torch.randn_like: _randn_like,
    torch.randint: _randint,
    torch.bernoulli: _bernoulli,
    F.dropout: _dropout,
    torch.dropout: _dropout,
    torch.normal: _normal,
    # Functions of Python's that draw within, where no mode sees it:
    F.gumbel_softmax: _gumbel_softmax,
    F.dropout1d: _channel_dropout(2),
    F.dropout2d: _channel_dropout(0),
    F.dropout3d: _channel_dropout(4),
    F.alpha_dropout: _alpha_dropout,
    F.rrelu: _rrelu,
    Tensor.uniform_: _filled(_uniform_between),
    Tensor.normal_: _filled(_normal_around),
    Tensor.exponential_: _filled(_exponential),
    Tensor.bernoulli_: _filled(_chosen),
}
"""By function how it draws from a key."""
