"""Timing: rivals take turns, so that what else the machine does meets them all."""

from __future__ import annotations

import multiprocessing
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from multiprocessing.connection import Connection


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


class Elsewhere:
    """Runs a function in a process of its own, whose settings and memory are not this one's."""

    def __init__(self, make: Callable[[], Callable[[], object]]) -> None:
        """Start the process, which makes the function; ``make`` is a module's own function."""
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(make, theirs), daemon=True)
        self.process.start()

    def __call__(self) -> None:
        """Run the function once, and wait for it."""
        self.pipe.send(None)
        self.pipe.recv()


def _serve(make: Callable[[], Callable[[], object]], pipe: Connection) -> None:
    run = make()
    with suppress(EOFError):  # which is how the other end says that it is done
        while True:
            pipe.recv()
            run()
            pipe.send(None)


def report(title: str, ratio: float, target: str, **figures: str) -> None:
    """Print one line."""
    details = ", ".join(f"{name} {value}" for name, value in figures.items())
    print(f"{title}: {ratio:.2f} (target: {target}); {details}", flush=True)


def measured(module: str, *arguments: str) -> tuple[float, str]:
    """Return the seconds of CPU and the output of a module in a process of its own."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", module, *arguments]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        sys.exit(f"`{' '.join(command)}` failed:\n{result.stdout}{result.stderr}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return cpu, result.stdout
