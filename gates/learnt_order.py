"""COMET's local search: a permutation of the experts that is learnt beside the trees."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gatelab.gates.scalars import register_scalars

FALL = 1e-4
"""What the order's temperature is multiplied by over the whole search, as published."""
SINKHORN_STEPS = 20
"""Published, the number grows from 20 to 150: ours is fixed, since it may not depend on state."""


class LearntOrder(nn.Module):
    """A permutation of the experts that is learnt softly, ever more sharply, and then kept.

    Source: the local search of the same paper, by its authors' code: Sinkhorn's normalisation of
    scores / temperature. There all tasks share one order, the hard one is the Hungarian method's
    and a term of weight 1e-4 lowers the entropy. Ours is each gate's own, is found greedily, and
    has no such term, since the falling temperature does the same.
    """

    scores: nn.Parameter
    share: Tensor
    temperature: Tensor
    searched: Tensor
    kept: Tensor

    def __init__(self, size: int, share: float, temperature: float) -> None:
        """Draw the scores as published, from U(±0.05).

        Args:
            size: Number of experts.
            share: Of the training, after which the order is kept.
            temperature: At the start.
        """
        super().__init__()
        self.scores = nn.Parameter(torch.empty(size, size).uniform_(-0.05, 0.05))
        register_scalars(self, {"share": share, "temperature": temperature, "searched": 0.0})
        self.register_buffer("kept", nearest_permutation(self.soft().detach()))

    def soft(self) -> Tensor:
        """Return a matrix ``(size, size)`` of rows that sum to one, columns almost."""
        logs = self.scores / (self.temperature * FALL**self.searched)
        for _ in range(SINKHORN_STEPS):
            logs = logs.log_softmax(0).log_softmax(1)
        return logs.exp()

    def forward(self) -> Tensor:
        """Return the share ``(size, size)`` of each row's leaf that is each column's expert."""
        if not self.training:
            return self.kept
        return torch.where(self.searched < 1, self.soft(), self.kept)

    def update(self, progress: Tensor) -> dict[str, Tensor]:
        """Return the next buffers; ``progress`` is the share of the training done, ``()``."""
        nearest = nearest_permutation(self.soft().detach())
        return {
            "searched": (progress / self.share).clamp(max=1.0).to(self.searched.dtype),
            "kept": torch.where(self.searched < 1, nearest, self.kept),
        }


def nearest_permutation(matrix: Tensor) -> Tensor:
    """Return a permutation matrix ``(n, n)``: again and again the largest entry that is free."""
    n = len(matrix)
    places = torch.arange(n * n, device=matrix.device).view(n, n)
    chosen = torch.zeros_like(matrix)
    for _ in range(n):
        largest = places == matrix.flatten().argmax()
        chosen = chosen + largest
        taken = largest.any(0, keepdim=True) | largest.any(1, keepdim=True)
        matrix = matrix.masked_fill(taken, -torch.inf)
    return chosen
