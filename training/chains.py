"""Chains: rows in an order in which those that follow each other are correlated."""

from __future__ import annotations

import torch
from torch import Tensor

from gatelab.gates.randomness import GOLDEN, keyed, mix

_STAYS, _DRAWN = 1, 2
"""The numbers of the draws; :func:`.passage.shuffled` has 0."""
_BITS = 53


def chained(seeds: Tensor, epoch: int, rows: int, correlations: Tensor) -> Tensor:
    """Return as many places of running Markov chains as there are rows, ``(seeds, rows)`` int64.

    A chain stays where it is with the chance ``correlation``, and is anywhere else drawn anew from
    all rows: so rows are uniform at each place, and of whatever is computed from them two places
    that are n apart have the correlation ``correlation ** n``. It runs on from pass to pass.

    Args:
        seeds: A key for each chain, ``(seeds,)`` int64.
        epoch: The pass, counted from 0.
        rows: Of the split.
        correlations: In [0, 1), ``(seeds,)`` float64.
    """
    moved, drawn = _draws(seeds, epoch, rows, correlations)
    places = torch.arange(rows, device=seeds.device)
    latest = torch.where(moved, places, -1).cummax(1).values
    found = drawn.gather(1, latest.clamp_min(0))
    waiting = latest < 0
    if not bool(waiting.any()):
        return found
    before = chained(seeds, epoch - 1, rows, correlations)[:, -1:]
    return torch.where(waiting, before, found)


def _draws(seeds: Tensor, epoch: int, rows: int, correlations: Tensor) -> tuple[Tensor, Tensor]:
    """Return at which places a chain moves, and where it then goes; the first of all is a move."""
    keys = keyed(seeds, epoch)
    moved = _uniform(keyed(keys, _STAYS), rows) >= correlations[:, None]
    if epoch == 0:
        moved[:, 0] = True
    return moved, (_uniform(keyed(keys, _DRAWN), rows) * rows).long()


def _uniform(keys: Tensor, number: int) -> Tensor:
    """Return numbers in [0, 1) of each key, ``(keys, number)`` float64."""
    places = torch.arange(number, device=keys.device)
    words = mix(keys[:, None] + places * GOLDEN)
    shifted: Tensor = (words >> (64 - _BITS)) & (2**_BITS - 1)
    return shifted.double() * 2.0**-_BITS
