"""A pass over the train split: what each step takes, read from where the pass is on the device."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from gatelab.gates.randomness import GOLDEN, keyed, mix
from gatelab.training.chains import chained

AT_ONCE = 2**24
"""Of so many rows of members together the order is made at once."""


class Passage:
    """The passes of members over rows, each in an order that follows from its seed and the epoch.

    Every step is the same operations: which rows it takes, how far the training is and what it
    draws from follow from a counter on the device, so that none waits for the host.
    """

    def __init__(
        self,
        seeds: Sequence[int],
        rows: int,
        size: int,
        epochs: int,
        device: torch.device,
        correlations: Sequence[float] = (),
    ) -> None:
        """Make the tensors.

        Args:
            seeds: One for each member.
            rows: Of the split.
            size: Rows a step, but for the last.
            epochs: Passes that there may be.
            device: Where the training is.
            correlations: Of each member's rows that follow each other, in [0, 1); with one above 0
                its order is that of :func:`.chains.chained`. By default of none.
        """
        self.rows_in_all, self.size, self.epochs = rows, size, epochs
        self._seeds = torch.tensor([seed_key(seed) for seed in seeds], device=device)
        self._order = torch.zeros(len(seeds), rows, dtype=torch.int32, device=device)
        self._progress = torch.zeros(self.steps, device=device)
        self._keys = torch.zeros_like(self._seeds)
        self._stays = torch.tensor(correlations, dtype=torch.float64, device=device)
        self._chained = [place for place, stays in enumerate(correlations) if stays]
        self._at = torch.zeros(1, dtype=torch.int64, device=device)

    @property
    def steps(self) -> int:
        """How many there are in a pass."""
        return -(-self.rows_in_all // self.size)

    def begin(self, epoch: int) -> None:
        """Begin a pass, counted from 0."""
        self._keys.copy_(keyed(self._seeds, epoch))
        members = max(1, AT_ONCE // self.rows_in_all)
        for keys, order in zip(self._keys.split(members), self._order.split(members), strict=True):
            order.copy_(shuffled(keys, self.rows_in_all))
        if self._chained:
            of, rows = self._chained, self.rows_in_all
            chains = chained(self._seeds[of], epoch, rows, self._stays[of])
            self._order[of] = chains.to(self._order.dtype)
        starts = range(0, self.rows_in_all, self.size)
        done = [(epoch + start / self.rows_in_all) / self.epochs for start in starts]
        self._progress.copy_(torch.tensor(done, dtype=self._progress.dtype))
        self._at.zero_()

    def rows(self, number: int) -> Tensor:
        """Return the next rows, so many for each member: ``(members, number)``."""
        places = self._at * self.size + torch.arange(number, device=self._at.device)
        return self._order.index_select(1, places).long()

    def progress(self) -> Tensor:
        """Return the share of the training that is done, ``()``, in [0, 1)."""
        return self._progress.index_select(0, self._at).squeeze(0)

    def keys(self) -> Tensor:
        """Return what the members' draws in this step follow from, ``(members,)``."""
        return keyed(self._keys, self._at)

    def advance(self, steps: int = 1) -> None:
        """Go on to the next step, or so many further."""
        self._at += steps


def seed_key(seed: int) -> int:
    """Return the key that follows from a seed, a signed number of 64 bits."""
    return int(np.random.SeedSequence(seed).generate_state(1, np.uint64)[0].astype(np.int64))


def shuffled(keys: Tensor, rows: int) -> Tensor:
    """Return an order of rows for each key, ``(keys, rows)``: that of their random words."""
    places = torch.arange(rows, device=keys.device)
    return mix(keyed(keys, 0)[:, None] + places * GOLDEN).argsort(dim=1, stable=True)
