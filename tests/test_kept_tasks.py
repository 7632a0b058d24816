"""A worker makes a task's data once, also where jobs take turns between split seeds."""

from __future__ import annotations

from typing import Any

import torch

from gatelab.sweeps.worker.kept_tasks import KeptTasks
from gatelab.tasks import Split, SplitName, Target, Task
from gatelab.tasks.task import tasks

MADE: list[tuple[int, SplitName]] = []


class Counted(Task):
    """Has 10 rows a split, of 3 floats and a target each: 160 bytes."""

    targets = (Target("t", "regression"),)

    def __init__(self, split_seed: int = 0) -> None:
        self.split_seed = split_seed

    def __len__(self) -> int:
        return 0

    def split(self, name: SplitName) -> Split:
        MADE.append((self.split_seed, name))
        return Split(torch.zeros(10, 3), torch.zeros(10, 1))


def used(kept: KeptTasks, *seeds: int) -> list[tuple[int, SplitName]]:
    """Return what was made while jobs of these split seeds read train."""
    MADE.clear()
    for seed in seeds:
        kept.get("counted", {"split_seed": seed}).data("train")
    return list(MADE)


def test_data_are_made_once(monkeypatch: Any) -> None:
    monkeypatch.setitem(tasks._classes, "counted", Counted)
    assert Counted().made_bytes() == 0
    kept = KeptTasks()
    assert used(kept, 0, 1, 0, 1, 2, 0) == [(0, "train"), (1, "train"), (2, "train")]
    assert kept.get("counted", {"split_seed": 1}).made_bytes() == 160


def test_what_has_no_room_is_forgotten_but_for_the_newest(monkeypatch: Any) -> None:
    monkeypatch.setitem(tasks._classes, "counted", Counted)
    assert used(KeptTasks(kept_bytes=160), 0, 1, 0, 1) == [(0, "train"), (1, "train")]
    kept = KeptTasks(kept_bytes=320)
    assert used(kept, 0, 1, 2, 2, 1, 0) == [(0, "train"), (1, "train"), (2, "train")]
    assert used(kept, 3, 2) == [(3, "train"), (2, "train")]  # that asked for longest ago
    assert used(KeptTasks(kept_bytes=0), 0, 0, 1, 1) == [(0, "train"), (1, "train")]
