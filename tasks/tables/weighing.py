"""What the rows and the classes of a table weigh."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from gatelab.tasks.tables.cells import Cells
from gatelab.tasks.tables.contents import Column, TableError
from gatelab.tasks.tables.fitted import Numbers
from gatelab.tasks.tables.lines import shown_text, told_apart
from gatelab.tasks.tables.target_columns import TargetColumn

MOST_CLASSES_TOLD = 5


def as_weights(cells: Cells) -> Column:
    """Return a column of weights, a finite number of 0 or more in every row.

    Raises:
        TableError: If a row has none, or all weigh 0.
    """
    rule = "but a weight is a finite number of 0 or more"
    if cells.is_number:
        numbers = cells.numbers(exact=False, finite=False)
    else:
        coded = cells.coded
        words = np.isnan(coded.numbers)
        if words.any():
            row, value = coded.row(words)
            raise TableError(f"`{cells.name}` has `{shown_text(value)}` (row {row}), {rule}.")
        numbers = coded.spread(coded.numbers)
    with np.errstate(over="ignore"):  # which float32 cannot hold
        wrong = np.flatnonzero(~(np.isfinite(numbers.astype(np.float32)) & (numbers >= 0)))
    if len(wrong):
        value = "no value" if np.isnan(numbers[wrong[0]]) else f"{numbers[wrong[0]]:g}"
        row = cells.first_row + int(wrong[0])
        raise TableError(f"`{cells.name}` has {value} (row {row}), {rule}.")
    if not numbers.any():
        raise TableError(f"`{cells.name}` is 0 in every row, so that nothing has a weight.")
    return Column(cells.name, "number", numbers)


def balanced_weights(
    target: TargetColumn, train: npt.NDArray[np.bool_], weights: Numbers | None
) -> tuple[float, ...]:
    """Return what makes all classes weigh the same in train: n / (classes * count), a class.

    Source: scikit-learn's ``class_weight="balanced"``; of weighted rows n and count are of what
    they weigh.

    Args:
        target: Whose classes are all known in train.
        train: Where rows are of train, ``(rows,)``.
        weights: Of the rows, ``(rows,)``.
    """
    known = target.known & train
    counts = np.bincount(target.labels[known], None if weights is None else weights[known])
    return tuple((counts.sum() / (len(counts) * counts)).tolist())


def told_weights(name: str, weights: Numbers, dropped: bool = False) -> str:
    """Return the line that says by what the rows are weighted, though ``drop`` names it, too."""
    above = weights[weights > 0]
    line = f"rows are weighted by `{name}`: {' to '.join(told_apart(above.min(), above.max()))}"
    if dropped:
        line += "; it is no feature, so that `drop` need not name it"
    none = len(weights) - len(above)
    if not none:
        return line
    return f"{line}; {none:,} of {len(weights):,} rows weigh 0 and count nowhere"


def told_class_weights(
    target: TargetColumn, class_weights: Mapping[str, tuple[float, ...]]
) -> tuple[str, ...]:
    """Return the line that says what a target's classes weigh; none if all weigh the same."""
    if target.name not in class_weights:
        return ()
    pairs = list(zip(target.classes, class_weights[target.name], strict=True))
    told = ", ".join(
        f"{shown_text(name)!r} {weight:.3g}" for name, weight in pairs[:MOST_CLASSES_TOLD]
    )
    more = len(pairs) - MOST_CLASSES_TOLD
    return (
        f"classes of `{target.name}` are weighted in its loss: {told}"
        + (f" and {more} more" if more > 0 else ""),
    )
