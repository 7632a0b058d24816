"""How targets share the task's loss before anything is learnt: one may drown all others."""

from __future__ import annotations

import torch
from torch import Tensor

from gatelab.tasks.check.subject import known
from gatelab.tasks.target import Target
from gatelab.tasks.task import Task

MOST_UNEVEN = 1000.0
"""Of two targets' losses, the larger over the smaller, that goes without a word."""


def uneven_losses(task: Task) -> str | None:
    """Return a line where a target's loss is so large that the task's loss is nearly it alone.

    The losses are those of outputs of 0 on the val split, by which training stops and the search
    selects, times the targets' weights.
    """
    split = task.data("val")
    weights = torch.ones(len(split.inputs)) if split.weights is None else split.weights
    losses = {
        target.name: target.weight * float(_loss(target, values.double(), weights[rows].double()))
        for target, rows, values in known(split, task.targets)
        if len(values)
    }
    losses = {name: loss for name, loss in losses.items() if loss > 0}
    if len(losses) < 2:
        return None
    (low, least), *_, (high, most) = sorted(losses.items(), key=lambda item: item[1])
    if most <= MOST_UNEVEN * least:
        return None
    return (
        f"the loss of target {high!r} begins at {most:.2g}, that of {low!r} at {least:.2g}: "
        f"patience, selection and the verdict on the loss follow {high!r} nearly alone; "
        "standardise regression targets, or give targets weights."
    )


def _loss(target: Target, values: Tensor, weights: Tensor) -> Tensor:
    """Return the mean loss of outputs of 0, of weighted rows."""
    if target.kind == "regression":
        squares = values.square() if values.dim() == 1 else values.square().mean(1)
        return squares @ weights / weights.sum()
    return torch.tensor(float(target.num_classes or 2)).log()
