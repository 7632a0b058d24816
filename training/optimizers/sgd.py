"""Stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from gatelab.training.optimizers.rule import Rule


class Sgd(Rule):
    """Stochastic gradient descent with momentum, in Nesterov's form or not.

    Source: Sutskever et al., On the importance of initialization and momentum in deep learning,
    ICML 2013, with the rate outside of the momentum, as torch has it.
    """

    hyperparameters: ClassVar[Mapping[str, bool | float]] = {"momentum": 0.0, "nesterov": False}
    remembered = ("momentum", "nesterov", "velocity")

    def __init__(self, flat: Tensor, options: Mapping[str, Tensor]) -> None:
        """Begin at rest."""
        self.momentum, self.nesterov = options["momentum"], options["nesterov"].bool()
        self.velocity = torch.zeros_like(flat)
        self.moves, self.looks_ahead = bool(self.momentum.any()), bool(self.nesterov.any())

    def move(
        self, flat: Tensor, gradient: Tensor, rates: Tensor, numbers: Sequence[Tensor]
    ) -> None:
        """Move the rows along their velocities."""
        if self.moves:
            self.velocity.mul_(self.momentum).add_(gradient)
            ahead = self.velocity
            if self.looks_ahead:
                further = torch.addcmul(gradient, self.velocity, self.momentum)
                ahead = torch.where(self.nesterov, further, ahead)
            gradient = ahead
        flat.addcmul_(gradient, rates, value=-1)

    def move_rows(
        self,
        table: Tensor,
        gradient: Tensor,
        rows: Tensor,
        rates: Tensor,
        numbers: Sequence[Tensor],
    ) -> None:
        """Move along the gradients, which are 0 in all other rows."""
        table.addcmul_(gradient, rates, value=-1)

    @classmethod
    def for_tables(cls, groups: Sequence[dict[str, Any]]) -> torch.optim.Optimizer:
        """Return plain descent over looked-up rows: a velocity would touch every row."""
        return torch.optim.SGD(groups)

    @classmethod
    def faults(cls, options: Mapping[str, Any]) -> dict[str, str]:
        """Return whether the momentum is not in [0, 1), or 0 in Nesterov's form."""
        momentum, nesterov = options["momentum"], options["nesterov"]
        if not 0 <= momentum < 1:
            return {"momentum": f"`0 <= momentum < 1` must hold, but got ({momentum=})."}
        if nesterov and not momentum:
            got = f"({momentum=}, {nesterov=})"
            return {"momentum": f"`momentum > 0` must hold with `nesterov`, but got {got}."}
        return {}
