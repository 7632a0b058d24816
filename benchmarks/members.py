"""Eight members of a small model on one core: together against one after another."""

from __future__ import annotations

from functools import partial

import torch

from benchmarks.clock import medians, report
from gatelab.gates.gate import gates
from gatelab.tasks import DigitsPairs, SyntheticGroups, Task
from gatelab.training.configuration import Configuration
from gatelab.training.member import Member, Recipe
from gatelab.training.train import Training

MEMBERS = 8


def main() -> None:
    """Print the ratio for each bundled gate and task."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    tasks: dict[str, Task] = {
        "digits_pairs": DigitsPairs(train_rows=2048, val_rows=256),
        "synthetic_groups": SyntheticGroups(train_rows=2048, val_rows=256),
    }
    for name, task in tasks.items():
        for gate in ("softmax", "dselect_k"):
            together = _training(task, gate, range(MEMBERS))
            alone = [_training(task, gate, [seed]) for seed in range(MEMBERS)]
            rivals = {"together": partial(together.loop.run, 0), "alone": partial(_all, alone)}
            times = medians(rivals, rounds=7, calls=1)
            figures = {rival: f"{seconds:.3f} s" for rival, seconds in times.items()}
            ratio = times["together"] / times["alone"]
            report(f"members: {MEMBERS} of {name} with {gate}", ratio, "<= 1", **figures)
    torch.set_num_threads(threads)


def _training(task: Task, gate: str, seeds: range | list[int]) -> Training:
    optimizer = {"name": "adam", "learning_rate": 1e-3, "weight_decay": 0.0}
    configuration = Configuration.of({}, {"num_experts": 8}, optimizer)
    members = [Member(configuration, seed) for seed in seeds]
    return Training(task, gates.get(gate), members, Recipe(256, 100))


def _all(trainings: list[Training]) -> None:
    for training in trainings:
        training.loop.run(0)
