"""Stacks of modules of several structures as one: experts of several kinds side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from gatelab.gates.stack import Stack


class Stacks(nn.Module):
    """Runs one stack after the other on the same input, and gives their results in this order."""

    def __init__(self, stacks: Sequence[Stack]) -> None:
        """Take over the stacks, whose modules give results of one shape."""
        super().__init__()
        self.stacks = nn.ModuleList(stacks)
        self.size = sum(stack.size for stack in stacks)

    def forward(self, x: Tensor) -> Tensor:
        """Return every module's result with a new first dimension, ``(size, batch, ...)``.

        Args:
            x: ``(batch, ...)`` for all modules.
        """
        return torch.cat([stack(x) for stack in self.stacks])

    def call_one(self, index: int, x: Tensor) -> Any:
        """Return the result of one module alone.

        Raises:
            IndexError: If there are not so many.
        """
        place = index
        for stack in self.stacks:
            assert isinstance(stack, Stack)
            if place < stack.size:
                return stack.call_one(place, x)
            place -= stack.size
        raise IndexError(f"`index < size` must hold, but got ({index=}, size={self.size}).")
