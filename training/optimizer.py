"""A step of the optimiser for many members at once, each with hyperparameters of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf
from typing import Any

import torch
from torch import Tensor

from gatelab.training.clipping import clip_gradients
from gatelab.training.members import Members
from gatelab.training.optimizers.catalogue import OPTIMIZERS
from gatelab.training.schedule import Factors, Schedule


class MemberOptimizer:
    """Clips, decays and moves all members' rows, a few operations on all of them at once.

    What moves them is a rule of :mod:`.optimizers`. What no member asks for costs nothing.
    """

    def __init__(
        self,
        members: Members,
        options: Sequence[Mapping[str, Any]],
        schedules: Sequence[Schedule] | None = None,
        clips: Sequence[float | None] | None = None,
    ) -> None:
        """Make the optimiser.

        Args:
            members: Whose parameters are stepped.
            options: Of each member ``name``, which all share, ``learning_rate``, ``weight_decay``
                and the rule's own. Embedding tables with sparse gradients are exempt from weight
                decay, which would touch every row.
            schedules: Of the members' learning rates; by default these are constant.
            clips: The largest norms of the members' gradients, ``None`` for any.
        """
        self.members = members
        self.kind = OPTIMIZERS[options[0]["name"]]
        self.learning_rates = _column([o["learning_rate"] for o in options], members.flat)
        self.weight_decays = _column([o["weight_decay"] for o in options], members.flat)
        self.decays = any(option["weight_decay"] for option in options)
        self.factors = Factors(schedules, members.flat) if schedules else None
        if self.factors is not None and self.factors.constant:
            self.factors = None
        self.limits = _limits(clips or [], members.flat)
        self.steps = 0
        own = {
            name: _column([option.get(name, default) for option in options], members.flat)
            for name, default in self.kind.hyperparameters.items()
        }
        self.rule = self.kind(members.flat.detach(), own)
        self.sparse = self._sparse()

    def _sparse(self) -> torch.optim.Optimizer | None:
        """Return torch's optimiser of the members' tables, without a past."""
        rates = self.learning_rates.flatten().tolist()
        groups = [
            {"params": list(tables.values()), "lr": rate}
            for tables, rate in zip(self.members.tables, rates, strict=True)
            if tables
        ]
        return self.kind.for_tables(groups) if groups else None

    @torch.no_grad()
    def step(self) -> None:
        """Move every member along its gradients, and clear them."""
        flat = self.members.flat
        if self.limits is not None:
            clip_gradients(self.members, self.limits)
        gradient, rates = flat.grad, self._rates()
        assert gradient is not None
        if self.decays:
            self._decay(flat, gradient, rates)
        self.steps += 1
        self.rule.move(flat, gradient, rates, self.steps)
        flat.grad = None
        if self.sparse is not None:
            self._step_tables(self.sparse, rates)

    def _rates(self) -> Tensor:
        """Return the learning rates of the next step, ``(members, 1)``."""
        if self.factors is None:
            return self.learning_rates
        return self.learning_rates * self.factors.at(self.steps)

    def _decay(self, flat: Tensor, gradient: Tensor, rates: Tensor) -> None:
        if self.kind.decoupled:
            flat.mul_(1 - rates * self.weight_decays)
        else:
            gradient.addcmul_(flat, self.weight_decays)

    def _step_tables(self, sparse: torch.optim.Optimizer, rates: Tensor) -> None:
        if self.factors is not None:
            for group, rate in zip(sparse.param_groups, rates.flatten().tolist(), strict=True):
                group["lr"] = rate
        sparse.step()
        sparse.zero_grad()

    def keep(self, members: Sequence[int]) -> None:
        """Go on with some of the members only, after they have been kept themselves."""
        index = torch.tensor(members, device=self.learning_rates.device)
        self.learning_rates = self.learning_rates[index]
        self.weight_decays = self.weight_decays[index]
        self.limits = None if self.limits is None else self.limits[index]
        if self.factors is not None:
            self.factors.keep(members)
        self.rule.keep(index)
        if self.sparse is not None:
            state = _keep_groups(self.sparse.state_dict(), members)
            self.sparse = self._sparse()
            if self.sparse is not None:
                self.sparse.load_state_dict(state)

    def state_dict(self) -> dict[str, Any]:
        """Return the state: tensors and numbers only."""
        sparse = None if self.sparse is None else self.sparse.state_dict()
        return {"steps": self.steps, **self.rule.state_dict(), "sparse": sparse}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what :meth:`state_dict` returned."""
        self.steps = state["steps"]
        self.rule.load_state_dict(state)
        if self.sparse is not None:
            self.sparse.load_state_dict(state["sparse"])


def _column(values: Sequence[float], like: Tensor) -> Tensor:
    return torch.tensor(values, dtype=like.dtype, device=like.device).unsqueeze(1)


def _limits(clips: Sequence[float | None], like: Tensor) -> Tensor | None:
    """Return the norms to clip at ``(members, 1)``, or nothing where no member is clipped."""
    if all(clip is None for clip in clips):
        return None
    return _column([inf if clip is None else clip for clip in clips], like)


def _keep_groups(state: dict[str, Any], members: Sequence[int]) -> dict[str, Any]:
    """Return the state of an optimiser of tables for some of its groups, numbered anew."""
    groups = [dict(state["param_groups"][member]) for member in members]
    entries: dict[int, Any] = {}
    for group in groups:
        old = group["params"]
        group["params"] = list(range(len(entries), len(entries) + len(old)))
        entries.update(
            {new: state["state"].get(key) for new, key in zip(group["params"], old, strict=True)}
        )
    kept = {key: entry for key, entry in entries.items() if entry is not None}
    return {"state": kept, "param_groups": groups}
