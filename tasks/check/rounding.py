"""Inputs whose differences float32 rounds away, as of seconds since 1970 or of large ids."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from gatelab.conformance import fail
from gatelab.tasks.check.subject import Subject
from gatelab.tasks.task import SplitName
from gatelab.tasks.tensors import dense_tensor

MOST_LOST = 1e-3
"""Of a column's deviation, what rounding may change of its values without a word."""


def told_rounding(name: SplitName, inputs: object) -> str | None:
    """Return a line where float32 hardly tells the values of a column apart.

    Args:
        name: Of the split.
        inputs: As the task made them, in whatever type.
    """
    given = dense_tensor(f"{name} inputs", inputs)
    if given.dtype != torch.float64 or given.dim() < 2:
        return None
    rows = given.flatten(1)
    lost = [at for at, column in enumerate(rows.unbind(1)) if _is_lost(column)]
    if not lost:
        return None
    places = [int(it) for it in np.unravel_index(lost[0], given.shape[1:])]
    where = places[0] if len(places) == 1 else tuple(places)
    more = f" ({len(lost)} columns are so)" if len(lost) > 1 else ""
    column = rows[:, lost[0]]
    count, kept = (len(it.unique()) for it in (column, _rounded(column)))
    return (
        f"column {where} of {name} inputs has {count:,} values, of which float32 tells {kept:,} "
        f"apart{more}"
    )


def _is_lost(column: Tensor) -> bool:
    """Return whether rounding moves values by much of what they differ in."""
    moved = (column - _rounded(column)).square().mean().sqrt()
    return bool(moved > MOST_LOST * column.std(correction=0))


def _rounded(column: Tensor) -> Tensor:
    return column.to(torch.get_default_dtype()).double()


def check_inputs_are_told_apart(subject: Subject) -> None:
    """What inputs differ in is not lost where they become float32."""
    line = told_rounding("train", subject.make().split("train")[0])
    if line:
        fail(line, "numbers far from 0, as seconds since 1970: subtract what they share")


CHECKS = (check_inputs_are_told_apart,)
