"""How numbers of each kind are drawn from a key, by the arguments that torch's functions take."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor

WHOLE_WORDS = (-(2**63), 2**63 - 1)
"""The bounds between which :func:`torch.randint` is taken to ask for whole words."""


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


def check_rule(rule: str, holds: object, **values: Any) -> None:
    """Check what must hold of the arguments of a draw.

    Args:
        rule: As the message has it.
        holds: Whether it does; a tensor is not looked at, for which a GPU would wait.
        values: Of the arguments.

    Raises:
        ValueError: If it does not.
    """
    if not isinstance(holds, Tensor) and not holds:
        got = ", ".join(f"{name}={value!r}" for name, value in values.items())
        raise ValueError(f"`{rule}` must hold of a random draw, but got ({got}).")


def floating(dtype: torch.dtype | None) -> torch.dtype:
    """Return the type to draw, by default torch's own.

    Raises:
        ValueError: If it is no real floating one.
    """
    found = torch.get_default_dtype() if dtype is None else dtype
    check_rule("dtype.is_floating_point", found.is_floating_point, dtype=found)
    return found


def even(draws: KeyedNumbers, x: Tensor) -> Tensor:
    """Draw from [0, 1) in the shape of ``x``, finely enough for a chance in half precision too."""
    return draws.uniform(x.shape, torch.promote_types(floating(x.dtype), torch.float32))


def _shape(*size: Any) -> torch.Size:
    """Return the shape that is asked for, in whichever way torch can be."""
    return torch.empty(*size, device="meta").shape


def rand(draws: KeyedNumbers, *size: Any, dtype: torch.dtype | None = None) -> Tensor:
    """Draw from [0, 1)."""
    return draws.uniform(_shape(*size), floating(dtype))


def rand_of_size(draws: KeyedNumbers, *, size: Any, dtype: torch.dtype | None = None) -> Tensor:
    """Draw from [0, 1)."""
    return rand(draws, size, dtype=dtype)


def randn(draws: KeyedNumbers, *size: Any, dtype: torch.dtype | None = None) -> Tensor:
    """Draw from the standard normal distribution."""
    return draws.normal(_shape(*size), floating(dtype))


def randn_of_size(draws: KeyedNumbers, *, size: Any, dtype: torch.dtype | None = None) -> Tensor:
    """Draw from the standard normal distribution."""
    return randn(draws, size, dtype=dtype)


def rand_like(draws: KeyedNumbers, input: Tensor, *, dtype: torch.dtype | None = None) -> Tensor:
    """Draw from [0, 1) in the shape of another."""
    return draws.uniform(input.shape, floating(dtype or input.dtype))


def randn_like(draws: KeyedNumbers, input: Tensor, *, dtype: torch.dtype | None = None) -> Tensor:
    """Draw from the standard normal distribution in the shape of another."""
    return draws.normal(input.shape, floating(dtype or input.dtype))


def randint(
    draws: KeyedNumbers, low: int, high: int, size: Any, *, dtype: torch.dtype | None = None
) -> Tensor:
    """Draw whole numbers from [low, high)."""
    check_rule("low < high", low < high, low=low, high=high)
    dtype = torch.int64 if dtype is None else dtype
    least, most = bounds_of(dtype)
    check_rule(
        f"{least} <= low and high - 1 <= {most}",
        least <= low and high - 1 <= most,
        low=low,
        high=high,
        dtype=dtype,
    )
    shape = _shape(size)
    words = draws.words(shape.numel()).view(shape)
    if (low, high) != WHOLE_WORDS:
        words = low + shifted(words, 1) % (high - low)
    return words.to(dtype)


def randint_below(
    draws: KeyedNumbers, high: int, size: Any, *, dtype: torch.dtype | None = None
) -> Tensor:
    """Draw whole numbers from [0, high)."""
    return randint(draws, 0, high, size, dtype=dtype)


def randint_like(
    draws: KeyedNumbers, input: Tensor, low: int, high: int, *, dtype: torch.dtype | None = None
) -> Tensor:
    """Draw whole numbers from [low, high) in the shape of another."""
    return randint(draws, low, high, input.shape, dtype=dtype or input.dtype)


def randint_like_below(
    draws: KeyedNumbers, input: Tensor, high: int, *, dtype: torch.dtype | None = None
) -> Tensor:
    """Draw whole numbers from [0, high) in the shape of another."""
    return randint_like(draws, input, 0, high, dtype=dtype)


def randperm(draws: KeyedNumbers, n: int, *, dtype: torch.dtype | None = None) -> Tensor:
    """Draw an order of n places."""
    return draws.words(n).argsort().to(torch.int64 if dtype is None else dtype)


def bounds_of(dtype: torch.dtype) -> tuple[float, float]:
    """Return the least and the largest number of a type."""
    if dtype == torch.bool:
        return 0, 1
    known = torch.finfo(dtype) if dtype.is_floating_point else torch.iinfo(dtype)
    return known.min, known.max


def bernoulli(draws: KeyedNumbers, input: Tensor) -> Tensor:
    """Draw 1 with the chance that each number is, else 0."""
    return (even(draws, input) < input).to(input.dtype)


def bernoulli_of_chance(draws: KeyedNumbers, input: Tensor, p: float | Tensor) -> Tensor:
    """Draw 1 with one chance for all, or with that of each number, else 0."""
    check_rule("0 <= p <= 1", isinstance(p, Tensor) or 0 <= p <= 1, p=p)
    return (draws.uniform(input.shape, torch.get_default_dtype()) < p).to(input.dtype)


def normal(draws: KeyedNumbers, mean: float | Tensor, std: float | Tensor = 1.0) -> Tensor:
    """Draw normal numbers around means; no gradient reaches these, as in torch."""
    tensors = [it for it in (mean, std) if isinstance(it, Tensor)]
    shape = torch.broadcast_shapes(*(tensor.shape for tensor in tensors))
    drawn = draws.normal(shape, floating(tensors[0].dtype))
    return around(drawn, mean, std).detach().to(drawn.dtype)


def normal_of_size(
    draws: KeyedNumbers, mean: float, std: float, size: Any, *, dtype: torch.dtype | None = None
) -> Tensor:
    """Draw normal numbers around one mean."""
    return around(draws.normal(_shape(size), floating(dtype)), mean, std)


def around(drawn: Tensor, mean: float | Tensor, std: float | Tensor) -> Tensor:
    """Return standard normal numbers around means, with deviations.

    Raises:
        ValueError: If a deviation is negative.
    """
    check_rule("std >= 0", std >= 0, std=std)
    return mean + drawn * std
