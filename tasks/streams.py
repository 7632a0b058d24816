"""Random streams of a task's data: one for each split, and one for what they have in common."""

from __future__ import annotations

from typing import Literal

import numpy as np

from gatelab.tasks.task import SplitName

_STREAMS = {"common": 0, "train": 1, "val": 2, "test": 3}


def stream(name: SplitName | Literal["common"], seed: int) -> np.random.Generator:
    """Return the stream of a split, or of what all splits follow from, at its beginning.

    Args:
        name: Of the split, or ``common``.
        seed: The task's, at least 0.
    """
    return np.random.default_rng([_STREAMS[name], seed])
