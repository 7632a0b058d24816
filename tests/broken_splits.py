"""Tasks whose data are each wrong in one way, for the checks that must find it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from broken_tasks import FEATURES, STREAMS, Sound
from torch import Tensor, nn

from gatelab.tasks.target import Target
from gatelab.tasks.task import Split, SplitName, Truth


class ColumnShort(Sound):
    """Leaves out a column of targets."""

    def split(self, name: SplitName) -> Split:
        inputs, targets, *_ = super().split(name)
        return Split(inputs, targets[:, 1:].nan_to_num())


class RowShort(Sound):
    """Loses a row of targets."""

    def split(self, name: SplitName) -> Split:
        inputs, targets, *_ = super().split(name)
        return Split(inputs, targets[1:].nan_to_num())


class Flat(Sound):
    """Gives its only feature no dimension."""

    def split(self, name: SplitName) -> Split:
        inputs, targets, mask, *_ = super().split(name)
        return Split(inputs[:, 0], targets, mask)

    def bottom(self) -> nn.Module:
        return nn.Sequential(nn.Unflatten(0, (-1, 1)), nn.Linear(1, FEATURES))


class RowMask(Sound):
    """Marks rows that are known, not targets."""

    def split(self, name: SplitName) -> Split:
        inputs, targets, *_ = super().split(name)
        return Split(inputs, targets.nan_to_num(), torch.ones(len(inputs), dtype=torch.bool))


class Weighted(Sound):
    """Weighs rows by 1 and 2, and one row of each split not at all: nothing is wrong with it."""

    def split(self, name: SplitName) -> Split:
        weights = 1 + torch.arange(self.rows) % 2
        weights[1] = 0
        return super().split(name)._replace(weights=self.weighs(name, weights.float()))

    def weighs(self, name: SplitName, weights: torch.Tensor) -> torch.Tensor | None:
        return weights


class Owing(Weighted):
    """Has a weight below 0."""

    def weighs(self, name: SplitName, weights: torch.Tensor) -> torch.Tensor:
        weights[3] = -1
        return weights


class Weightless(Weighted):
    """Has a gap among the weights."""

    def weighs(self, name: SplitName, weights: torch.Tensor) -> torch.Tensor:
        weights[3] = torch.nan
        return weights


class Endless(Weighted):
    """Has an infinite weight."""

    def weighs(self, name: SplitName, weights: torch.Tensor) -> torch.Tensor:
        weights[3] = torch.inf
        return weights


class WeightShort(Weighted):
    """Has a weight too few."""

    def weighs(self, name: SplitName, weights: torch.Tensor) -> torch.Tensor:
        return weights[1:]


class WeighsTargets(Weighted):
    """Has a weight for each target."""

    def weighs(self, name: SplitName, weights: torch.Tensor) -> torch.Tensor:
        return weights[:, None].expand(-1, 3)


class WeighsNothing(Weighted):
    """Tells by weights of 0 which rows are not for validation."""

    def weighs(self, name: SplitName, weights: torch.Tensor) -> torch.Tensor:
        return weights * (name != "val")


class WeighsTrain(Weighted):
    """Weighs what is learnt, and not what is scored."""

    def weighs(self, name: SplitName, weights: torch.Tensor) -> torch.Tensor | None:
        return weights if name == "train" else None


class Whole(Sound):
    """Has whole numbers as inputs where it is validated."""

    def split(self, name: SplitName) -> Split:
        inputs, targets, mask, *_ = super().split(name)
        return Split(inputs.round().long() if name == "val" else inputs, targets, mask)


class Gaps(Sound):
    """Has an input that is missing, in a row that no other check reads."""

    def split(self, name: SplitName) -> Split:
        split = super().split(name)
        split.inputs[-1, 0] = torch.nan
        return split

    def bottom(self) -> nn.Module:
        return Filled()


class Filled(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.nan_to_num()


class Unmarked(Sound):
    """Says that all is known."""

    def split(self, name: SplitName) -> Split:
        inputs, targets, *_ = super().split(name)
        targets[:, :2] = targets[:, :2].nan_to_num()
        return Split(inputs, targets)


class FromOne(Sound):
    """Counts classes from one."""

    def split(self, name: SplitName) -> Split:
        split = super().split(name)
        split.targets[:, 1] += 1
        return split


class Halves(Sound):
    """Is half sure of a class."""

    def split(self, name: SplitName) -> Split:
        split = super().split(name)
        split.targets[:, 0] /= 2
        return split


class Upended(Sound):
    """Knows a target in test only."""

    def split(self, name: SplitName) -> Split:
        split = super().split(name)
        assert split.mask is not None
        split.mask[:, 0] = name == "test"
        split.targets[:, 0] = split.inputs[:, 0] > 0
        return split


class Sorted(Sound):
    """Has rows of one class in train."""

    def split(self, name: SplitName) -> Split:
        split = super().split(name)
        if name == "train":
            split.targets[:, 1] = 2
        return split


class Stamped(Sound):
    """Has seconds since 1970 and huge ids, in float64, beside a sum that rounding errors blur."""

    def split(self, name: SplitName) -> Split:
        inputs, targets, mask, *_ = super().split(name)
        wide = inputs.double()
        blurred = (torch.arange(len(wide)) % 3 + 1).double() * 0.1 * 3
        stamps = 1_700_000_000 + 100 * STREAMS[name] + torch.arange(len(wide)).double()
        wide[:, 1], wide[:, 3], wide[:, 4] = stamps, blurred, stamps * 1e6
        return Split(wide, targets, mask)


class Leaky(Sound):
    """Tests on what it has learnt."""

    def split(self, name: SplitName) -> Split:
        return super().split("train" if name == "test" else name)


class Clocked(Sound):
    """Is other data each time."""

    def split(self, name: SplitName) -> Split:
        inputs, targets, mask, *_ = super().split(name)
        return Split(inputs + int.from_bytes(os.urandom(2), "big") / 1e5, targets, mask)


class OneStream(Sound):
    """Draws all splits from one stream."""

    def __init__(self, *, rows: int = 24, seed: int = 0) -> None:
        super().__init__(rows=rows, seed=seed)
        self.stream = np.random.default_rng(seed)

    def split(self, name: SplitName) -> Split:
        generator = torch.Generator().manual_seed(int(self.stream.integers(1 << 31)))
        return self.made(name, generator)


class Global(Sound):
    """Takes its noise from everybody's stream."""

    def split(self, name: SplitName) -> Split:
        inputs, targets, mask, *_ = super().split(name)
        return Split(inputs + torch.rand(inputs.shape), targets, mask)


