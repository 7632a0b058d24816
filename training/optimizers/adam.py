"""Adam and AdamW."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from gatelab.training.optimizers.rule import Rule

BETAS, EPSILON = (0.9, 0.999), 1e-8
"""As published, and as torch has them."""


class Adam(Rule):
    """Adam; weight decay is added to the gradient.

    Source: Kingma and Ba, Adam, ICLR 2015, algorithm 1, with the corrections of both moments drawn
    into the rate (section 2). It is not torch's own, whose first use takes a process seconds to
    import.
    """

    remembered = ("mean", "square")
    names_in_tables = {"mean": "exp_avg", "square": "exp_avg_sq"}

    def __init__(self, flat: Tensor, options: Mapping[str, Tensor]) -> None:
        """Begin with moments of 0."""
        self.mean, self.square = (torch.zeros_like(flat) for _ in BETAS)

    @classmethod
    def numbers(cls, steps: Tensor) -> Tensor:
        """Return by what the rates are multiplied, and what is added to the root."""
        first, second = BETAS
        correction = (1 - second**steps).sqrt()
        return torch.stack([correction / (1 - first**steps), EPSILON * correction], dim=1)

    def move(
        self, flat: Tensor, gradient: Tensor, rates: Tensor, numbers: Sequence[Tensor]
    ) -> None:
        """Move the rows by the quotient of the moments."""
        (first, second), (factor, epsilon) = BETAS, numbers
        self.mean.lerp_(gradient, 1 - first)
        self.square.mul_(second).addcmul_(gradient, gradient, value=1 - second)
        scale = self.square.sqrt().add_(epsilon)
        flat.addcmul_(torch.div(self.mean, scale, out=scale), rates * factor, value=-1)

    def move_rows(
        self,
        table: Tensor,
        gradient: Tensor,
        rows: Tensor,
        rates: Tensor,
        numbers: Sequence[Tensor],
    ) -> None:
        """Move those rows and their moments; their epsilon is not corrected, as torch has it."""
        (first, second), (factor, _) = BETAS, numbers
        self.mean.lerp_(gradient, (1 - first) * rows)
        self.square.mul_(1 - (1 - second) * rows).addcmul_(gradient, gradient, value=1 - second)
        scale = self.square.sqrt().add_(EPSILON)
        moved = torch.div(self.mean, scale, out=scale).mul_(rows)
        table.addcmul_(moved, rates * factor, value=-1)

    @classmethod
    def for_tables(cls, groups: Sequence[dict[str, Any]]) -> torch.optim.Optimizer:
        """Return Adam over looked-up rows."""
        return torch.optim.SparseAdam(groups, betas=BETAS, eps=EPSILON)


class AdamW(Adam):
    """Adam with decoupled weight decay.

    Source: Loshchilov and Hutter, Decoupled Weight Decay Regularization, ICLR 2019, algorithm 2.
    """

    decoupled = True
