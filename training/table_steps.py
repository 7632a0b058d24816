"""Steps of embedding tables with sparse gradients: of the rows alone that were looked up."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor

from gatelab.training.members import Members
from gatelab.training.optimizers.rule import Rule

Past = dict[str, dict[str, Any]]
"""What is known of a member's tables, by their names: torch's own words, on every device."""


class TableSteps(ABC):
    """Moves all members' tables at a step of the optimiser."""

    @abstractmethod
    def step(self, rates: Tensor, numbers: Sequence[Tensor]) -> None:
        """Move them along their gradients, and clear these.

        Args:
            rates: The learning rates of this step, ``(members, 1)``.
            numbers: Of the rule, as its ``move_rows`` takes them.
        """

    @abstractmethod
    def keep(self, members: Sequence[int]) -> None:
        """Go on with some of the members only, after they have been kept themselves."""

    @abstractmethod
    def state(self, member: int, steps: int) -> Past:
        """Return a copy of what is known of one member after so many steps."""

    @abstractmethod
    def load(self, member: int, past: Mapping[str, Mapping[str, Any]]) -> None:
        """Put what :meth:`state` returned into a member."""


class ApartSteps(TableSteps):
    """Steps of torch's own optimiser: on a CPU, where sparse gradients are fast."""

    def __init__(self, members: Members, kind: type[Rule]) -> None:
        """Begin without a past."""
        self.members, self.kind = members, kind
        self._begin()

    def _begin(self) -> None:
        groups = [{"params": [*tables.values()], "lr": 0.0} for tables in self.members.tables]
        self.torch = self.kind.for_tables(groups)

    def step(self, rates: Tensor, numbers: Sequence[Tensor]) -> None:
        """Move them with the members' rates."""
        for group, rate in zip(self.torch.param_groups, rates.flatten().tolist(), strict=True):
            group["lr"] = rate
        self.torch.step()
        self.torch.zero_grad()

    def keep(self, members: Sequence[int]) -> None:
        """Begin anew with the members' past."""
        past = [self.state(member, 0) for member in members]
        self._begin()
        for member, tables in enumerate(past):
            self.load(member, tables)

    def state(self, member: int, steps: int) -> Past:
        """Return what torch knows, which counts steps itself."""
        tables = self.torch.param_groups[member]["params"]
        names = self.members.tables[0]  # all have the same
        return {
            name: deepcopy(dict(self.torch.state.get(table, {})))
            for name, table in zip(names, tables, strict=True)
        }

    def load(self, member: int, past: Mapping[str, Mapping[str, Any]]) -> None:
        """Let torch know of a member's tables what it knew."""
        for name, table in self.members.tables[member].items():
            self.torch.state[table] = {
                key: value.to(table.device, copy=True) if isinstance(value, Tensor) else value
                for key, value in past[name].items()
            }


class FusedSteps(TableSteps):
    """Steps of all members' tables at once, which wait for nothing: what a GPU can replay."""

    def __init__(self, members: Members, kind: type[Rule], options: Mapping[str, Tensor]) -> None:
        """Begin without a past, with the values ``(members, 1)`` of the rule's hyperparameters."""
        assert members.fused_tables is not None
        self.members, self.kind = members, kind
        self.rules = {
            name: kind(_of_rows(table.detach()), options)
            for name, table in members.fused_tables.tables.items()
        }

    def step(self, rates: Tensor, numbers: Sequence[Tensor]) -> None:
        """Move the rows that were looked up."""
        fused = self.members.fused_tables
        assert fused is not None
        for name, rule in self.rules.items():
            table = fused.tables[name]
            if table.grad is not None:
                rows = fused.looked_up(name).flatten(1).unsqueeze(-1).to(table.dtype)
                moved, gradient = _of_rows(table.detach()), _of_rows(table.grad)
                rule.move_rows(moved, gradient, rows, rates.unsqueeze(-1), numbers)
        fused.clear_gradients()

    def keep(self, members: Sequence[int]) -> None:
        """Keep the members' past."""
        index = torch.tensor(members, device=self.members.device)
        for rule in self.rules.values():
            rule.keep(index)

    def state(self, member: int, steps: int) -> Past:
        """Return it in the form that torch has, so that a CPU can go on from it."""
        names = self.kind.names_in_tables
        if not steps or not names:
            return {name: {} for name in self.rules}
        tables = self.members.tables[member]
        return {
            name: {"step": steps}
            | {
                theirs: getattr(rule, ours)[member].clone().view_as(tables[name])
                for ours, theirs in names.items()
            }
            for name, rule in self.rules.items()
        }

    def load(self, member: int, past: Mapping[str, Mapping[str, Any]]) -> None:
        """Take it from the form that torch has."""
        for name, rule in self.rules.items():
            for ours, theirs in self.kind.names_in_tables.items():
                own = getattr(rule, ours)[member]
                own.copy_(past[name][theirs].view_as(own)) if past[name] else own.zero_()


def _of_rows(table: Tensor) -> Tensor:
    """Return a view of tables ``(members, rows, features)``, however many copies stand in one."""
    return table.flatten(1, -2)


def table_steps(
    members: Members, kind: type[Rule], options: Mapping[str, Tensor]
) -> TableSteps | None:
    """Return the steps of members' tables with sparse gradients, if there are any.

    Args:
        members: Whose tables are moved.
        kind: Of the optimiser.
        options: The values of its hyperparameters, ``(members, 1)`` each.
    """
    if members.fused_tables is not None:
        return FusedSteps(members, kind, options)
    return ApartSteps(members, kind) if members.tables[0] else None
