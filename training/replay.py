"""A step that is repeated without the Python code that leads to its operations."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from itertools import zip_longest
from types import ModuleType
from typing import ClassVar

from torch import Tensor, nn

OF_PYTHON = (bool, int, float, complex, str, bytes)
"""Types of values that an object may remember beside tensors."""


class Replay(ABC):
    """Takes a step again and again: the first times as it is, later as it was then written down.

    A step must read and write tensors that stay where they are, return nothing, decide nothing by
    their numbers, and do the same operations each time. One that does otherwise is taken as it is.
    """

    eager: ClassVar[int]
    """Steps before one is written down, at least 2: what is made once is made in the first."""
    form: ClassVar[str]
    """As what it is written down."""

    def __init__(self, step: Callable[[], None], owners: Sequence[object] = ()) -> None:
        """Take a step.

        Args:
            step: To be repeated.
            owners: Whose attributes it reads, which must stay the same too.
        """
        self.step, self.again = step, step
        self.steps, self.failure = 0, ""
        self.writing = False
        """Whether the step is being written down."""
        self.told = True
        """Whether the failure is worth a line."""
        self._owners = owners
        self._before: list[dict[str, list[object]]] = []

    def __call__(self) -> None:
        """Take the step."""
        self.again()
        self.steps += 1
        if self.steps == self.eager - 1:
            self._before = [_held(owner) for owner in self._owners]
        elif self.steps == self.eager:
            self._look()

    def _look(self) -> None:
        """Begin to write down, if nothing is remembered that was another after the step before."""
        both, self._before = zip(self._owners, self._before, strict=True), []
        changed = next(filter(None, (_change(owner, held) for owner, held in both)), "")
        if changed:
            self.fail(f"{changed} changes from step to step")
        else:
            self.begin()

    @abstractmethod
    def begin(self) -> None:
        """Let ``again`` write the next step down, and repeat it from then on."""

    def write(self) -> None:
        """Take the step where it is written down."""
        self.writing = True
        try:
            self.step()
        finally:
            self.writing = False

    def fail(self, why: str) -> None:
        """Go on with the step as it is, and say why in ``failure``."""
        self.failure, self.again = why, self.step


def _held(owner: object) -> dict[str, list[object]]:
    """Return by attribute what an object remembers from step to step, and what in it does.

    A module's tensors are made anew in each forward, as ``weight_norm`` does, or are its own.
    """
    kinds = OF_PYTHON if isinstance(owner, nn.Module) else (*OF_PYTHON, Tensor)
    return {
        name: [it for it in (value, *_items(value)) if isinstance(it, kinds)]
        for name, value in vars(owner).items()
    }


def _items(value: object) -> list[object]:
    if isinstance(value, Mapping):
        return [*value.values()]
    if isinstance(value, (list, tuple, set)):
        return [*value]
    apart = isinstance(value, (nn.Module, Tensor, type, ModuleType))
    return [] if apart else [*getattr(value, "__dict__", {}).values()]


def _change(owner: object, before: Mapping[str, Sequence[object]]) -> str:
    """Return the name of an attribute that holds something else than before, if any does."""
    after = _held(owner)
    for name in {**before, **after}:
        pairs = zip_longest(before.get(name, ()), after.get(name, ()))
        if not all(one is two or (isinstance(one, OF_PYTHON) and one == two) for one, two in pairs):
            return f"{type(owner).__name__}.{name}"
    return ""
