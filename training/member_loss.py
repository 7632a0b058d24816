"""The loss of one member on some rows: what plain training minimises, for others to build on."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor
from torch.func import functional_call

from gatelab.gates.randomness import Randomness, keyed
from gatelab.training.members import Tensors
from gatelab.training.model import Model, Output


class Batch(NamedTuple):
    """What a member learns from at a step."""

    inputs: Tensor
    """``(batch, ...)``"""
    targets: Tensor
    """``(batch, columns)``"""
    mask: Tensor | None = None
    """``(batch, targets)``, true where a target is known."""
    factors: Tensor | None = None
    """By what losses are multiplied, ``(batch, targets)``."""

    def part(self, which: slice) -> Batch:
        """Return some of them."""
        mask = None if self.mask is None else self.mask[which]
        factors = None if self.factors is None else self.factors[which]
        return Batch(self.inputs[which], self.targets[which], mask, factors)


class Minimised(NamedTuple):
    """What is minimised of one member, and what a step keeps beside it."""

    objective: Tensor
    """Whose gradient a step follows, ``()``."""
    loss: Tensor
    """The task's part of it, for the record: ``()``, or where rows are weighted ``(2,)``, weighted
    and unweighted."""
    buffers: Tensors
    """The gates' next ones, by name."""


@dataclass(frozen=True)
class MemberLoss:
    """The loss of one member on its rows, as a function of its tensors: called in ``torch.vmap``.

    It is pure but for ``noted``, so that it can be differentiated by ``torch.func.grad``.
    """

    model: Model
    batch: Batch
    key: Tensor | None
    """What draws in the forward follow from, ``()``; ``None``: there are none."""
    weights: Tensor | None
    """By what targets' losses are minimised, ``(targets,)``; ``None``: the targets' own weights."""
    own: Tensor | None
    """The targets whose losses count, ``(targets,)`` bool; ``None``: all."""
    progress: Tensor | None
    """The share of the training that is done, ``()``, where gates change buffers at a step."""
    tied: bool
    """Whether layers share a tensor."""
    noted: set[str]
    """``keyed`` is added where anything has drawn from the key."""

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.batch.inputs)

    def __call__(self, tensors: Tensors) -> Minimised:
        """Return what plain training minimises of a member with these tensors, by name."""
        batch, progress, own = self.batch, self.progress, self.own
        with nullcontext() if self.key is None else Randomness(self.key) as draws:
            output: Output = functional_call(
                self.model, tensors, (batch.inputs, progress, batch.mask), tie_weights=self.tied
            )
        if draws is not None and draws.drew:
            self.noted.add("keyed")
        rows = self.model.row_losses(output.groups, batch.targets)
        losses = _of_own(self.model.target_losses(rows, batch.mask), own)
        unweighted = loss = self.model.task_loss(losses)
        if batch.factors is not None:
            weighted = self.model.target_losses(rows * batch.factors.mT, batch.mask)
            losses = _of_own(weighted, own)
            loss = self.model.task_loss(losses)
        found = loss if batch.factors is None else torch.stack([loss, unweighted])
        minimised = loss if self.weights is None else losses @ self.weights
        aux_loss = _of_own(output.routing.aux_loss, own).sum()
        return Minimised(minimised + aux_loss, found.detach(), output.buffers)

    def part(self, which: slice, draw: int | None = None) -> MemberLoss:
        """Return that on some of the rows.

        Args:
            which: Of them.
            draw: Of parts with another number other random numbers are drawn; by default the same
                as of the whole.
        """
        key = self.key if self.key is None or draw is None else keyed(self.key, draw)
        return replace(self, batch=self.batch.part(which), key=key)

    def of_targets(self, which: Tensor) -> MemberLoss:
        """Return that of some targets alone, ``(targets,)`` bool."""
        return replace(self, own=which if self.own is None else self.own & which)


def _of_own(losses: Tensor, own: Tensor | None) -> Tensor:
    """Return losses ``(targets,)`` with 0 for targets that are others'."""
    return losses if own is None else losses.where(own, 0.0)
