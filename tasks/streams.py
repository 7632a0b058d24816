"""What splits are drawn from: a random stream for each, and how many rows it gives."""

from __future__ import annotations

from typing import Literal

import numpy as np

from gatelab.rules import check_counts
from gatelab.tasks.task import SplitName

_STREAMS = {"common": 0, "train": 1, "val": 2, "test": 3}


def stream(
    name: SplitName | Literal["common"], seed: int, split_seed: int = 0
) -> np.random.Generator:
    """Return the stream of a split, or of what all splits follow from, at its beginning.

    Args:
        name: Of the split, or ``common``.
        seed: The task's, at least 0.
        split_seed: The task's, at least 0, where what is drawn is another for each; with 0 the
            stream is that of the seed alone.
    """
    key = (split_seed,) if split_seed else ()
    return np.random.default_rng(np.random.SeedSequence([_STREAMS[name], seed], spawn_key=key))


def rows_by_split(train_rows: int, val_rows: int, test_rows: int) -> dict[SplitName, int]:
    """Return how many rows a task draws for each split.

    Raises:
        ValueError: If one has none.
    """
    check_counts(train_rows=train_rows, val_rows=val_rows, test_rows=test_rows)
    return {"train": train_rows, "val": val_rows, "test": test_rows}
