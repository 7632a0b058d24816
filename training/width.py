"""How many members are worth training at once on a device: tried, doubling while it gains."""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice, pairwise

import torch

from gatelab.training.loop import Loop
from gatelab.training.train import Training

MOST_MEMBERS = 256
"""Members of a small model that fill a large GPU."""
GAIN = 1.1
"""Times as many member-steps a second, for which twice as many members are worth it."""
FILLED = 0.8
"""Of the memory that there is: scores take some beside the steps."""
WARM, TIMED = 4, 6
"""Steps that are taken first, of which a GPU records the third, and then timed."""


@dataclass(frozen=True)
class Pace:
    """What so many members at once came to."""

    members: int
    rate: float
    """Member-steps a second: on a GPU by the clock, on a CPU of computing."""
    memory: int
    """Bytes of a GPU's memory at most; 0 on a CPU."""


def try_widths(
    make: Callable[[int], Training], device: torch.device, most: int, room: float = math.inf
) -> list[Pace]:
    """Take a few steps with 1, 2, 4, ... members, while twice as many fit and are worth it.

    Args:
        make: Returns a fresh training of so many members, which is thrown away.
        device: Where they train.
        most: Members that there is a use for, at least 1.
        room: Bytes of the device's memory that there are for them.
    """
    tried = [_try(make, device, 1)]
    while _is_worth_more(tried) and 2 * tried[-1].members <= most:
        if 2 * tried[-1].memory > FILLED * room:
            break
        try:
            tried.append(_try(make, device, 2 * tried[-1].members))
        except torch.OutOfMemoryError:
            break
    return tried


def width_of(tried: list[Pace]) -> int:
    """Return the most members of those that were tried which were worth it."""
    return (tried[-1] if _is_worth_more(tried) else tried[-2]).members


def _is_worth_more(tried: list[Pace]) -> bool:
    return all(more.rate >= GAIN * fewer.rate for fewer, more in pairwise(tried[-2:]))


def _try(make: Callable[[int], Training], device: torch.device, members: int) -> Pace:
    on_gpu = device.type == "cuda"
    if on_gpu:
        gc.collect()  # the training before, whose parts refer to one another
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
    loop = make(members).loop
    with loop.drawing(0):
        steps = _steps(loop, on_gpu)
        seconds = [*islice(steps, WARM + TIMED)][WARM:]
    memory = torch.cuda.max_memory_reserved(device) if on_gpu else 0
    return Pace(members, members / min(seconds), memory)


def _steps(loop: Loop, on_gpu: bool) -> Iterator[float]:
    """Take steps of full size, pass after pass; yield the seconds of each."""
    loop.model.train()
    size = min(loop.passage.size, loop.passage.rows_in_all)
    while True:
        loop.begin_pass(0)
        for _ in range(loop.passage.rows_in_all // size):
            started = _now(on_gpu)
            loop.step(size)
            yield _now(on_gpu) - started


def _now(on_gpu: bool) -> float:
    """Return seconds, which others' work on the machine does not change more than it must."""
    if not on_gpu:
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()
