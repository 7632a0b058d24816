"""Models for the GPU's benchmark: the shapes of the tasks that gates are compared on."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from gatelab.tasks.layers import mlp
from gatelab.tasks.synthetic_groups import SyntheticGroups
from gatelab.tasks.target import Target
from gatelab.tasks.task import Network, Split, SplitName, Task

USERS, FILMS, WIDTH = 6040, 3952, 128


class Drawn(Task):
    """Rows drawn at random: nothing can be learnt, and a step costs what it costs."""

    train_rows, val_rows = 20_000, 4096

    def split(self, name: SplitName) -> Split:
        """Draw the rows."""
        rows = self.train_rows if name == "train" else self.val_rows
        return self.draw(rows, torch.Generator().manual_seed(1))

    def draw(self, rows: int, draws: torch.Generator) -> Split:
        """Return so many rows."""
        raise NotImplementedError


class Digits(Drawn):
    """Two overlaid digits in shape: 64 pixels, two targets of ten classes."""

    targets = (Target("left", "multiclass", 10), Target("right", "multiclass", 10))

    def draw(self, rows: int, draws: torch.Generator) -> Split:
        """Return so many rows."""
        pixels = torch.rand(rows, 64, generator=draws)
        return Split(pixels, torch.randint(0, 10, (rows, 2), generator=draws))

    def network(self) -> Network:
        """Return experts of two layers."""
        return Network(
            nn.Identity,
            nn.Identity,
            64,
            lambda: mlp(64, 128, 2),
            lambda target: nn.Linear(128, target.out_features),
        )


class Embedded(nn.Module):
    """Looks up a user and a film, ``(batch, 2)`` ids to ``(batch, 256)``."""

    def __init__(self, *, sparse: bool) -> None:
        """Make the tables."""
        super().__init__()
        self.users = nn.Embedding(USERS, WIDTH, sparse=sparse)
        self.films = nn.Embedding(FILMS, WIDTH, sparse=sparse)

    def forward(self, ids: Tensor) -> Tensor:
        """Return both side by side."""
        return torch.cat([self.users(ids[:, 0]), self.films(ids[:, 1])], dim=1)


class Films(Drawn):
    """MovieLens in shape: two ids, 16 experts, two targets of which one is masked."""

    targets = (Target("watched", "binary", weight=0.1), Target("rating", "regression", weight=0.9))
    train_rows, val_rows = 200_000, 200_000

    def __init__(self, *, sparse: bool = False) -> None:
        """Make the task, whose tables have sparse gradients or dense ones."""
        self.sparse = sparse

    def draw(self, rows: int, draws: torch.Generator) -> Split:
        """Return so many rows."""
        ids = [torch.randint(0, number, (rows,), generator=draws) for number in (USERS, FILMS)]
        watched = torch.randint(0, 2, (rows,), generator=draws)
        rating = torch.rand(rows, generator=draws)
        known = torch.stack([torch.ones(rows, dtype=torch.bool), watched.bool()], dim=1)
        return Split(torch.stack(ids, dim=1), torch.stack([watched, rating], dim=1), known)

    def network(self) -> Network:
        """Return experts and towers of one layer over the tables."""
        return Network(
            lambda: Embedded(sparse=self.sparse),
            nn.Identity,
            2 * WIDTH,
            lambda: mlp(2 * WIDTH, 256, 1),
            lambda target: nn.Sequential(mlp(256, 256, 1), nn.Linear(256, target.out_features)),
        )


class Scaled(nn.Module):
    """Pixels of 0 to 255 as numbers of 0 to 1."""

    def forward(self, x: Tensor) -> Tensor:
        """Return them."""
        return x.float() / 255


class Pictures(Drawn):
    """Multi-MNIST in shape: 36 x 36 pixels, experts of two convolutions."""

    targets = (Target("left", "multiclass", 10), Target("right", "multiclass", 10))

    def draw(self, rows: int, draws: torch.Generator) -> Split:
        """Return so many rows."""
        pixels = torch.randint(0, 256, (rows, 1, 36, 36), dtype=torch.uint8, generator=draws)
        return Split(pixels, torch.randint(0, 10, (rows, 2), generator=draws))

    def network(self) -> Network:
        """Return experts as published."""
        return Network(
            Scaled,
            nn.Flatten,
            36 * 36,
            _convolutions,
            lambda target: nn.Sequential(mlp(50, 50, 1), nn.Linear(50, target.out_features)),
        )


def _convolutions() -> nn.Module:
    return nn.Sequential(
        *(nn.Conv2d(1, 10, 5), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(10, 20, 5), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(720, 50), nn.ReLU()),
    )


def _groups() -> Task:
    return SyntheticGroups(num_targets=16, num_groups=4, train_rows=4096, val_rows=1024)


MODELS: dict[str, Callable[[], tuple[Task, int]]] = {
    "digits": lambda: (Digits(), 8),
    "groups": lambda: (_groups(), 8),
    "films": lambda: (Films(), 16),
    "films, sparse": lambda: (Films(sparse=True), 16),
    "pictures": lambda: (Pictures(), 8),
}
"""By name a task and its number of experts."""
BATCH = {"digits": 256, "groups": 256, "films": 512, "films, sparse": 512, "pictures": 256}
