"""What a result and a trial cost the driver: 10,000 trials that only report, 32 at once.

All is real but the training: Ray's workers, Tune's loop, Optuna's studies, the record, MLflow on
SQLite. Run it as ``python -m benchmarks.scale [TRIALS [GATES [SAMPLER]]]``; it takes half an hour.
"""

from __future__ import annotations

import cProfile
import functools
import os
import resource
import logging
import random
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import sweeps.tuning

# isort: split
import ray
import torch

from benchmarks.store import KEYS
from sweeps import launch
from sweeps.display import Display
from sweeps.jobs import Job
from sweeps.load import parse_spec
from sweeps.record import Record
from sweeps.studies import Study
from sweeps.sweep import Sweep
from sweeps.work import STATE, Ending, Step
from tracking.recorder import Recorder

PROFILE = os.environ.get("PROFILE")
TRIALS, GATES, SAMPLER = 10_000, 20, "tpe"
SLICES = (100, 1000, 2500, 5000, 7500, 10_000)
CORES, AT_ONCE = 2, 32
EPOCHS, RUNG = 6, 5
"""One epoch a result; two of three trials are pruned at the rung, so that a trial has 5.3."""
PARTS: Mapping[str, Mapping[type, tuple[str, ...]]] = {
    "search": {Study: ("ask", "report", "tell", "keep_state", "mark", "selected")},
    "record": {Record: ("started", "progressed", "ended", "gate_ended")},
    "display": {Display: ("started", "progressed", "ended", "gate_ended")},
    "delivery": {Recorder: ("_deliver",)},
}
"""Whose calls are timed; what is left of the driver's own thread is Ray Tune's loop."""


class Reports:
    """Stands for :class:`sweeps.work.Work`: each step reports an epoch at once."""

    def __init__(self, job: Job) -> None:
        self.job, self.epoch = job, 0
        self.random = random.Random(job.members[0].seed)
        rate = job.members[0].configuration.optimizer["learning_rate"]
        self.loss = abs(rate - 0.003) + 0.01 * self.random.random()

    def step(self) -> Step:
        self.epoch += 1
        loss = self.loss + 1 / self.epoch
        members = range(len(self.job.members))
        epochs = [(member, self.epoch, self._metrics(loss)) for member in members]
        endings = [self._ending(loss) for _ in members] if self.epoch == EPOCHS else None
        return Step(self.epoch, loss, epochs, endings)

    def _metrics(self, loss: float) -> dict[str, float]:
        return {key: self.random.random() for key in KEYS} | {"val/loss": loss}

    def _ending(self, loss: float) -> Ending:
        return Ending("finished", f"all {EPOCHS} epochs", EPOCHS, loss, self._metrics(loss))

    def save(self, folder: Path) -> None:
        torch.save({"epoch": self.epoch}, folder / STATE)

    def restore(self, state: Mapping[str, Any]) -> None:
        self.epoch = state["epoch"]

    def save_model(self, path: Path) -> None:
        torch.save({}, path)


class Reporter(sweeps.tuning.Worker):
    """A worker that reports only."""

    def _begin(self) -> Any:
        work = Reports(self.job)
        if self.saved is not None:
            work.restore(self.saved)
        return work


