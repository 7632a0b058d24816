"""Copies: how many models a member is, and how one answer is put together from theirs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from gatelab.training.members import Members, Tensors

T = TypeVar("T")


@dataclass(frozen=True)
class Copies:
    """The models that a member is: rows of ``Members`` that follow each other.

    One, or as many as there are targets: then copy t is the agent of target t, learns from its
    loss alone, and its output is the member's for that target.
    """

    count: int = 1

    def rows(self, positions: Sequence[int]) -> list[int]:
        """Return the rows of members at some positions."""
        return [
            position * self.count + copy for position in positions for copy in range(self.count)
        ]

    def each(self, values: Sequence[T]) -> list[T]:
        """Return what each member has, for each of its copies."""
        return [value for value in values for _ in range(self.count)]

    def own(self, members: int) -> Tensor | None:
        """Return which target's loss a row learns from, ``(rows, targets)``; ``None``: all."""
        if self.count == 1:
            return None
        return torch.eye(self.count, dtype=torch.bool).repeat(members, 1)

    def state(self, members: Members, position: int) -> Tensors:
        """Return a copy of a member's tensors, with a first dimension of copies if there are any.

        Args:
            members: Of which it is a part.
            position: Among those that train.
        """
        states = [members.state(row) for row in self.rows([position])]
        if self.count == 1:
            return states[0]
        return {name: torch.stack([state[name] for state in states]) for name in states[0]}

    def apart(self, state: Mapping[str, Tensor]) -> list[Tensors]:
        """Return the tensors of each copy of what :meth:`state` returned."""
        if self.count == 1:
            return [dict(state)]
        return [{name: t[copy] for name, t in state.items()} for copy in range(self.count)]

    def load(self, members: Members, position: int, state: Mapping[str, Tensor]) -> None:
        """Put what :meth:`state` returned into a member."""
        for row, own in zip(self.rows([position]), self.apart(state), strict=True):
            members.load(row, own)

    def of(self, members: Members, states: Sequence[Mapping[str, Tensor]]) -> Members:
        """Return members of the same structure, of what :meth:`state` returned of each."""
        return members.of([own for state in states for own in self.apart(state)])

    def of_targets(self, values: Tensor, targets: Sequence[int]) -> Tensor:
        """Return what members give, of what all their copies gave.

        Args:
            values: ``(rows, len(targets), ...)``
            targets: Of the second dimension.

        Returns:
            ``(members, len(targets), ...)``, that of target t from copy t.
        """
        if self.count == 1:
            return values
        apart = values.unflatten(0, (-1, self.count))
        return torch.stack([apart[:, t, place] for place, t in enumerate(targets)], dim=1)

    def added(self, losses: Tensor) -> Tensor:
        """Return the losses of members ``(members, ...)`` of those of their copies."""
        return losses if self.count == 1 else losses.unflatten(0, (-1, self.count)).sum(1)


ALONE = Copies()
"""Of a member that is one model."""


def agent_seed(seed: int, agent: int) -> int:
    """Return the seed of an agent's order of rows, which follows from its member's."""
    return int(np.random.SeedSequence([seed % 2**64, agent]).generate_state(1, np.uint64)[0])


def joined(parts: Sequence[Any]) -> Any:
    """Return the only part where there is one, or a dict that holds them in order."""
    return parts[0] if len(parts) == 1 else {"copies": list(parts)}


def parted(found: Any) -> list[Any]:
    """Return what :func:`joined` was called on."""
    several = isinstance(found, Mapping) and "copies" in found
    return list(found["copies"]) if several else [found]
