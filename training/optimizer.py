"""Adam and AdamW for many members at once, each with its own learning rate and weight decay."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any, Literal

import torch
from torch import Tensor

from gatelab.training.members import Members

OptimizerName = Literal["adam", "adamw"]


BETAS, EPSILON = (0.9, 0.999), 1e-8
"""As published, and as torch has them."""


class MemberAdam:
    """One optimiser step for all members' rows, a few operations on all of them at once.

    Source: Kingma and Ba, Adam, ICLR 2015, algorithm 1, with the corrections of both moments drawn
    into the rate (section 2); Loshchilov and Hutter, Decoupled Weight Decay Regularization, ICLR
    2019, algorithm 2. It is not torch's own, whose first use takes a process seconds to import.
    """

    def __init__(
        self,
        members: Members,
        *,
        name: OptimizerName,
        learning_rates: Sequence[float],
        weight_decays: Sequence[float],
    ) -> None:
        """Make the optimiser.

        Args:
            members: Whose parameters are stepped.
            name: ``adam``, which adds the weight decay to the gradient, or ``adamw``, which
                shrinks the weights.
            learning_rates: One a member, above 0.
            weight_decays: One a member, 0 or more; embedding tables with sparse gradients are
                exempt, since decay would touch every row.
        """
        self.members = members
        self.decoupled = name == "adamw"
        self.learning_rates = _column(learning_rates, members.flat)
        self.weight_decays = _column(weight_decays, members.flat)
        self.decays = any(weight_decays)
        self.steps = 0
        self.mean, self.square = (torch.zeros_like(members.flat) for _ in BETAS)
        self.sparse = self._sparse()

    def _sparse(self) -> torch.optim.SparseAdam | None:
        """Return torch's optimiser of the members' tables, without a past."""
        rates = self.learning_rates.flatten().tolist()
        groups = [
            {"params": list(tables.values()), "lr": rate}
            for tables, rate in zip(self.members.tables, rates, strict=True)
            if tables
        ]
        return torch.optim.SparseAdam(groups, betas=BETAS, eps=EPSILON) if groups else None

    @torch.no_grad()
    def step(self) -> None:
        """Move every member along its gradients, and clear them."""
        flat = self.members.flat
        gradient = flat.grad
        assert gradient is not None
        if self.decays:
            self._decay(flat, gradient)
        self._move(flat, gradient)
        flat.grad = None
        if self.sparse is not None:
            self.sparse.step()
            self.sparse.zero_grad()

    def _decay(self, flat: Tensor, gradient: Tensor) -> None:
        if self.decoupled:
            flat.mul_(1 - self.learning_rates * self.weight_decays)
        else:
            gradient.addcmul_(flat, self.weight_decays)

    def _move(self, flat: Tensor, gradient: Tensor) -> None:
        self.steps += 1
        first, second = BETAS
        self.mean.lerp_(gradient, 1 - first)
        self.square.mul_(second).addcmul_(gradient, gradient, value=1 - second)
        correction = math.sqrt(1 - second**self.steps)
        scale = self.square.sqrt().add_(EPSILON * correction)
        rates = self.learning_rates * (correction / (1 - first**self.steps))
        flat.addcmul_(torch.div(self.mean, scale, out=scale), rates, value=-1)

    def keep(self, members: Sequence[int]) -> None:
        """Go on with some of the members only, after they have been kept themselves."""
        index = torch.tensor(members, device=self.mean.device)
        past = [self._past(member) for member in members]
        self.learning_rates = self.learning_rates[index]
        self.weight_decays = self.weight_decays[index]
        self.mean, self.square = self.mean[index], self.square[index]
        self.sparse = self._sparse()
        for member, tables in enumerate(past):
            self._go_on(member, tables)

    def state(self, member: int) -> dict[str, Any]:
        """Return a copy of all that is known of one member: tensors and numbers only."""
        return {
            "steps": self.steps,
            "mean": self.mean[member].clone(),
            "square": self.square[member].clone(),
            "sparse": self._past(member),
        }

    def _past(self, member: int) -> dict[str, dict[str, Any]]:
        """Return what torch knows of a member's tables, by their names."""
        if self.sparse is None:
            return {}
        tables, state = self.sparse.param_groups[member]["params"], self.sparse.state
        names = self.members.tables[0]  # all have the same
        return {
            name: deepcopy(dict(state.get(table, {})))
            for name, table in zip(names, tables, strict=True)
        }

    def load(self, member: int, state: Mapping[str, Any]) -> None:
        """Put what :meth:`state` returned into a member; all must have taken as many steps."""
        self.steps = state["steps"]
        self.mean[member], self.square[member] = state["mean"], state["square"]
        self._go_on(member, state["sparse"])

    def _go_on(self, member: int, past: Mapping[str, Mapping[str, Any]]) -> None:
        """Let torch know of a member's tables what it knew."""
        if self.sparse is not None:
            for name, table in self.members.tables[member].items():
                self.sparse.state[table] = deepcopy(dict(past[name]))


def _column(values: Sequence[float], like: Tensor) -> Tensor:
    return torch.tensor(values, dtype=like.dtype, device=like.device).unsqueeze(1)
