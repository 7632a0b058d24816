"""What an optimiser is: a rule that moves all members' rows, with tensors that it remembers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor


class Rule(ABC):
    """Moves rows ``(members, parameters)`` along their gradients, a few operations for all.

    One more optimiser is a file with a subclass, and its name in :mod:`.catalogue`. Learning rates,
    their schedule, weight decay and clipping are no business of a rule.
    """

    hyperparameters: ClassVar[Mapping[str, bool | float]] = {}
    """Those beside ``learning_rate`` and ``weight_decay``, with their defaults: a spec's keys."""
    decoupled: ClassVar[bool] = False
    """Whether weight decay shrinks the weights, instead of being added to the gradient."""
    remembered: ClassVar[tuple[str, ...]] = ()
    """The attributes that are tensors with a row for each member: its state."""

    names_in_tables: ClassVar[Mapping[str, str]] = {}
    """What torch's optimiser of tables calls what this one remembers of them."""

    @abstractmethod
    def __init__(self, flat: Tensor, options: Mapping[str, Tensor]) -> None:
        """Begin without a past.

        Args:
            flat: The rows that will be moved, ``(members, parameters)``.
            options: The values of the hyperparameters, ``(members, 1)`` each.
        """

    @abstractmethod
    def move(
        self, flat: Tensor, gradient: Tensor, rates: Tensor, numbers: Sequence[Tensor]
    ) -> None:
        """Move the rows, in place.

        Args:
            flat: ``(members, parameters)``
            gradient: Of the same shape; it may be written over.
            rates: The learning rates of this step, ``(members, 1)``.
            numbers: Those of this step, as :meth:`numbers` returned them, ``(1,)`` each, or
                ``(members, 1)`` where members have taken different numbers of steps.
        """

    @abstractmethod
    def move_rows(
        self,
        table: Tensor,
        gradient: Tensor,
        rows: Tensor,
        rates: Tensor,
        numbers: Sequence[Tensor],
    ) -> None:
        """Move the rows of tables that were looked up as :meth:`for_tables` does, in place.

        Args:
            table: ``(members, rows, features)``, also what the rule was made of.
            gradient: Of the same shape; it may be written over.
            rows: 1 for those that were looked up, else 0: ``(members, rows, 1)``.
            rates: The learning rates of this step, ``(members, 1, 1)``.
            numbers: Those of this step, ``(1,)`` each.
        """

    @classmethod
    def numbers(cls, steps: Tensor) -> Tensor:
        """Return what changes from step to step, whoever the members are: nothing by default.

        Args:
            steps: Of each how many there are with it, ``(n,)`` float64.

        Returns:
            ``(n, numbers)``
        """
        return steps.new_empty(len(steps), 0)

    @classmethod
    @abstractmethod
    def for_tables(cls, groups: Sequence[dict[str, Any]]) -> torch.optim.Optimizer:
        """Return torch's optimiser of embedding tables with sparse gradients.

        Args:
            groups: Of parameters, with ``lr``, one for each member.
        """

    @classmethod
    def faults(cls, options: Mapping[str, Any]) -> dict[str, str]:
        """Return what is wrong with the values of its own hyperparameters, by their names."""
        return {}

    def tensors(self) -> list[Tensor]:
        """Return what is remembered, a row for each member."""
        return [getattr(self, name) for name in self.remembered]

    def keep(self, index: Tensor) -> None:
        """Go on with some of the members only: the rows at an index ``(members,)``."""
        for name in self.remembered:
            setattr(self, name, getattr(self, name)[index])

    def state(self, member: int) -> dict[str, Tensor]:
        """Return a copy of what is remembered of one member, by name."""
        return {name: getattr(self, name)[member].clone() for name in self.remembered}

    def load(self, member: int, state: Mapping[str, Tensor]) -> None:
        """Put what :meth:`state` returned into a member."""
        for name in self.remembered:
            getattr(self, name)[member] = state[name]
