"""A task of one learned number: small enough to work out by hand what training makes of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from gatelab.tasks import Network, Split, SplitName, Target, Task
from gatelab.training.configuration import Configuration
from gatelab.training.member import Member

Row = tuple[float, float, float]
"""The input and the two targets; NaN where a target is not known."""
UNKNOWN = math.nan
START = 4.0
"""The weight before training."""
VAL: list[Row] = [(1, 1, 2), (2, 1, 5), (3, UNKNOWN, 5)]
TEST: list[Row] = [(1, 1, UNKNOWN), (2, UNKNOWN, 6), (2, 0, 4)]
TRAIN: list[Row] = [
    *[(1, 2, UNKNOWN), (2, UNKNOWN, 3), (-1, 1, 1), (0.5, UNKNOWN, UNKNOWN)],
    *[(3, 4, 2), (-2, 0, UNKNOWN), (1, UNKNOWN, 2), (0, 1, 1)],
    *[(1.5, 1, 1), (-0.5, UNKNOWN, 3), (2, 2, UNKNOWN)],
]
BATCH = 4
"""So the last batch has three rows."""


def one_weight(value: float = START) -> nn.Module:
    layer = nn.Linear(1, 1, bias=False)
    nn.init.constant_(layer.weight, value)
    return layer


class Scaled(Task):
    """Two targets, both of them estimated as weight times input."""

    targets = (Target("light", "regression", weight=0.1), Target("heavy", "regression", weight=0.9))

    def __init__(self, val: Sequence[Row] = VAL, train: Sequence[Row] = TRAIN) -> None:
        self.rows = {"train": train, "val": val, "test": TEST}

    def split(self, name: SplitName) -> Split:
        table = torch.tensor(self.rows[name], dtype=torch.get_default_dtype())
        return Split(table[:, :1], table[:, 1:], ~table[:, 1:].isnan())

    def network(self) -> Network:
        return Network(nn.Identity, nn.Identity, 1, one_weight, lambda target: nn.Identity())


def member(
    seed: int = 0, rate: float = 0.0, decay: float = 0.0, name: str = "adam", **gate: Any
) -> Member:
    """Return a member with one expert, or with two where its gate is to choose."""
    optimizer = {"name": name, "learning_rate": rate, "weight_decay": decay}
    return Member(Configuration.of(gate, {"num_experts": 2 if gate else 1}, optimizer), seed)