class Seeder(Sound):
    """Seeds what is everybody's."""

    def split(self, name: SplitName) -> Split:
        np.random.seed(STREAMS[name])
        return super().split(name)


class Deaf(Sound):
    """Hears no seed."""

    def __init__(self, *, rows: int = 24, seed: int = 0) -> None:
        super().__init__(rows=rows, seed=0)


class Divided(Sound):
    """Can be divided anew; nothing is wrong with it."""

    def __init__(self, *, rows: int = 24, seed: int = 0, split_seed: int = 0) -> None:
        super().__init__(rows=rows, seed=seed)
        self.split_seed = split_seed

    def split(self, name: SplitName) -> Split:
        number = 10 * self.seed + 1000 * self.split_seed + STREAMS[name]
        return self.made(name, torch.Generator().manual_seed(number))


class Undivided(Divided):
    """Has one test split, whatever the division."""

    def split(self, name: SplitName) -> Split:
        return Sound.split(self, name) if name == "test" else super().split(name)


class Adrift(Divided):
    """Draws by the system's numbers once it is divided anew."""

    def split(self, name: SplitName) -> Split:
        if not self.split_seed:
            return super().split(name)
        return self.made(name, torch.Generator().manual_seed(int.from_bytes(os.urandom(4))))


class Elsewhere(Divided):
    """Is on a split of its own where none is asked for."""

    def __init__(self, *, rows: int = 24, seed: int = 0, split_seed: int = 7) -> None:
        super().__init__(rows=rows, seed=seed, split_seed=split_seed)


class Replanted(Divided):
    """Plants something else in each division."""

    def __init__(self, *, rows: int = 24, seed: int = 0, split_seed: int = 0) -> None:
        super().__init__(rows=rows, seed=seed, split_seed=split_seed)
        self.truth = Truth((0, 0, 1), (frozenset({split_seed}),) * 2 + (frozenset({9}),))


class Renamed(Divided):
    """Learns other targets in each division."""

    def __init__(self, *, rows: int = 24, seed: int = 0, split_seed: int = 0) -> None:
        super().__init__(rows=rows, seed=seed, split_seed=split_seed)
        self.targets = (*Sound.targets[:2], Target(f"size{split_seed}", "regression"))


class Encoded(Divided):
    """Has as many columns as its division has seen."""

    def made(self, name: SplitName, generator: torch.Generator) -> Split:
        inputs, targets, mask, *_ = super().made(name, generator)
        return Split(inputs.repeat(1, 1 + self.split_seed), targets, mask)


class Taker(Sound):
    """Takes an element out of a list that it was given."""

    def __init__(self, *, rows: int = 24, seed: int = 0, sizes: Sequence[int] = ()) -> None:
        super().__init__(rows=rows, seed=seed)
        if isinstance(sizes, list):
            sizes.pop()


class Unpicklable(Sound):
    """Keeps what cannot be sent."""

    def __init__(self, *, rows: int = 24, seed: int = 0) -> None:
        super().__init__(rows=rows, seed=seed)
        self.offset = lambda: 0.0


class Forgetful(Sound):
    """Is sent without its seed."""

    def __getstate__(self) -> dict[str, Any]:
        return {"rows": self.rows, "seed": 7}
