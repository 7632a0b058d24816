"""Time that was spent: members that fail have trained too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from gatelab.tracking.schema import Metrics
from gatelab.training.steps import Ending


def with_seconds(endings: Sequence[Ending], mean: float) -> list[Ending]:
    """Return endings of which also those without scores tell for how long was trained.

    They share what the others leave of the time of all.

    Args:
        endings: Of a job's members, of a trial one for all.
        mean: For how long a member of the job has trained; 0 where nobody knows.
    """
    key = Metrics.TRAIN_SECONDS
    told = [ending.metrics[key] for ending in endings if key in ending.metrics]
    left = mean * len(endings) - sum(told)
    if len(told) == len(endings) or left <= 0:
        return [*endings]
    own = {key: left / (len(endings) - len(told))}
    return [replace(ending, metrics={**own, **ending.metrics}) for ending in endings]
