"""Real hyperparameters as buffers, by which members of different values train together."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn


def register_scalars(module: nn.Module, values: Mapping[str, float]) -> None:
    """Keep each value as a buffer ``()`` of a module, under its name.

    Raises:
        ValueError: If one is too large or too small for the default type of numbers.
    """
    kind = torch.finfo(torch.get_default_dtype())
    for name, value in values.items():
        if value and not kind.tiny <= abs(value) <= kind.max:
            raise ValueError(
                f"`{name}` must be 0 or {kind.tiny:.2g} to {kind.max:.2g} in size, as {kind.dtype} "
                f"has it, but got ({name}={value})."
            )
        module.register_buffer(name, torch.tensor(float(value)))
