"""A training step of the MovieLens-shaped model against the direct loop over modules."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.clock import Elsewhere, medians, report
from gatelab.gates import DSelectKGate
from gatelab.tasks import Network, Split, SplitName, Target, Task
from gatelab.tasks.layers import mlp
from gatelab.training.configuration import Configuration
from gatelab.training.train import Member, Recipe, Training

USERS, FILMS, WIDTH, EXPERTS, BATCH = 6040, 3952, 128, 16, 512
ROWS = 64 * BATCH
GATE = {"k": 2, "entropy_weight": 0.1}


class Embedded(nn.Module):
    """Two ids as two embeddings side by side."""

    def __init__(self, sparse: bool) -> None:
        super().__init__()
        self.users = nn.Embedding(USERS, WIDTH, sparse=sparse)
        self.films = nn.Embedding(FILMS, WIDTH, sparse=sparse)

    def forward(self, ids: Tensor) -> Tensor:
        return torch.cat([self.users(ids[:, 0]), self.films(ids[:, 1])], dim=1)


class Ratings(Task):
    """MovieLens in shape: random users, films, and two targets of each pair."""

    targets = (Target("watched", "binary", weight=0.1), Target("rating", "regression", weight=0.9))

    def split(self, name: SplitName) -> Split:
        rows = ROWS if name == "train" else BATCH
        ids = torch.stack([torch.randint(0, n, (rows,)) for n in (USERS, FILMS)], dim=1)
        watched = torch.randint(0, 2, (rows,)).float()
        mask = torch.stack([torch.ones(rows, dtype=torch.bool), watched.bool()], dim=1)
        return Split(ids, torch.stack([watched, torch.rand(rows)], dim=1), mask)

    def network(self) -> Network:
        return Network(
            lambda: Embedded(sparse=True),
            nn.Identity,
            2 * WIDTH,
            lambda: mlp(2 * WIDTH, 256, 1, dropout=0.5),
            lambda target: nn.Sequential(*mlp(256, 256, 1), nn.Linear(256, 1)),
        )


class Direct(nn.Module):
    """The same model as a loop over modules."""

    def __init__(self) -> None:
        super().__init__()
        self.embedded = Embedded(sparse=False)
        self.experts = nn.ModuleList(
            nn.Sequential(nn.Linear(2 * WIDTH, 256), nn.ReLU(), nn.Dropout(0.5))
            for _ in range(EXPERTS)
        )
        self.gates = nn.ModuleList(DSelectKGate(2 * WIDTH, EXPERTS, **GATE) for _ in range(2))
        self.towers = nn.ModuleList(
            nn.Sequential(nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 1)) for _ in range(2)
        )

    def forward(self, ids: Tensor) -> tuple[list[Tensor], Tensor]:
        features = self.embedded(ids)
        outputs = torch.stack([expert(features) for expert in self.experts], dim=1)
        results, aux = [], torch.zeros(())
        for gate, tower in zip(self.gates, self.towers, strict=True):
            weights, loss, *_ = gate(features)
            results.append(tower((weights.unsqueeze(-1) * outputs).sum(1)).squeeze(-1))
            aux = aux + loss
        return results, aux


def main() -> None:
    """Print the ratio."""
    started = time.perf_counter()
    rivals = {"ours": _ours(), "direct": Elsewhere(_direct)}
    times = medians(rivals, rounds=30, calls=2)
    figures = {name: f"{1e3 * seconds:.1f} ms" for name, seconds in times.items()}
    ratio = times["ours"] / times["direct"]
    report("step: ours / direct loop", ratio, "<= 0.5", **figures)
    print(f"      {torch.get_num_threads()} threads, {time.perf_counter() - started:.0f} s")


def _ours() -> Callable[[], None]:
    torch.manual_seed(0)
    optimizer = {"name": "adam", "learning_rate": 1e-4, "weight_decay": 0.0}
    member = Member(Configuration.of(dict(GATE), {"num_experts": EXPERTS}, optimizer), 0)
    training = Training(Ratings(), DSelectKGate, [member], Recipe(BATCH, 1))
    training.model.train()
    split = training._split("train")

    def step() -> None:
        training._step(split, torch.randint(0, ROWS, (1, BATCH)), 0.0)

    return step


def _direct() -> Callable[[], None]:
    torch.manual_seed(0)
    inputs, targets, mask = Ratings().split("train")
    assert mask is not None
    direct = Direct()
    adam = torch.optim.Adam(direct.parameters(), lr=1e-4)

    def step() -> None:
        rows = torch.randint(0, ROWS, (BATCH,))
        (watched, rating), aux = direct(inputs[rows])
        known = mask[rows, 1]
        loss = 0.1 * F.binary_cross_entropy_with_logits(watched, targets[rows, 0])
        loss = loss + 0.9 * F.mse_loss(rating[known], targets[rows, 1][known]) + aux
        adam.zero_grad()
        loss.backward()
        adam.step()

    return step
