"""Timing: rivals take turns, so that what else the machine does meets them all."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping


def medians(
    rivals: Mapping[str, Callable[[], object]], *, rounds: int = 15, calls: int = 5
) -> dict[str, float]:
    """Return each rival's median time a call, in seconds."""
    times: dict[str, list[float]] = {name: [] for name in rivals}
    for run in rivals.values():
        run()
    for _ in range(rounds):
        for name, run in rivals.items():
            started = time.perf_counter()
            for _ in range(calls):
                run()
            times[name].append((time.perf_counter() - started) / calls)
    return {name: statistics.median(values) for name, values in times.items()}


def report(title: str, ratio: float, target: str, **figures: str) -> None:
    """Print one line."""
    details = ", ".join(f"{name} {value}" for name, value in figures.items())
    print(f"{title}: {ratio:.2f} (target: {target}); {details}", flush=True)
