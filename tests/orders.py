"""The order in which a member sees the rows of an epoch."""

from __future__ import annotations

import torch
from torch import Tensor

from gatelab.gates.randomness import keyed
from gatelab.training.passage import seed_key, shuffled


def row_order(seed: int, epoch: int, rows: int) -> Tensor:
    """Return it ``(rows,)``."""
    return shuffled(keyed(torch.tensor([seed_key(seed)]), epoch), rows)[0]
