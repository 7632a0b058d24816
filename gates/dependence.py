"""Dependence: which tensors are computed from given ones, so that a step may leave them out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

AS_ANOTHER = frozenset(
    {
        *(torch.empty_like, torch.zeros_like, torch.ones_like, torch.full_like),
        *(torch.rand_like, torch.randn_like, torch.randint_like),
        *(Tensor.new_empty, Tensor.new_zeros, Tensor.new_ones, Tensor.new_full, Tensor.new_tensor),
    }
)
"""Functions that take of their first argument its shape, type or device, and no numbers."""
FIRST_AS_ANOTHER = frozenset(
    {Tensor.to, Tensor.type_as, Tensor.expand_as, Tensor.view_as, Tensor.reshape_as}
)
"""Functions that take the numbers of their first argument alone."""


class Dependence(TorchFunctionMode):
    """Follows what is computed from some tensors meanwhile.

    Changes in place are followed too, but not those of a view into what lies under it.
    """

    def __init__(self, tensors: Iterable[Tensor]) -> None:
        """Begin with the tensors themselves."""
        super().__init__()
        self._found = {id(tensor): tensor for tensor in tensors}  # held: an id would be used again

    def __contains__(self, tensor: Tensor) -> bool:
        """Return whether a tensor was computed from them."""
        return id(tensor) in self._found

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Call, and note what comes of it."""
        given = kwargs or {}
        result = func(*args, **given)
        if self._reads(func, args, given):
            written = args[0] if func is Tensor.__setitem__ else given.get("out")
            self._found |= {id(t): t for t in _tensors((result, written))}
        return result

    def _reads(self, func: Any, args: tuple[Any, ...], given: dict[str, Any]) -> bool:
        """Return whether a call takes numbers that depend on them."""
        if func in AS_ANOTHER:
            return any(tensor in self for tensor in _tensors((args[1:], given)))
        read = args[:1] if func in FIRST_AS_ANOTHER else (args, given)
        return any(tensor in self for tensor in _tensors(read))


def _tensors(tree: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]
