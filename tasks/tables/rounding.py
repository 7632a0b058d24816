"""Columns of numbers that differ by no more than rounding does."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import numpy as np

from gatelab.tasks.tables.contents import Column, Contents
from gatelab.tasks.tables.fitted import LEAST_SPREAD
from gatelab.tasks.tables.lines import drop_key, told_apart
from gatelab.tasks.tables.sample import sampled


def rounded(contents: Contents, targets: Collection[str]) -> Iterator[str]:
    """Tell of columns whose deviation is so small beside their mean that rounding explains it.

    A feature is standardised as a constant then; a target is learnt, for it may be what is meant.

    Args:
        contents: The table.
        targets: Names of its columns.
    """
    for name, column in sampled(contents).items():
        if ends := _ends(column):
            what = f"`{name}` varies from {' to '.join(ends)} only, as a constant does by rounding"
            known = f"{what}: is there anything to learn?"
            yield known if name in targets else f"{what}, and is read as one; {drop_key(name)}?"


def _ends(column: Column) -> tuple[str, str] | None:
    """Return the least and the greatest number of such a column; else nothing."""
    if column.kind != "number" or column.numbers is None:
        return None
    known = column.numbers[~np.isnan(column.numbers)]
    low, high = known.min(initial=np.inf), known.max(initial=-np.inf)
    if not low < high or known.std() > LEAST_SPREAD * abs(known.mean()):
        return None
    return told_apart(low, high)
