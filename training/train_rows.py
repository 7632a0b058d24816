"""Train rows: the losses of members on rows of the train split, for functions of each one's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from gatelab.tasks.task import Split
from gatelab.training.member_loss import Batch, MemberLoss
from gatelab.training.members import Members, Tensors
from gatelab.training.model import Model
from gatelab.training.weighting import loss_factors

OfMember = Callable[[MemberLoss, Tensors, Tensor | None], Any]
"""Takes a member's loss, its tensors by name, and what a learner has for it; returns tensors."""
Given = tuple[Tensor | None, ...]
"""Tensors that a function of a member takes."""


class TrainRows:
    """The train split on its device, and members' losses on rows of it."""

    def __init__(self, model: Model, split: Split) -> None:
        """Take the model that members are called as, and the split."""
        self.model, self.split = model, split
        factors = loss_factors(model.targets, split)
        self.factors = None if factors is None else factors.to(torch.get_default_dtype())
        """By what rows' losses are multiplied, ``(rows, targets)``, if by anything."""
        self.drawn: set[str] = set()
        """``keyed`` where a forward has drawn from a key."""

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.split.inputs)

    def given(
        self,
        rows: Tensor,
        keys: Tensor | None = None,
        weights: Tensor | None = None,
        own: Tensor | None = None,
        taught: Tensor | None = None,
    ) -> Given:
        """Return what each of the members is given that learn from these rows.

        Args:
            rows: ``(members, batch)``
            keys: What draws follow from, ``(members,)``; by default there are none.
            weights: By what targets' losses are minimised, ``(members, targets)``.
            own: The targets whose losses count, ``(members, targets)`` bool; by default all.
            taught: What a learner has for each, ``(members, ...)``.
        """
        split = self.split
        mask = None if split.mask is None else split.mask[rows]
        factors = None if self.factors is None else self.factors[rows]
        return (split.inputs[rows], split.targets[rows], mask, factors, keys, weights, own, taught)

    def called(self, function: OfMember, members: Members) -> Callable[..., Any]:
        """Return what calls a function with a member's tensors, what it is given, and progress."""

        def of_member(
            tensors: Tensors,
            inputs: Tensor,
            targets: Tensor,
            mask: Tensor | None,
            factors: Tensor | None,
            key: Tensor | None,
            weights: Tensor | None,
            own: Tensor | None,
            taught: Tensor | None,
            progress: Tensor | None,
        ) -> Any:
            batch = Batch(inputs, targets, mask, factors)
            loss = MemberLoss(
                self.model, batch, key, weights, own, progress, members.tied, self.drawn
            )
            return function(loss, tensors, taught)

        return of_member

    def call(
        self,
        function: OfMember,
        members: Members,
        given: Given,
        progress: Tensor | None = None,
    ) -> Any:
        """Call a function of every member; return what it does with a first dimension of members.

        Args:
            function: Of one.
            members: Their tensors.
            given: What :meth:`given` returned.
            progress: The share of the training that is done, ``()``, where gates change buffers.
        """
        return members.call(self.called(function, members), given, (progress,))
