"""Steps: what work reports of a job, as plain values that any process can read."""

from __future__ import annotations

import math
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from gatelab.foreign import text_of
from gatelab.rules import as_line
from gatelab.training.jobs import Job

TRACE, TRACE_LINE = 20_000, 2_000
"""Characters of a traceback that are kept, half of them its first, and of a frame or message."""
LONGEST_REASON = 500
"""Of what an error says."""
Epochs = list[tuple[int, int, dict[str, float]]]
"""Member, epoch and metrics."""


@dataclass
class Ending:
    """What became of a member, at the weights that it keeps."""

    end: str
    reason: str
    epoch: int
    objective: float
    """Of the weights that it keeps."""
    broken: bool = False
    """Whether these break what the goal requires."""
    metrics: dict[str, float] = field(default_factory=dict)
    by_target: dict[str, dict[str, float]] = field(default_factory=dict)
    """The scores of each target, in the evaluation only."""
    weights: list[list[float]] = field(default_factory=list)
    """The mean weights (targets, num_experts), in the evaluation only."""
    load: list[list[float]] = field(default_factory=list)
    """The share of examples that use each expert, like ``weights``."""
    test_to_train: float = 0.0
    """In the evaluation the test split's rows over the train split's, as the task counts them; 0
    where another split seed draws other rows."""
    test_rows: int = 0
    """In the evaluation the rows of the test split."""
    trace: str = ""
    """The traceback, where an error ended it."""
    trained: int = 0
    """Of a trial the epochs that its members trained, added up; of one member 0."""


@dataclass
class Step:
    """What a step of work reports: plain values, which any process can read."""

    epoch: int
    """Epochs done."""
    objective: float
    """The best of a trial so far, the mean over its members; not finite before any."""
    broken: bool
    """Whether any of the weights that gave it break what the goal requires."""
    epochs: Epochs
    """Of this step."""
    endings: list[Ending] | None
    """One a member, of a trial one for all, when all have ended."""
    notes: list[str] = field(default_factory=list)
    """What the training could not do as usual, a line each."""
    trained: int = 0
    """Epochs that all members of the job have trained, added up."""
    seconds: float = 0.0
    """For which a member of it has trained, the mean over them."""
    scores: dict[str, float] = field(default_factory=dict)
    """Of a trial those of the weights that its members keep so far, the means over them."""


class Trial:
    """Tells several members of one configuration as one: the means over them.

    A member that has stopped counts with its last metrics, so that no epoch is a mean over fewer.
    """

    def __init__(self) -> None:
        """Begin before the first epoch."""
        self.last: dict[int, dict[str, float]] = {}

    def epoch(self, metrics: Mapping[int, dict[str, float]]) -> dict[str, float]:
        """Return the means after an epoch of the members that still train."""
        self.last |= metrics
        return means(list(self.last.values()))

    def ending(self, endings: Sequence[Ending]) -> Ending:
        """Return how the trial ended: it fails with any of its members."""
        trained = sum(ending.epoch for ending in endings)
        failed = [ending for ending in endings if ending.end == "failed"]
        if failed:
            return replace(failed[0], trained=trained)
        last = max(endings, key=lambda ending: ending.epoch)
        return Ending(
            last.end,
            last.reason,
            last.epoch,
            float(np.mean([ending.objective for ending in endings])),
            any(ending.broken for ending in endings),
            means([ending.metrics for ending in endings]),
            trained=trained,
        )


def means(metrics: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the mean of each metric over those that have it."""
    if len(metrics) == 1:  # as most trials are
        return dict(metrics[0])
    names = dict.fromkeys(name for found in metrics for name in found)
    return {name: float(np.mean([m[name] for m in metrics if name in m])) for name in names}


def failed(error: BaseException, job: Job) -> Step:
    """Return the step of a job that an error ended."""
    return Step(0, math.inf, True, [], [ended_by(error)] * job.told)


def ended_by(error: BaseException) -> Ending:
    """Return the end of a member that an error ended."""
    cls, text = type(error).__name__, as_line(text_of(error), LONGEST_REASON)
    reason = f"{cls}: {text}" if text else cls
    return Ending("failed", reason, 0, math.inf, broken=True, trace=_trace(error))


def _trace(error: BaseException) -> str:
    """Return a traceback in which no message, however long, leaves no room for the places."""
    parts = traceback.format_exception(error)
    text = "".join(p if len(p) <= TRACE_LINE else f"{p[:TRACE_LINE]}...\n" for p in parts)
    half = TRACE // 2
    return text if len(text) <= TRACE else f"{text[:half]}\n...\n{text[-half:]}"
