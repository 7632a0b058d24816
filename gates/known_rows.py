"""Known rows: what a target's gate learns from where its value is known for some rows only."""

from __future__ import annotations

import torch
from torch import Tensor


def stand_ins(known: Tensor) -> Tensor:
    """Return for every target and row which row its gate is to read, ``(targets, batch)``.

    A known row stands for itself, and in place of each other row stands a known one, all in turn:
    so whatever a gate makes of its batch, a mean, a load, a balance, it makes of known rows. Rows
    come in random order, so that it is chance which of them stand once more than the others. A
    target without any known row reads its batch as it is.

    Args:
        known: True where a target's value is known, ``(targets, batch)``.
    """
    known_first = known.to(torch.uint8).argsort(dim=1, descending=True, stable=True)
    count = known.sum(1, keepdim=True).clamp_min(1)
    turn = ((~known).cumsum(1) - 1).clamp_min(0) % count
    rows = torch.arange(known.shape[1], device=known.device).expand_as(known)
    found = known_first.gather(1, turn)
    return torch.where(known | ~known.any(1, keepdim=True), rows, found)
