"""Even parts: what trains together where there are more members than should."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise


def even_parts(numbers: Sequence[int], width: int) -> list[Sequence[int]]:
    """Return numbers in order, in as few parts of at most ``width`` as there can be.

    All are as large as the others or one more, so that none is alone for want of a place.
    """
    parts = math.ceil(len(numbers) / width)
    ends = [len(numbers) * part // parts for part in range(parts + 1)]
    return [numbers[start:end] for start, end in pairwise(ends)]
