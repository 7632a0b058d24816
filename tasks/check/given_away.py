"""Targets that an input column gives away, so that no gate has anything to learn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from gatelab.tasks.check.subject import known
from gatelab.tasks.target import Target
from gatelab.tasks.task import Split

FEWEST_KNOWN, MOST_KNOWN = 10, 10_000
"""Of fewer rows a line through a column is chance, and more need not be looked at."""
MOST_COMPARED = 2**22
"""Of wide inputs fewer rows are looked at."""
SAME_LINE = 0.9999
"""The R2 from which on a line through a column is the target, written otherwise."""


def told_given_away(targets: Sequence[Target], train: Split) -> Iterator[str]:
    """Yield a line for each target through which and an input column, of train, a line goes.

    A class counts as its number. A table's own columns are looked at more closely, by their kinds.
    """
    inputs = train.inputs
    if inputs.dim() != 2 or not inputs.shape[1]:
        return
    most = min(MOST_KNOWN, MOST_COMPARED // inputs.shape[1])
    for target, rows, values in known(train, targets):
        count = min(len(rows), most)
        if count < FEWEST_KNOWN or values.dim() != 1:
            continue
        spread = torch.linspace(0, len(rows) - 1, count).long()
        scores = line_scores(inputs[rows[spread]], values[spread])
        column = int(scores.argmax())
        if scores[column] >= SAME_LINE:
            yield (
                f"column {column} of the inputs gives target `{target.name}` away: a line through "
                f"it has R2 {float(scores[column]):.6g} in {count:,} rows of train; leave it out?"
            )


def line_scores(inputs: Tensor, values: Tensor) -> Tensor:
    """Return of each column, ``(columns,)``, the R2 in [0, 1] of a line through it.

    It is the square of Pearson's correlation, and 0 where nothing varies.

    Args:
        inputs: ``(rows, columns)``.
        values: ``(rows,)``.
    """
    columns, truth = (it.double() - it.double().mean(0) for it in (inputs, values))
    spreads = columns.square().sum(0) * truth.square().sum()
    return ((columns.T @ truth).square() / spreads).nan_to_num(0.0, posinf=0.0)
