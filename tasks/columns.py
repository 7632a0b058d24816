"""Columns: which of a split's values are whose, where a target may have several."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from gatelab.tasks.target import Target


def num_columns(targets: Sequence[Target]) -> int:
    """Return how many columns the values of all targets are."""
    return sum(target.width for target in targets)


def by_target(targets: Sequence[Target], values: Tensor) -> tuple[Tensor, ...]:
    """Return each target's values, ``(rows,)``, or ``(rows, width)`` of one of several columns.

    Args:
        targets: A task's.
        values: Of all of them, ``(rows, columns)``.
    """
    if values.shape[1] == len(targets):  # one column each: nothing is counted in a step
        return values.unbind(1)
    widths = [target.width for target in targets]
    parts = values.split(widths, 1)
    return tuple(p.squeeze(1) if w == 1 else p for p, w in zip(parts, widths, strict=True))


def mask_of_columns(targets: Sequence[Target], mask: Tensor) -> Tensor:
    """Return a mask of targets, ``(rows, targets)``, as one of columns: ``(rows, columns)``."""
    widths = [target.width for target in targets]
    if sum(widths) == len(widths):
        return mask
    repeats = torch.tensor(widths, device=mask.device)
    return mask.repeat_interleave(repeats, 1, output_size=sum(widths))
