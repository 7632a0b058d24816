"""A task with which nothing is wrong, and tasks that are declared wrongly, each in one way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from gatelab.tasks.target import Target
from gatelab.tasks.task import Network, Regimes, Split, SplitName, Task, Truth

FEATURES = 5
STREAMS = {"train": 1, "val": 2, "test": 3}
REGRESSION = Target("size", "regression")


class Sound(Task):
    """Learns three kinds of targets, some unknown, from normal inputs: nothing is wrong with it."""

    targets = (Target("old", "binary"), Target("shape", "multiclass", 3, weight=0.5), REGRESSION)

    def __init__(self, *, rows: int = 24, seed: int = 0) -> None:
        self.rows, self.seed = rows, seed

    def split(self, name: SplitName) -> Split:
        return self.made(name, torch.Generator().manual_seed(10 * self.seed + STREAMS[name]))

    def made(self, name: SplitName, generator: torch.Generator) -> Split:
        inputs = torch.randn(self.rows, FEATURES, generator=generator)
        columns = (inputs[:, 0] > 0, torch.arange(self.rows) % 3, inputs.sum(1))
        targets = torch.stack([column.float() for column in columns], 1)
        mask = torch.rand(targets.shape, generator=generator) < 0.8
        targets[~mask] = torch.nan
        return Split(inputs, targets, mask)

    def network(self, *, width: int = 6) -> Network:
        return Network(
            bottom=self.bottom,
            gate_input=nn.Identity,
            gate_features=FEATURES,
            expert=lambda: self.expert(width),
            tower=lambda target: self.tower(width, target),
        )

    def bottom(self) -> nn.Module:
        return nn.Identity()

    def expert(self, width: int) -> nn.Module:
        return nn.Sequential(nn.Linear(FEATURES, width), nn.Tanh())

    def tower(self, width: int, target: Target) -> nn.Module:
        return nn.Linear(width, target.out_features)


class Spelt(Sound):
    """Says one text where lines are due."""

    said = "rows of 2019 are left out"  # type: ignore[assignment]


class Wordy(Sound):
    """Warns in two lines at once."""

    def warnings(self) -> tuple[str, ...]:
        return ("few rows\nand no labels",)


class Coarse(Sound):
    """Has so few different rows that most are in every split by chance; that is no mistake."""

    def made(self, name: SplitName, generator: torch.Generator) -> Split:
        inputs, targets, mask, *_ = super().made(name, generator)
        return Split((inputs > 0.8).float(), targets, mask)


class Undocumented(Sound):
    pass


class Positional(Sound):
    """Takes an option by its place."""

    def __init__(self, rows: int = 24, *, seed: int = 0) -> None:
        super().__init__(rows=rows, seed=seed)


class Demanding(Sound):
    """Cannot be made from its name alone."""

    def __init__(self, *, rows: int, seed: int = 0) -> None:
        super().__init__(rows=rows, seed=seed)


class Open(Sound):
    """Takes options of any name."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)


class Aimless(Sound):
    """Has no targets."""

    targets = ()

    def split(self, name: SplitName) -> Split:
        return Split(super().split(name).inputs, torch.empty(self.rows, 0))


class Single(Sound):
    """Has one target only, which is known everywhere."""

    targets = (REGRESSION,)

    def made(self, name: SplitName, generator: torch.Generator) -> Split:
        inputs = super().made(name, generator).inputs
        return Split(inputs, inputs.sum(1, keepdim=True))


class Twins(Sound):
    """Calls two targets alike."""

    targets = (Target("size", "binary"), *Sound.targets[1:])


class Cased(Sound):
    """Calls two targets alike where a store does not tell cases apart."""

    targets = (Target("Size", "binary"), *Sound.targets[1:])


class PositionalNetwork(Sound):
    """Takes a hyperparameter by its place."""

    def network(self, width: int = 6) -> Network:  # type: ignore[override]
        return super().network(width=width)


class CountsExperts(Sound):
    """Takes what is the mixture's."""

    def network(self, *, width: int = 6, num_experts: int = 4) -> Network:
        return super().network(width=width)


class ListOfWidths(Sound):
    """Takes what no spec can search."""

    def network(self, *, width: int = 6, widths: Sequence[int] = (6, 6)) -> Network:
        return super().network(width=width)


_SETS = (frozenset({0}), frozenset({1}), frozenset({1}))


class Ungrouped(Sound):
    """Forgets the group of a target."""

    truth = Truth((0, 1), (frozenset({0}), frozenset({1}), frozenset({1})))


class Expertless(Sound):
    """Says where its teachers change, but not which they are."""

    truth = Truth((0, 1, 1), regimes=Regimes(((1.0,),), ((frozenset({0}),) * 3,) * 2))


class Untaught(Sound):
    """Makes a target from nothing."""

    truth = Truth((0, 1, 1), (frozenset(), frozenset({1}), frozenset({1})))


class Named(Sound):
    """Calls its groups by names."""

    truth = Truth(("a", "b", "b"), (frozenset({0}), frozenset({1}), frozenset({1})))  # type: ignore[arg-type]


class Mixed(Sound):
    """Makes targets of one group from different experts."""

    truth = Truth((0, 1, 1), (frozenset({0}), frozenset({1}), frozenset({2})))


class Undirected(Sound):
    """Has two regimes, and nothing that parts them."""

    truth = Truth((0, 1, 1), _SETS, Regimes((), (_SETS, _SETS)))


class Onesided(Sound):
    """States the experts of one regime as those of all."""

    truth = Truth((0, 1, 1), _SETS, Regimes(((1.0,),), (_SETS, (_SETS[1], *_SETS[1:]))))
