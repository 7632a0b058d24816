"""Tasks whose networks are each wrong in one way, for the checks that must find it."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import torch
from broken_tasks import FEATURES, REGRESSION, STREAMS, Sound
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from gatelab.tasks.loss import Loss, register_loss
from gatelab.tasks.target import Target
from gatelab.tasks.task import Network, Split, SplitName


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


@register_loss("broken_root")
class Root(Loss):
    """Is no number where an output is below 0."""

    kinds = ("regression",)

    def compute(self, outputs: Tensor, target: Tensor) -> Tensor:
        return (outputs[:, 0].sqrt() - target).square()


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
