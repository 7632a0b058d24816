"""A gate's logits: a linear map of the input, or free numbers where the gate is static."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Logits(nn.Module):
    """Numbers from the input, ``(batch, out_features)``, or without it, ``(1, out_features)``."""

    def __init__(self, in_features: int, out_features: int, *, static: bool, bias: bool) -> None:
        """Draw every parameter from U(±1/sqrt(in_features)), or U(±0.05) where static."""
        super().__init__()
        bound = 0.05 if static else in_features**-0.5
        self.kernel = None if static else nn.Parameter(torch.empty(in_features, out_features))
        self.bias = nn.Parameter(torch.empty(out_features)) if bias or static else None
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -bound, bound)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(batch, in_features)``."""
        if self.kernel is None:
            assert self.bias is not None
            return self.bias.unsqueeze(0)
        logits = x @ self.kernel
        return logits if self.bias is None else logits + self.bias

    def transposed(self, x: Tensor) -> Tensor:
        """Return the same with the batch last and contiguous, ``(out_features, batch)``."""
        if self.kernel is None:
            assert self.bias is not None
            return self.bias.unsqueeze(-1)
        logits = self.kernel.mT @ x.mT
        return logits if self.bias is None else logits + self.bias.unsqueeze(-1)


def for_each_row(weights: Tensor, x: Tensor) -> Tensor:
    """Repeat a static gate's one row of weights, ``(1, num_experts)``, for the whole batch."""
    return weights.expand(x.shape[0], -1)