class Meter:
    """Sums up what the driver computes, and prints it after so many trials."""

    def __init__(self, slices: tuple[int, ...]) -> None:
        self.slices = list(slices)
        self.spent: Counter[str] = Counter()
        self.counted: Counter[str] = Counter()
        self.before: Counter[str] = Counter()
        self.wall = time.perf_counter()

    def measure(self, part: str, cls: type, name: str) -> None:
        """Time a method, without what other timed methods take inside it."""
        method: Callable[..., Any] = getattr(cls, name)

        @functools.wraps(method)
        def timed(*arguments: Any, **named: Any) -> Any:
            started, others = time.thread_time(), self._own()
            try:
                return method(*arguments, **named)
            finally:
                nested = self._own() - others if part != "delivery" else 0.0
                self.spent[part] += time.thread_time() - started - nested

        setattr(cls, name, timed)

    def _own(self) -> float:
        return self.spent["search"] + self.spent["record"] + self.spent["display"]

    def take(self) -> None:
        """Start to count."""
        progress, end = Sweep.progress, Sweep._end

        @functools.wraps(progress)
        def counted(sweep: Sweep, job: Job, step: Step) -> bool:
            self.counted["results"] += 1
            return progress(sweep, job, step)

        @functools.wraps(end)
        def ended(sweep: Sweep, job: Job, endings: Any) -> None:
            end(sweep, job, endings)
            self.counted["trials"] += job.stage == "search"
            if self.slices and self.counted["trials"] >= self.slices[0]:
                self.slices.pop(0)
                self.print()

        Sweep.progress, Sweep._end = counted, ended  # type: ignore[method-assign]
        self.before = self._now()

    def _now(self) -> Counter[str]:
        now = self.spent + self.counted
        now["process"], now["thread"] = time.process_time(), time.thread_time()
        now["wall"] = time.perf_counter()
        return now

    def print(self) -> None:
        now = self._now()
        used = {key: now[key] - self.before[key] for key in now}
        self.before = now
        used["loop"] = used["thread"] - sum(used.get(p, 0) for p in ("search", "record", "display"))
        used["ray"] = used["process"] - used["thread"] - used.get("delivery", 0)
        results, trials = max(used["results"], 1), max(used["trials"], 1)
        parts = ", ".join(
            f"{part} {1e3 * used.get(part, 0) / results:.2f}"
            for part in (
                "thread",
                "loop",
                "search",
                "record",
                "display",
                "delivery",
                "ray",
                "process",
            )
        )
        print(
            f"to {now['trials']:6.0f}: {results / trials:.2f} results a trial; ms a result: {parts};"
            f" a trial {1e3 * used['process'] / trials:.1f}; {used['wall']:.0f} s; {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB",
            flush=True,
        )


def spec(trials: int, gates: int, sampler: str) -> Any:
    return parse_spec(
        {
            "name": "scale",
            "task": {"name": "synthetic_groups", "train_rows": 64, "val_rows": 64, "test_rows": 64},
            "gates": {
                f"gate_{i}": {
                    "gate": "dselect_k",
                    "k": 2,
                    "gamma": {"low": 0.01, "high": 10, "log": True},
                }
                for i in range(gates)
            },
            "optimizer": {"learning_rate": {"low": 1e-4, "high": 1e-2, "log": True}},
            "training": {"max_epochs": EPOCHS, "patience": None},
            "search": {
                "trials": trials // gates,
                "sampler": sampler,
                "early_stopping": {"grace_epochs": RUNG, "reduction_factor": 3},
            },
            "evaluation": {"seeds": 2},
            "resources": {"cpus": CORES / AT_ONCE},
        }
    )


def main(trials: int = TRIALS, gates: int = GATES, sampler: str = SAMPLER) -> None:
    """Print what a result and a trial cost, after more and more trials."""
    warnings.filterwarnings("ignore", category=FutureWarning)
    meter = Meter(SLICES)
    for part, classes in PARTS.items():
        for cls, names in classes.items():
            for name in names:
                meter.measure(part, cls, name)
    sweeps.tuning.Worker = Reporter  # type: ignore[misc]
    with tempfile.TemporaryDirectory() as folder:
        ray.init(
            num_cpus=CORES,
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
        meter.take()
        if PROFILE:
            profile = cProfile.Profile(time.thread_time)
            profile.enable()
        launch(spec(trials, gates, sampler), folder=folder)
        if PROFILE:
            profile.disable()
            profile.dump_stats(PROFILE)
        meter.print()
        ray.shutdown()


if __name__ == "__main__":
    given = sys.argv[1:]
    main(*map(int, given[:2]), *given[2:])
