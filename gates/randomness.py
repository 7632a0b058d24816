"""Random numbers that follow from a key: who draws beside, and on which device, changes nothing."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from gatelab.gates.answers import DRAWN
from gatelab.gates.draws import shifted

CPU = torch.device("cpu")
GOLDEN = -7046029254386353131
"""2**64 over the golden ratio, as a signed number: what a counter is multiplied by."""
FACTORS = ((30, -4658895280553007687), (27, -7723592293110705685))
"""Shifts and factors of :func:`mix`."""


def mix(words: Tensor) -> Tensor:
    """Return int64 words of which every bit depends on all bits of the given ones.

    Source: Steele, Lea and Flood, Fast Splittable Pseudorandom Number Generators, OOPSLA 2014,
    ``mix64`` in the variant 13 of Stafford: SplitMix64 is this of multiples of ``GOLDEN``.
    """
    for shift, factor in FACTORS:
        words = _folded(words, shift).mul_(factor)
    return _folded(words, 31)


def keyed(keys: Tensor, numbers: Tensor | int) -> Tensor:
    """Return new keys that follow from keys and numbers, int64 that broadcast."""
    return _next_of(mix(keys), numbers)


def _next_of(mixed: Tensor, numbers: Tensor | int) -> Tensor:
    """Return what :func:`keyed` does, of keys that have been mixed."""
    steps = (numbers + 1) * GOLDEN
    if isinstance(steps, int):  # as int64 would overflow
        steps = (steps + 2**63) % 2**64 - 2**63
    return mix(mixed + steps)


def _folded(words: Tensor, by: int) -> Tensor:
    """Return words exclusive or themselves shifted, in one new tensor."""
    return (words >> by).bitwise_and_((1 << (64 - by)) - 1).bitwise_xor_(words)


class Randomness(TorchFunctionMode):
    """Within it torch's random functions draw from a key, instead of from one generator for all.

    A draw follows from the key, from how many draws there were before, and from the element's
    place. Under vmap each call has a key of its own. What is not in :data:`.answers.DRAWN` draws
    from torch's generator still.
    """

    def __init__(self, key: Tensor) -> None:
        """Begin from a key, int64 ``()``."""
        super().__init__()
        self._device, self._calls = key.device, 0
        # Computed where something is drawn, and once: of most stacks nothing is.
        self._mixed: Callable[[], Tensor] = cache(lambda: mix(key))
        self._parts = self._mixed
        self.drew = False
        """Whether anything was drawn."""

    def __enter__(self) -> Randomness:
        """Begin."""
        self._before = _CURRENT.set(self)
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(self, *error: Any) -> None:
        """End."""
        super().__exit__(*error)  # type: ignore[no-untyped-call]
        _CURRENT.reset(self._before)

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Draw from the key where a function draws."""
        draw = DRAWN.get(func)
        return func(*args, **(kwargs or {})) if draw is None else draw(self, *args, **kwargs or {})

    def split(self, number: int) -> Tensor:
        """Return places ``(number,)`` for calls that draw apart from each other, for :meth:`at`."""
        self._calls += 1
        mixed, calls, places = self._mixed, self._calls, torch.arange(number, device=self._device)
        self._parts = cache(lambda: mix(keyed(_next_of(mixed(), calls), places)))
        return places

    @contextmanager
    def at(self, place: Tensor) -> Iterator[None]:
        """Draw meanwhile as one of the calls that were split last, ``place`` ``()``."""
        before, parts = (self._mixed, self._calls, self._parts), self._parts
        self._mixed = cache(lambda: parts().index_select(0, place.view(1)).view(()))
        self._calls = 0
        try:
            yield
        finally:
            self._mixed, self._calls, self._parts = before

    def words(self, number: int) -> Tensor:
        """Draw int64 words ``(number,)``."""
        places = torch.arange(1, number + 1, device=self._device).mul_(GOLDEN)
        return mix(self._next() + places)

    def uniform(self, shape: torch.Size, dtype: torch.dtype) -> Tensor:
        """Draw from [0, 1), in as many steps as the type tells apart there."""
        bits = round(1 - math.log2(torch.finfo(dtype).eps))
        return (shifted(self.words(shape.numel()), 64 - bits).to(dtype) * 2.0**-bits).view(shape)

    def normal(self, shape: torch.Size, dtype: torch.dtype) -> Tensor:
        """Draw from the standard normal distribution: two halves of a word, by Box and Muller."""
        words = self.words(shape.numel())
        wide = torch.promote_types(dtype, torch.float32)  # float16 holds no half of a word
        radius, angle = (half.to(wide) + 0.5 for half in (shifted(words, 32), words & (2**32 - 1)))
        lengths = (-2 * (radius * 2.0**-32).log()).sqrt()
        return (lengths * (angle * (2.0**-32 * 2 * math.pi)).cos()).view(shape).to(dtype)

    def _next(self) -> Tensor:
        """Return a key for the next draw ``()``."""
        self._calls, self.drew = self._calls + 1, True
        return _next_of(self._mixed(), self._calls)


_CURRENT: ContextVar[Randomness | None] = ContextVar("randomness", default=None)


def current_randomness() -> Randomness | None:
    """Return the draws within which one is, if within any."""
    return _CURRENT.get()


@contextmanager
def drawing_from(seed: int, device: torch.device = CPU) -> Iterator[None]:
    """Draw from a seed within, on a device too, and go on afterwards from where torch was before.

    ``torch.manual_seed`` takes a millisecond and more: it writes down where it was called from for
    each kind of accelerator that is not there.
    """
    cuda = device.type == "cuda"
    with torch.random.fork_rng([device] if cuda else []):
        torch.default_generator.manual_seed(seed)
        if cuda:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield


def generator_state(device: torch.device) -> Tensor:
    """Return the state of torch's generator for a device: one that drew has another after."""
    cuda = device.type == "cuda"
    return torch.cuda.get_rng_state(device) if cuda else torch.get_rng_state()
