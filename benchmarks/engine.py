"""Members that train together: steps a second by their number, and a sweep against one by one.

And what a step gains of being repeated without the Python code that leads to its operations.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gatelab.sweeps.driver.tune.ray_jobs  # noqa: F401 - sets Ray's environment, so before ray

# isort: split
import numpy as np
import pyarrow as pa
import ray
import torch

from benchmarks.clock import medians, report
from benchmarks.gpu_models import Films, Pictures
from benchmarks.stepping import stepper
from gatelab import launch
from gatelab.gates.gate import gates
from gatelab.sweeps.cluster.joining import join
from gatelab.sweeps.cluster.sizing import ON_CPU
from gatelab.sweeps.spec.reading import parse_spec
from gatelab.tasks import DigitsPairs, SyntheticGroups, Table, Task
from gatelab.training.call_replay import CallReplay
from gatelab.training.configuration import Configuration
from gatelab.training.member import Member, Recipe
from gatelab.training.train import Training

WIDTHS = (1, 4, 8, 16, 32)
FEW = (1, 4, 8)
"""Of models of which a step takes a tenth of a second and more."""
TRIALS, TURNS = 20, 3
"""Of each of three gates, and how often each way of training them has its turn."""
BATCH = 256
WRITTEN = CallReplay.eager + 2
"""Steps until one has been written down and tried."""


def main() -> None:
    """Print member-steps a second on one core, and a sweep's time against one trial a job."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    for name, task in _tasks().items():
        for gate in ("softmax", "dselect_k"):
            _steps(name, task, gate, WIDTHS)
            _repeated(name, task, gate)
    _repeated("a table", _table(), "dselect_k")
    for name, task in (("a table", _table()), ("films", Films(sparse=True))):
        _steps(name, task, "dselect_k", FEW)
    _steps("pictures", Pictures(), "dselect_k", FEW[:2], rounds=3, calls=1)
    torch.set_num_threads(threads)
    _sweeps()


def _tasks() -> dict[str, Task]:
    return {
        "digits_pairs": DigitsPairs(train_rows=2048, val_rows=256),
        "synthetic_groups, 16 targets": SyntheticGroups(
            num_targets=16, num_groups=4, train_rows=2048, val_rows=256
        ),
    }


def _table() -> Task:
    """Return a table of ten numbers, ten categories and two targets."""
    draw, rows = np.random.default_rng(0), 4096
    columns: dict[str, Any] = {f"number_{i}": draw.normal(size=rows) for i in range(10)}
    columns |= {f"word_{i}": draw.choice([*"abcdefgh"], size=rows) for i in range(10)}
    columns["sum"] = columns["number_0"] + columns["number_1"]
    columns["likes"] = np.where(columns["word_0"] < "e", "yes", "no")
    return Table(pa.table(columns), targets={"sum": "regression", "likes": "binary"})


def _steps(
    name: str, task: Task, gate: str, widths: Sequence[int], rounds: int = 9, calls: int = 3
) -> None:
    trainings = {width: _training(task, gate, width) for width in widths}
    rivals = {str(width): stepper(training) for width, training in trainings.items()}
    times = medians(rivals, rounds=rounds, calls=calls)
    rates = {width: int(width) / seconds for width, seconds in times.items()}
    for width in map(str, widths[1:]):
        report(
            f"engine: {width} members of {name} with {gate} / alone, member-steps a second",
            rates[width] / rates["1"],
            ">= 1",
            together=f"{rates[width]:.0f}",
            alone=f"{rates['1']:.0f}",
        )


def _repeated(name: str, task: Task, gate: str) -> None:
    """Compare steps that are repeated with those that are taken as they come."""
    for width in (1, ON_CPU):
        rivals = {
            "repeated": stepper(_training(task, gate, width)),
            "as it comes": stepper(_training(task, gate, width), records=False),
        }
        for _ in range(WRITTEN):
            rivals["repeated"]()
        times = medians(rivals, rounds=9, calls=20)
        report(
            f"engine: a step of {width} of {name} with {gate}, repeated / as it comes",
            times["repeated"] / times["as it comes"],
            "<= 1",
            repeated=f"{1e3 * times['repeated']:.1f} ms",
            eager=f"{1e3 * times['as it comes']:.1f} ms",
        )


def _training(task: Task, gate: str, width: int) -> Training:
    optimizer = {"name": "adam", "learning_rate": 1e-3, "weight_decay": 0.0}
    configuration = Configuration.of({}, {"num_experts": 8}, optimizer)
    members = [Member(configuration, seed) for seed in range(width)]
    return Training(task, gates.get(gate), members, Recipe(BATCH, 1000))


def _sweeps() -> None:
    """Launch a sweep of 60 trials with and without it, in turns, on a warm Ray."""
    with tempfile.TemporaryDirectory() as folder:
        join()
        _sweep(Path(folder), "warm", ON_CPU, trials=2)
        times: dict[int, list[float]] = {1: [], ON_CPU: []}
        for turn in range(TURNS):
            for members, found in times.items():
                found.append(_sweep(Path(folder), f"{members}-{turn}", members))
        ray.shutdown()
    alone, together = (sorted(found)[TURNS // 2] for found in times.values())
    report(
        f"engine: a sweep of {3 * TRIALS} trials, {ON_CPU} members at once / 1",
        together / alone,
        "<= 1",
        together=f"{together:.1f} s",
        alone=f"{alone:.1f} s",
    )


def _sweep(folder: Path, name: str, members: int, trials: int = TRIALS) -> float:
    """Return the seconds that a sweep takes."""
    spec = parse_spec(
        {
            "name": name,
            "task": {"name": "digits_pairs", "train_rows": 3000},
            "model": {"num_experts": 8},
            "gates": ["softmax", "top_k", "dselect_k"],
            "baselines": False,
            "training": {"max_epochs": 12, "batch_size": BATCH},
            "optimizer": {"learning_rate": {"low": 5e-4, "high": 1e-2, "log": True}},
            "search": {"trials": trials, "sampler": "random"},
            "evaluation": {"seeds": 2},
            "resources": {"members": members},
        }
    )
    started = time.perf_counter()
    launch(spec, folder=folder)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
