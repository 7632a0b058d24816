"""Adapting: inner steps of one member, and where its targets' gates and towers begin."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence

import torch
from torch import Tensor

from gatelab.training.member_loss import Minimised
from gatelab.training.members import Tensors

InnerLoss = Callable[[Tensors], Minimised]
"""Of one member on some rows."""
GATES, TOWERS = "mixture.gates.", "towers."
"""How the names of what is each target's own begin in a model."""


def adapted(
    losses: Iterable[InnerLoss],
    tensors: Tensors,
    names: Collection[str],
    rate: Tensor,
    *,
    first_order: bool = False,
) -> Tensors:
    """Return one member's tensors after a gradient step on each of some losses.

    The result can be differentiated in the tensors, through all steps: with v the gradient in what
    is adapted, at the end, a step back is G <- G - rate (d/dphi)(g . v), v <- v - rate H v, where g
    and H are gradient and Hessian of its loss, and phi is what stays.

    Args:
        losses: One a step.
        tensors: By name, where it begins.
        names: Of those that move.
        rate: Of every step, ``()``.
        first_order: Whether the gradients are taken for constants, so that v stays and G is 0.
    """
    for loss in losses:
        moved = {}
        for name, gradient in _gradients(loss, tensors, names).items():
            moved[name] = tensors[name] - rate * (gradient.detach() if first_order else gradient)
        tensors = {**tensors, **moved}
    return tensors


def _gradients(loss: InnerLoss, tensors: Tensors, names: Collection[str]) -> Tensors:
    def objective(own: Tensors) -> Tensor:
        return loss({**tensors, **own}).objective

    found: Tensors = torch.func.grad(objective)({name: tensors[name] for name in names})
    return found


class Starts:
    """Where gates and towers begin to be adapted: each target's own, or one for all.

    Tensors of gates and towers have a first dimension of targets; towers of one form are a group.
    """

    def __init__(
        self,
        groups: Sequence[Sequence[int]],
        names: Iterable[str],
        held_out: int,
        *,
        common: bool,
    ) -> None:
        """Find them.

        Args:
            groups: The targets of each group of towers: all are in one.
            names: Of a model's parameters.
            held_out: The last so many targets are not trained.
            common: Whether all begin as the first target of their group.
        """
        self.common = common
        targets = range(sum(map(len, groups)))
        trained = targets[: len(targets) - held_out]
        of = {GATES: targets} | {f"{TOWERS}{i}.": group for i, group in enumerate(groups)}
        self._trained = {
            name: sum(target in trained for target in own)
            for name in names
            for start, own in of.items()
            if name.startswith(start)
        }

    @property
    def untrained(self) -> set[str]:
        """The names of what no trained target has, as towers of a form that none of them has."""
        return {name for name, count in self._trained.items() if not count}

    def of(self, tensors: Tensors) -> Tensors:
        """Return tensors with all targets where they begin.

        One that is held out begins at the mean of the trained targets of its group; where there are
        none, at its own.
        """
        starts = {name: self._start(tensors[name], count) for name, count in self._trained.items()}
        return {**tensors, **starts}

    def _start(self, tensor: Tensor, trained: int) -> Tensor:
        """Return where all begin of a tensor ``(targets, ...)``, of which the first are trained."""
        if not trained:
            return tensor
        if self.common:
            return tensor[:1].expand_as(tensor)
        mean = tensor[:trained].mean(0, keepdim=True)
        return torch.cat([tensor[:trained], mean.expand_as(tensor[trained:])])
