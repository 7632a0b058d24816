"""Which static gates select: planted groups of targets, gates at fixed settings, many seeds.

``python -m benchmarks.selection [TARGETS ...]``. Each seed keeps its best epoch by validation loss
among those in which 99% of the rows use at most k experts. Intervals of differences are of the
paired t-test, not corrected for several comparisons.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import torch

from gatelab.gates.gate import gates
from gatelab.results.comparison.statistics import mean_interval, paired_t
from gatelab.tasks import SyntheticGroups
from gatelab.training.configuration import Configuration
from gatelab.training.goal import VAL_LOSS, Goal
from gatelab.training.jobs import Job
from gatelab.training.member import Member, Recipe
from gatelab.training.steps import Ending
from gatelab.training.work import Work

SEEDS = range(100, 108)
GATES: dict[str, dict[str, Any]] = {
    "oracle": {},
    "comet": dict(gates.get("comet").first_trial),
    "dselect_k": dict(gates.get("dselect_k").first_trial),
    "top_k": {"k": 2, "static": True},
    "top_k, noise": {"k": 2, "static": True, "noise": True},
    "random_k": {"k": 2},
}
TARGETS = (8, 16, 32, 64)
RECIPE = Recipe(batch_size=128, max_epochs=40)
ROWS = {"train_rows": 2048, "val_rows": 1024, "test_rows": 2048}
REFERENCES = ("random_k", "top_k", "top_k, noise", "oracle")


def main(*targets: int) -> None:
    """Print a table for each number of targets."""
    torch.set_num_threads(1)
    for number in targets or TARGETS:
        task = SyntheticGroups(num_targets=number, num_groups=4, **ROWS)
        print(f"\n{number} targets, {len(SEEDS)} seeds\n")
        print("| gate, static | test loss |", *(f" less `{r}`'s |" for r in REFERENCES), end="")
        print(" group agreement | F1 | sparse seeds |\n| --- |" + " ---: |" * 8, flush=True)
        found: dict[str, list[Ending]] = {}
        for name in reversed(GATES):  # the references first
            found[name] = _endings(task, name)
        for name in GATES:
            print(_line(name, found, number), flush=True)


def _endings(task: SyntheticGroups, name: str) -> list[Ending]:
    optimizer = {"name": "adam", "learning_rate": 0.01, "weight_decay": 0.0}
    configuration = Configuration.of(GATES[name], {"num_experts": 8}, optimizer)
    members = tuple(Member(configuration, seed) for seed in SEEDS)
    job = Job("evaluate", name, name.split(",")[0], members)
    work = Work(task, [job], RECIPE, goal=Goal(VAL_LOSS, False, 0.99))
    while (step := work.step()[0]).endings is None:
        pass
    return step.endings


def _line(name: str, found: Mapping[str, list[Ending]], targets: int) -> str:
    """Return a row of the table; losses are means over targets."""
    losses = _metric(found[name], "test/loss", targets)
    mean = mean_interval(losses)
    cells = [f"`{name}`", f"{mean.mean:.4f} ± {mean.high - mean.mean:.4f}"]
    for reference in REFERENCES:
        test = paired_t(losses, _metric(found[reference], "test/loss", targets))
        half = test.high - test.difference
        cells.append("" if reference == name else f"{test.difference:.4f} ± {half:.4f}")
    for key in ("gate/group_agreement", "gate/f1"):
        cells.append(f"{mean_interval(_metric(found[name], key)).mean:.2f}")
    sparse = sum(not ending.broken for ending in found[name])
    return f"| {' | '.join(cells)} | {sparse} of {len(SEEDS)} |"


def _metric(endings: list[Ending], key: str, share: int = 1) -> list[float]:
    return [ending.metrics[key] / share for ending in endings]


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
