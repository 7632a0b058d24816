"""Tasks that are each wrong in one way, for the checks that must find it."""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from gatelab.tasks.loss import Loss, losses, register_loss
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


class NarrowGates(Sound):
    """Promises gates another width than they get."""

    def network(self, *, width: int = 6) -> Network:
        network = super().network(width=width)
        return Network(network.bottom, nn.Identity, 4, network.expert, network.tower)


class WideTowers(Sound):
    """Has towers that read more than experts give."""

    def tower(self, width: int, target: Target) -> nn.Module:
        return nn.Linear(width + 1, target.out_features)


class TwoOutputs(Sound):
    """Gives two numbers for every target."""

    def tower(self, width: int, target: Target) -> nn.Module:
        return nn.Linear(width, 2)


class Overflowing(Sound):
    """Divides by what is nothing."""

    def bottom(self) -> nn.Module:
        return Infinite()


class Infinite(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return 1 / (x - x)


class Root(Loss):
    """Is no number where an output is below 0."""

    kinds = ("regression",)

    def compute(self, outputs: Tensor, target: Tensor) -> Tensor:
        return (outputs[:, 0].sqrt() - target).square()


if "broken_root" not in losses.names():  # this module is imported under two names
    register_loss("broken_root")(Root)


class Rooted(Sound):
    """Has a loss of its own that is no number for some rows."""

    targets = (*Sound.targets[:2], replace(REGRESSION, loss="broken_root"))


class Detached(Sound):
    """Learns nothing in its experts."""

    def expert(self, width: int) -> nn.Module:
        return nn.Sequential(nn.Linear(FEATURES, width), Cut())


class Cut(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.detach()


class Shared(Sound):
    """Has one expert that it hands out many times."""

    def __init__(self, *, rows: int = 24, seed: int = 0) -> None:
        super().__init__(rows=rows, seed=seed)
        self.only = nn.Linear(FEATURES, 6)

    def expert(self, width: int) -> nn.Module:
        return self.only


class Constant(Sound):
    """Starts all experts from the same numbers."""

    def expert(self, width: int) -> nn.Module:
        linear = nn.Linear(FEATURES, width)
        nn.init.constant_(linear.weight, 0.1)
        nn.init.zeros_(linear.bias)
        return linear


class Growing(Sound):
    """Makes each expert wider inside than the one before."""

    widths = itertools.count(6)

    def expert(self, width: int) -> nn.Module:
        hidden = next(Growing.widths)
        return nn.Sequential(nn.Linear(FEATURES, hidden), nn.Tanh(), nn.Linear(hidden, width))


class NumpyStart(Sound):
    """Starts from numpy's numbers."""

    def expert(self, width: int) -> nn.Module:
        linear = nn.Linear(FEATURES, width)
        with torch.no_grad():
            linear.bias.copy_(torch.from_numpy(np.random.standard_normal(width)))
        return linear


class Running(Sound):
    """Keeps statistics of the batches that it has seen."""

    def expert(self, width: int) -> nn.Module:
        return nn.Sequential(nn.Linear(FEATURES, width), nn.BatchNorm1d(width))


class Pretrained(Sound):
    """Keeps a part with running statistics in evaluation: nothing is wrong with it."""

    def bottom(self) -> nn.Module:
        return Kept()

    def expert(self, width: int) -> nn.Module:
        return nn.Sequential(Kept(), super().expert(width))


class Kept(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(FEATURES).requires_grad_(False)

    def train(self, mode: bool = True) -> Kept:
        super().train(mode)
        self.norm.eval()
        return self

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x)  # type: ignore[no-any-return]


class Evaluated(Sound):
    """Forgets that training sets the mode of every part."""

    def bottom(self) -> nn.Module:
        return nn.BatchNorm1d(FEATURES).requires_grad_(False).eval()


class Counting(Sound):
    """Counts its passes."""

    def expert(self, width: int) -> nn.Module:
        return nn.Sequential(nn.Linear(FEATURES, width), Count())


class Count(nn.Module):
    passes: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("passes", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.passes = self.passes + 1
        return x


class Greedy(Sound):
    """Centres the split itself."""

    def bottom(self) -> nn.Module:
        return InPlace()


class InPlace(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.mul_(0.5)


class Rectified(Sound):
    """Has experts that change what other experts read."""

    def bottom(self) -> nn.Module:
        return nn.Linear(FEATURES, FEATURES)

    def expert(self, width: int) -> nn.Module:
        return nn.Sequential(nn.LeakyReLU(0.5, inplace=True), nn.Linear(FEATURES, width))


class Restless(Sound):
    """Is as random in evaluation as in training."""

    def expert(self, width: int) -> nn.Module:
        return nn.Sequential(nn.Linear(FEATURES, width), Noise())


class Noise(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x + torch.randn_like(x)


class Gregarious(Sound):
    """Centres features by the batch's mean."""

    def bottom(self) -> nn.Module:
        return Centred()


class Centred(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x - x.mean(0)


class Branching(Sound):
    """Looks at a number in Python: slower, as no call runs many models, but nothing is wrong."""

    def expert(self, width: int) -> nn.Module:
        return nn.Sequential(nn.Linear(FEATURES, width), Branch())


class Branch(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x if x.isfinite().all() else x.nan_to_num()


class Particular(Sound):
    """Takes parameters of its own alone."""

    def bottom(self) -> nn.Module:
        return Picky(FEATURES, FEATURES)


class Picky(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        if type(self.weight) is not nn.Parameter:
            raise TypeError("no parameter")
        return super().forward(x)


class Rounded(Sound):
    """Computes its experts in half precision."""

    def expert(self, width: int) -> nn.Module:
        return HalfLinear(FEATURES, width)


class HalfLinear(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return super().forward(x).float()


class Recomputed(Sound):
    """Saves memory by computing its bottom twice."""

    def bottom(self) -> nn.Module:
        return Twice()


class Twice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(FEATURES, FEATURES), nn.Tanh())

    def forward(self, x: Tensor) -> Tensor:
        return checkpoint(self.layers, x, use_reentrant=False)  # type: ignore[no-any-return]


class Unlisted(Sound):
    """Has an id in test that its embedding does not know."""

    def made(self, name: SplitName, generator: torch.Generator) -> Split:
        ids = torch.arange(self.rows) % 9
        if name == "test":
            ids[-1] = 9
        return super().made(name, generator)._replace(inputs=ids[:, None] + 10 * STREAMS[name] - 10)

    def bottom(self) -> nn.Module:
        return nn.Sequential(nn.Embedding(29, FEATURES), nn.Flatten())


class Attribute(Sound):
    """Keeps a drawn number where no stack finds it."""

    def expert(self, width: int) -> nn.Module:
        return nn.Sequential(nn.Linear(FEATURES, width), Scaled())


class Scaled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale = float(torch.rand(()) + 0.5)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale


class Homebody(Sound):
    """Makes a tensor on the CPU, whatever its input is on."""

    def expert(self, width: int) -> nn.Module:
        return nn.Sequential(nn.Linear(FEATURES, width), Shifted(width))


class Shifted(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    def forward(self, x: Tensor) -> Tensor:
        return x + torch.ones(self.width, device="cpu")
