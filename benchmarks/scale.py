"""What a result and a trial cost the driver: 10,000 trials that only report, 32 at once.

All but the training is real: Ray's workers, Tune's loop, Optuna's studies, the record, MLflow on
SQLite. ``python -m benchmarks.scale [TRIALS [GATES [SAMPLER [EPOCHS]]]]`` runs it: from two numbers
of epochs follows what of a trial's cost is its results'.
"""

from __future__ import annotations

import functools
import logging
import random
import resource
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import gatelab.sweeps.driver.tune.ray_jobs  # sets Ray's environment, so before ray

# isort: split
import ray
import torch

from benchmarks.store import KEYS
from gatelab import launch
from gatelab.sweeps.driver.display import Display
from gatelab.sweeps.driver.record.record import Record
from gatelab.sweeps.driver.sweep import Sweep
from gatelab.sweeps.search.study import Study
from gatelab.sweeps.spec.reading import parse_spec
from gatelab.sweeps.spec.spec import Spec
from gatelab.sweeps.worker.worker import Worker
from gatelab.training.jobs import Job
from gatelab.training.states import STATE_FILE
from gatelab.training.steps import Ending, Step

TRIALS, GATES, SAMPLER = 10_000, 20, "tpe"
"""500 trials a gate, as in the protocol that DSelect-k was published with."""
SLICES = (100, 1000, 2500, 5000, 7500, 10_000)
"""After so many trials a line is printed; the first has the start of the workers in it."""
CORES, AT_ONCE = 2, 32
EPOCHS = 6
"""Every result is one epoch of 20 metrics. Half of the trials are pruned before the last one."""
EVENTS = ("started", "progressed", "ended", "gate_ended")
PARTS: Mapping[str, Mapping[type, tuple[str, ...]]] = {
    "search": {Study: ("ask", "arrive", "lost", "tell", "keep_state", "mark", "selected")},
    "record": {Record: EVENTS, Display: EVENTS},
}
"""The methods of each part of the driver. Tune's loop is what else its own thread does."""
COLUMNS = ("loop", "search", "record", "driver", "delivery", "ray")


