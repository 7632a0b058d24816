"""Writers: modules that change what they read, which others read too."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

from torch import Tensor, nn

WRITES = "an operation in place, such as `x -= x.mean()`, or `inplace=True` in a first layer"
"""What most likely writes into an input."""


def writers(parts: Iterable[nn.Module], passes: Iterable[Callable[[], Any]]) -> list[nn.Module]:
    """Return those of some modules that write into their input, in the order they are met.

    Every change in place of a tensor, or of a view of it, counts its version up, also within
    ``torch.vmap`` over the module, but not in one over the tensor.

    Args:
        parts: Modules whose first argument is a tensor.
        passes: Passes in which they are called; one may raise.
    """
    found: dict[nn.Module, None] = {}
    with ExitStack() as hooks:
        for part in parts:
            hooks.enter_context(_noting(part, found))
        for once in passes:
            with suppress(Exception):  # whatever a stranger's module raises
                once()
    return [*found]


@contextmanager
def _noting(part: nn.Module, found: dict[nn.Module, None]) -> Iterator[None]:
    versions: list[int] = []

    def before(_: nn.Module, given: tuple[Tensor, ...]) -> None:
        versions.append(_version(given[0]))

    def after(_: nn.Module, given: tuple[Tensor, ...], __: object) -> None:
        if _version(given[0]) != versions.pop():
            found[part] = None

    first, last = part.register_forward_pre_hook(before), part.register_forward_hook(after)
    try:
        yield
    finally:
        first.remove()
        last.remove()


def _version(tensor: Tensor) -> int:
    return 0 if tensor.is_inference() else tensor._version  # which has none
