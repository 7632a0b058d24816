"""What rows and classes weigh in the losses: a row's weight times its class's, of mean 1."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from gatelab.tasks.columns import by_target
from gatelab.tasks.target import Target
from gatelab.tasks.task import Split, Task

MEANING = "Mean loss with all rows counting alike, where `loss` is weighted by rows or classes"
"""Of ``unweighted_loss``."""


def is_weighted(target: Target, split: Split) -> bool:
    """Return whether rows of a split do not count alike in a target's loss."""
    return split.weights is not None or target.class_weights is not None


def loss_factors(targets: Sequence[Target], split: Split) -> Tensor | None:
    """Return what each row's loss is multiplied by, ``(rows, targets)`` float64; else ``None``.

    Over the known rows of a target their mean is 1, so that the mean of the split's multiplied
    losses is the weighted mean: their sum over the sum of weights. That of a random batch is right
    on average, whatever rows it has, which one over the batch's own weights would not be.
    """
    if not any(is_weighted(target, split) for target in targets):
        return None
    values, mask = split.targets, split.mask
    if mask is None:
        mask = torch.ones(len(values), len(targets), dtype=torch.bool, device=values.device)
    weights = mask.double() if split.weights is None else mask * split.weights[:, None].double()
    for index, (target, own) in enumerate(zip(targets, by_target(targets, values), strict=True)):
        if target.class_weights is not None:
            by_class = weights.new_tensor(target.class_weights)
            classes = torch.where(mask[:, index], own, 0).long()
            weights[:, index] *= by_class[classes]
    mean = weights.sum(0) / mask.sum(0).clamp_min(1)
    return weights / torch.where(mean > 0, mean, 1)


def weights_of_members(
    targets: Sequence[Target], chosen: Sequence[Mapping[str, float]]
) -> Tensor | None:
    """Return the factors of targets' losses in what members minimise, ``(members, targets)``.

    Args:
        targets: With weights of their own, by which losses are added that are scored.
        chosen: Of each member by target's name, in place of its own. ``None`` is returned where
            nothing is chosen.
    """
    if not any(chosen):
        return None
    weights = [[own.get(target.name, target.weight) for target in targets] for own in chosen]
    return torch.tensor(weights, dtype=torch.get_default_dtype())


def told_weighting(task: Task) -> tuple[str, ...]:
    """Return lines that say what is weighted in a task's losses and metrics; none if nothing is."""
    weights, lines = task.data("train").weights, []
    if weights is not None:
        above = weights[weights > 0]
        lines.append(
            f"rows are weighted in losses and metrics, by {above.min():g} to {above.max():g} in "
            "train; `unweighted_loss` counts them alike."
        )
    names = [f"`{target.name}`" for target in task.targets if target.class_weights is not None]
    if names:
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        lines.append(
            f"classes are weighted in the loss of {', '.join(names[:3])}{more}, of train, val and "
            "test, but not in metrics; `unweighted_loss` counts them alike."
        )
    return tuple(lines)