def main(
    trials: int = TRIALS, gates: int = GATES, sampler: str = SAMPLER, epochs: int = EPOCHS
) -> None:
    """Print what a result and a trial cost, after more and more trials."""
    meter = Meter()
    meter.watch()
    gatelab.sweeps.driver.tune.ray_jobs.Worker = Reporter  # type: ignore[misc]
    with tempfile.TemporaryDirectory() as folder:
        ray.init(
            "local",
            num_cpus=CORES,
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
        print("ms a result:", *(f"{column:>8}" for column in COLUMNS), " results  ms a trial  MiB")
        launch(_spec(trials, gates, sampler, epochs), folder=folder)
        meter.report("the end")
        ray.shutdown()


def _spec(trials: int, gates: int, sampler: str, epochs: int) -> Spec:
    gate = {"gate": "dselect_k", "k": 2, "gamma": {"low": 0.01, "high": 10, "log": True}}
    return parse_spec(
        {
            "name": "scale",
            "task": "synthetic_groups",  # which no worker makes
            "gates": {f"gate_{number}": gate for number in range(gates)},
            "baselines": False,
            "optimizer": {"learning_rate": {"low": 1e-4, "high": 1e-2, "log": True}},
            "training": {"max_epochs": epochs, "patience": None},
            "search": {
                "trials": trials // gates,
                "sampler": sampler,
                "early_stopping": {"grace_epochs": epochs - 1, "reduction_factor": 2},
            },
            "evaluation": {"seeds": 2},
            "resources": {"cpus": CORES / AT_ONCE},
        }
    )


class Reports:
    """Stands for :class:`gatelab.training.work.Work`: a step reports an epoch at once."""

    def __init__(self, jobs: Sequence[Job], epochs: int) -> None:
        self.jobs, self.epochs, self.epoch = jobs, epochs, 0
        self.random = random.Random(jobs[0].members[0].seed)
        rate = jobs[0].members[0].configuration.optimizer["learning_rate"]
        self.loss = abs(rate - 0.003) + 0.01 * self.random.random()

    def step(self) -> list[Step]:
        self.epoch += 1
        return [self._step(range(job.told)) for job in self.jobs]

    def _step(self, members: Sequence[int]) -> Step:
        epochs = [(member, self.epoch, self._metrics()) for member in members]
        endings = [self._ending() for _ in members] if self.epoch == self.epochs else None
        return Step(self.epoch, self.loss, False, epochs, endings)

    def _metrics(self) -> dict[str, float]:
        return {key: self.random.random() for key in KEYS} | {"val/loss": self.loss}

    def _ending(self) -> Ending:
        metrics = self._metrics()
        return Ending("finished", "reached max_epochs", self.epoch, self.loss, metrics=metrics)

    def save(self, folder: Path, key: str | None = None) -> None:
        states = {job.key: {"epoch": self.epoch} for job in self.jobs if key in (None, job.key)}
        torch.save(states, folder / STATE_FILE)

    def restore(self, states: Mapping[str, Any]) -> None:
        self.epoch = states[self.jobs[0].key]["epoch"]

    def save_model(self, path: Path) -> None:
        torch.save({}, path)


class Reporter(Worker):
    """A worker whose jobs only report."""

    def _begin(self) -> Any:
        work = Reports(self.jobs, self.setting.recipe.max_epochs)
        if self.saved is not None:
            work.restore(self.saved)
        return work


class Meter:
    """Sums up the CPU time of the driver's parts, and prints it from time to time."""

    def __init__(self) -> None:
        self.sums: dict[str, float] = defaultdict(float)
        self.reported = self._now()
        self.slices = list(SLICES)

    def watch(self) -> None:
        """Measure every call of the parts' methods from now on."""
        for part, classes in PARTS.items():
            for cls, names in classes.items():
                for name in names:
                    setattr(cls, name, self._timed(part, getattr(cls, name)))
        self._count(Sweep, "progress", "results", lambda job: 1)
        self._count(Sweep, "_end_trial", "trials", lambda job: 1)

    def _timed(self, part: str, method: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(method)
        def timed(*arguments: Any, **named: Any) -> Any:
            started, others = time.thread_time(), sum(map(self.sums.__getitem__, PARTS))
            try:
                return method(*arguments, **named)
            finally:
                others = sum(map(self.sums.__getitem__, PARTS)) - others
                self.sums[part] += time.thread_time() - started - others

        return timed

    def _count(self, cls: type, name: str, what: str, number: Callable[[Job], int]) -> None:
        method = getattr(cls, name)

        @functools.wraps(method)
        def counted(owner: object, job: Job, *arguments: Any) -> Any:
            answer = method(owner, job, *arguments)
            self.sums[what] += number(job)
            self._see_delivery()
            if self.slices and self.sums["trials"] >= self.slices[0]:
                self.report(f"to {self.slices.pop(0):,}")
            return answer

        setattr(cls, name, counted)

    def _see_delivery(self) -> None:
        """Read the clock of the thread that delivers, which is gone when the sweep has ended."""
        for thread in threading.enumerate():
            if thread.name == "recorder" and thread.ident is not None:
                clock = time.pthread_getcpuclockid(thread.ident)
                self.sums["delivery"] = time.clock_gettime(clock)

    def _now(self) -> dict[str, float]:
        self._see_delivery()
        threads = {"driver": time.thread_time(), "process": time.process_time()}
        return {
            **dict.fromkeys((*COLUMNS, "results", "trials"), 0.0),
            **self.sums,
            **threads,
        }

    def report(self, title: str) -> None:
        """Print the means since the last report; at the end the sum, in seconds."""
        now = self._now()
        used = {key: now[key] - self.reported[key] for key in now}
        self.reported = now
        if not used["trials"]:
            print(f"{title}: {used['process']:.1f} s, {_mebibytes():.0f} MiB")
            return
        used["loop"] = used["driver"] - used["search"] - used["record"]
        used["ray"] = used["process"] - used["driver"] - used["delivery"]
        each = (f"{1e3 * used[column] / used['results']:8.2f}" for column in COLUMNS)
        trial, results = 1e3 * used["driver"] / used["trials"], used["results"] / used["trials"]
        print(
            f"{title:>11}:", *each, f"{results:8.2f} {trial:11.1f} {_mebibytes():4.0f}", flush=True
        )


def _mebibytes() -> float:
    """Return the most memory that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    given = dict(enumerate(sys.argv[1:]))
    main(
        int(given.get(0, TRIALS)),
        int(given.get(1, GATES)),
        given.get(2, SAMPLER),
        int(given.get(3, EPOCHS)),
    )
