"""What is measured of a call on a GPU: time, launches, waits, and its replay as a graph."""

from __future__ import annotations

import statistics
import time
import warnings
from collections.abc import Callable

import torch

CUDA = torch.cuda.is_available()
DEVICE = "cuda" if CUDA else "cpu"


def _wait() -> None:
    if CUDA:
        torch.cuda.synchronize()


def milliseconds(call: Callable[[], object]) -> float:
    """Return the median of five rounds, each of which ends with one wait for the device."""
    for _ in range(3 if CUDA else 1):
        call()
    _wait()
    started = time.perf_counter()
    call()
    _wait()
    number = max(1, int(0.12 / max(time.perf_counter() - started, 1e-5))) if CUDA else 1
    return 1e3 * statistics.median(timed(call, number) for _ in range(5 if CUDA else 1))


def timed(call: Callable[[], object], number: int) -> float:
    """Return the seconds of a call, the mean of so many."""
    started = time.perf_counter()
    for _ in range(number):
        call()
    _wait()
    return (time.perf_counter() - started) / number


def launches(call: Callable[[], object]) -> tuple[int, float]:
    """Return how many kernels and copies a call launches, and their ms on the device."""
    if not CUDA:
        return 0, 0.0
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CUDA]) as found:
        call()
        _wait()
    events = [e for e in found.events() or [] if e.device_type == torch.autograd.DeviceType.CUDA]
    return len(events), sum(event.device_time_total for event in events) / 1e3


def waits(call: Callable[[], object]) -> int:
    """Return how often a call waits for the device."""
    if not CUDA:
        return 0
    torch.cuda.set_sync_debug_mode("warn")
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        call()
    torch.cuda.set_sync_debug_mode("default")
    return sum("synchroniz" in str(warning.message) for warning in found)
