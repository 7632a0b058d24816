"""Whether towers give chances where logits are due: losses and metrics make chances of these."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import torch
from torch import Tensor

from gatelab.foreign import ForeignError, foreign, is_ours
from gatelab.tasks.check.random_states import seeded
from gatelab.tasks.check.subject import BATCH, made_of, walk
from gatelab.tasks.target import Target
from gatelab.tasks.task import Task

ROWS, SCALE = 256, 1000.0
"""Of what towers are tried on: numbers so large that any logit leaves 0 to 1 for some row."""


def towers_of_chances(task: Task) -> tuple[str, ...]:
    """Return a line for each target of classes whose tower gives numbers from 0 to 1 alone.

    None of a target with a loss of its own, which may be of chances; nor of a network that cannot
    be run, which is the finding of others.
    """
    if is_ours(type(task)):
        return ()
    with suppress(ForeignError), foreign():
        return tuple(_lines(task))
    return ()


def _lines(task: Task) -> Iterator[str]:
    for target, given in _outputs(task):
        if target.kind != "regression" and target.loss is None and _are_chances(given):
            layer = "Softmax" if target.kind == "multiclass" and _sum_to_one(given) else "Sigmoid"
            yield (
                f"the tower of {target.name!r} gives numbers from 0 to 1 alone, but towers give "
                f"logits: leave out the {layer}?"
            )


def _outputs(task: Task) -> Iterator[tuple[Target, Tensor]]:
    """Yield what every target's tower gives for large numbers, ``(rows, out_features)``."""
    with seeded(0), torch.no_grad():
        modules = made_of(task.network(), task.targets)
        for module in modules.values():
            module.eval()
        read = {name: x for name, x, _ in walk(modules, task.data("train").inputs[:BATCH])}
        for target in task.targets:
            name = f"tower of {target.name!r}"
            yield target, modules[name](SCALE * torch.randn(ROWS, *read[name].shape[1:]))


def _are_chances(given: Tensor) -> bool:
    """Return whether outputs are from 0 to 1; those of a tower that starts at 0 tell nothing."""
    return bool(((given >= 0) & (given <= 1)).all() and given.max() > given.min())


def _sum_to_one(given: Tensor) -> bool:
    return bool((given.sum(1) - 1).abs().max() < 1e-4)
