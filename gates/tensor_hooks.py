"""Hooks on the gradients of tensors, which are lost where modules run as one."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.overrides import TorchFunctionMode


class TensorHooks(TorchFunctionMode):
    """Counts the hooks that are put on gradients of tensors within it.

    In ``torch.vmap`` no tensor says that it has a gradient, nor takes a hook on it.
    """

    def __init__(self) -> None:
        """Begin."""
        super().__init__()
        self.count = 0

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Call a function of torch."""
        self.count += func is Tensor.register_hook
        return func(*args, **(kwargs or {}))
