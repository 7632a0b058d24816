"""Checks of the weights of a task's rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from gatelab.conformance import fail
from gatelab.tasks.check.subject import Subject, known
from gatelab.tasks.target import Target
from gatelab.tasks.task import Split, SplitName


def check_weights_can_be_used(subject: Subject) -> None:
    """Where rows are weighted, they are in every split, by finite numbers of 0 or more."""
    for name, split in subject.splits.items():
        check_weights(name, split, subject.targets)
    check_all_weighted(subject.splits)


def check_weights(name: SplitName, split: Split, targets: Sequence[Target]) -> None:
    """Check the weights of one split, where it has any.

    Raises:
        CheckFailed: If their shape or a value is wrong, or they are 0 wherever a target is known.
    """
    weights, rows = split.weights, len(split.inputs)
    if weights is None:
        return
    if weights.shape != (rows,):
        fail(
            f"{name} weights are of shape {tuple(weights.shape)}, not (rows,) = ({rows},)",
            "a weight for each target, or rows left out of the weights",
        )
    wrong = (~(torch.isfinite(weights) & (weights >= 0))).nonzero().flatten()
    if len(wrong):
        row = int(wrong[0])
        fail(
            f"{len(wrong)} of {rows} {name} weights are no finite numbers of 0 or more (first: row "
            f"{row}, {weights[row].item():g})",
            "gaps in the source, a division by 0, or a difference",
        )
    for target, of_target, _ in known(split, targets):
        if not len(of_target):
            fail(
                f"{name} has no row of a weight above 0 in which {target.name!r} is known",
                "weights that tell the splits apart",
            )


def check_all_weighted(splits: Mapping[SplitName, Split]) -> None:
    """Check that rows are weighted in all of some splits or in none.

    Raises:
        CheckFailed: If they are not.
    """
    weighted = {name: split.weights is not None for name, split in splits.items()}
    if len(set(weighted.values())) > 1:
        having, lacking = (next(n for n in weighted if weighted[n] is it) for it in (True, False))
        fail(
            f"{having} has weights, but {lacking} has none",
            "weights of train alone: what is selected and scored would be another loss",
        )


CHECKS = (check_weights_can_be_used,)
