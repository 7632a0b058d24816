"""What a cost of the union of experts buys: ``python -m benchmarks.union``.

Gates of two experts a target, and the dense one, on 8 targets; each seed keeps its best epoch by
validation loss. Losses are means over targets.
"""

from __future__ import annotations

from typing import Any

import torch

from gatelab.results.comparison.statistics import mean_interval
from gatelab.tasks import SyntheticGroups
from gatelab.training.configuration import Configuration
from gatelab.training.goal import BY_LOSS
from gatelab.training.jobs import Job
from gatelab.training.member import Member, Recipe
from gatelab.training.steps import Ending
from gatelab.training.work import Work

TARGETS, SEEDS, WEIGHTS = 8, range(100, 105), (0.0, 0.03, 0.1, 0.3, 1.0, 3.0)
GATES: dict[str, tuple[str, dict[str, Any]]] = {
    "`top_k`, static": ("top_k", {"k": 2, "static": True}),
    "`top_k`, per example": ("top_k", {"k": 2}),
    "`softmax`, per example": ("softmax", {}),
}
COLUMNS = ("gate/experts_per_row", "val/loss", "test/loss")


def main() -> None:
    """Print a table: a row for each gate and weight."""
    torch.set_num_threads(1)
    task = SyntheticGroups(
        num_targets=TARGETS, num_groups=4, train_rows=1024, val_rows=512, test_rows=1024
    )
    print("| gate | `union_weight` | experts a row | val loss | test loss |")
    print("| --- |" + " ---: |" * 4)
    for name, (gate, options) in GATES.items():
        for weight in WEIGHTS:
            endings = _endings(task, gate, {**options, "union_weight": weight})
            cells = " | ".join(_cell(endings, key) for key in COLUMNS)
            print(f"| {name} | {weight:g} | {cells} |", flush=True)


def _endings(task: SyntheticGroups, gate: str, options: dict[str, Any]) -> list[Ending]:
    optimizer = {"name": "adam", "learning_rate": 0.01, "weight_decay": 0.0}
    configuration = Configuration.of(options, {"num_experts": 8}, optimizer)
    members = tuple(Member(configuration, seed) for seed in SEEDS)
    work = Work(task, [Job("evaluate", gate, gate, members)], Recipe(64, 30), goal=BY_LOSS)
    while (step := work.step()[0]).endings is None:
        pass
    return step.endings


def _cell(endings: list[Ending], key: str) -> str:
    share = 1 if key.startswith("gate/") else TARGETS
    found = mean_interval([ending.metrics[key] / share for ending in endings])
    digits = 2 if share == 1 else 4
    return f"{found.mean:.{digits}f} ± {found.high - found.mean:.{digits}f}"


if __name__ == "__main__":
    main()
