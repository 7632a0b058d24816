"""Training steps of four models against the direct loop over modules, in plain PyTorch."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.clock import Elsewhere, medians, report
from benchmarks.stepping import stepper
from gatelab.gates import DSelectKGate
from gatelab.tasks import DigitsPairs, Network, Split, SplitName, Table, Target, Task
from gatelab.tasks.layers import Dropout, Linear, mlp
from gatelab.training.configuration import Configuration
from gatelab.training.member import Member, Recipe
from gatelab.training.train import Training

GATE = {"k": 2, "entropy_weight": 0.1}
STEPS = 64
"""Batches in the train split, from which each step draws its rows."""


class Embedded(nn.Module):
    """Two ids as two embeddings side by side."""

    def __init__(self, users: int, films: int, width: int, sparse: bool) -> None:
        super().__init__()
        self.users = nn.Embedding(users, width, sparse=sparse)
        self.films = nn.Embedding(films, width, sparse=sparse)

    def forward(self, ids: Tensor) -> Tensor:
        return torch.cat([self.users(ids[:, 0]), self.films(ids[:, 1])], dim=1)


@dataclass
class Ratings(Task):
    """MovieLens in shape: random users, films, and two targets of each pair."""

    targets = (Target("watched", "binary", weight=0.1), Target("rating", "regression", weight=0.9))
    users: int
    films: int
    embedding_width: int
    width: int
    dropout: float
    batch: int
    sparse: bool = True

    def split(self, name: SplitName) -> Split:
        rows = STEPS * self.batch if name == "train" else self.batch
        ids = torch.stack([torch.randint(0, n, (rows,)) for n in (self.users, self.films)], dim=1)
        watched = torch.randint(0, 2, (rows,)).float()
        mask = torch.stack([torch.ones(rows, dtype=torch.bool), watched.bool()], dim=1)
        return Split(ids, torch.stack([watched, torch.rand(rows)], dim=1), mask)

    def network(self) -> Network:
        features = 2 * self.embedding_width
        return Network(
            lambda: Embedded(self.users, self.films, self.embedding_width, self.sparse),
            nn.Identity,
            features,
            lambda: mlp(features, self.width, 1, self.dropout),
            lambda target: nn.Sequential(*mlp(self.width, self.width, 1), nn.Linear(self.width, 1)),
        )


@dataclass
class Pictures(Task):
    """Two digits on a picture, in shape: 1,296 random pixels and two classes."""

    targets = (Target("left", "multiclass", 10), Target("right", "multiclass", 10))
    batch: int

    def split(self, name: SplitName) -> Split:
        rows = STEPS * self.batch if name == "train" else self.batch
        return Split(torch.randn(rows, 36, 36), torch.randint(0, 10, (rows, 2)))

    def network(self) -> Network:
        return Network(
            nn.Flatten,
            nn.Identity,
            36 * 36,
            lambda: mlp(36 * 36, 50, 1),
            lambda target: nn.Sequential(*mlp(50, 50, 1), nn.Linear(50, 10)),
        )


def embedded_table(batch: int) -> Table:
    """Return a table of 20 columns of ids, of 2 to 2,000 values, beside 10 numbers; 3 targets."""
    random = np.random.default_rng(0)
    rows = STEPS * batch
    sizes = np.geomspace(2, 2000, 20).astype(int)
    columns = {
        **{f"number_{at}": random.normal(size=rows) for at in range(10)},
        **{f"ids_{at}": random.integers(n, size=rows).astype(str) for at, n in enumerate(sizes)},
        "income": random.choice(["no", "yes"], rows),
        "weeks": random.normal(size=rows),
        "region": random.choice(["north", "south", "east", "west"], rows),
    }
    return Table(
        pd.DataFrame(columns),
        targets={"income": "binary", "weeks": "regression", "region": "multiclass"},
        kinds={f"ids_{at}": "category" for at in range(20)},
        split={"shares": [0.9, 0.05, 0.05]},
    )


@dataclass(frozen=True)
class Case:
    """A model, and how much of the direct loop's time a step of it may take."""

    make: Callable[[], Task]
    batch: int
    experts: int
    bound: float
    dense: Callable[[], Task] | None = None
    """What the direct loop trains in its place: without sparse gradients, which torch's Adam does
    not take."""


_RATINGS = partial(Ratings, 6040, 3952, 128, 256, 0.5, 512)
CASES = {
    "MovieLens 1M": Case(_RATINGS, 512, 16, 0.5, partial(_RATINGS, sparse=False)),
    "MLP": Case(partial(Pictures, 256), 256, 8, 1.05),
    "600 users": Case(partial(Ratings, 600, 900, 16, 32, 0.0, 256, sparse=False), 256, 8, 1.05),
    "table of 20 columns of ids": Case(partial(embedded_table, 256), 256, 8, 1.05),
}


class Direct(nn.Module):
    """The same model as a loop over modules."""

    def __init__(self, task: Task, experts: int) -> None:
        super().__init__()
        network = task.network()
        self.bottom, self.gate_input = network.bottom(), network.gate_input()
        self.experts = nn.ModuleList(plain(network.expert()) for _ in range(experts))
        self.towers = nn.ModuleList(plain(network.tower(target)) for target in task.targets)
        self.gates = nn.ModuleList(
            DSelectKGate(network.gate_features, experts, **GATE) for _ in task.targets
        )

    def forward(self, inputs: Tensor) -> tuple[list[Tensor], Tensor]:
        features = self.bottom(inputs)
        gate_input = self.gate_input(features)
        outputs = torch.stack([expert(features) for expert in self.experts], dim=1)
        results, aux = [], torch.zeros(())
        for gate, tower in zip(self.gates, self.towers, strict=True):
            weights, loss, *_ = gate(gate_input)
            results.append(tower((weights.unsqueeze(-1) * outputs).sum(1)))
            aux = aux + loss
        return results, aux


def plain(module: nn.Module) -> nn.Module:
    """Put torch's own layers where ours are; return the module."""
    for parent in list(module.modules()):
        for name, child in parent.named_children():
            if isinstance(child, Dropout):
                setattr(parent, name, nn.Dropout(child.p))
            if isinstance(child, Linear):
                linear = nn.Linear(child.in_features, child.out_features)
                linear.load_state_dict(child.state_dict())
                setattr(parent, name, linear)
    return module


class PlainDigits(DigitsPairs):
    """The bundled task with torch's own dropout."""

    def network(self, *, dropout: float = 0.5) -> Network:
        network = super().network(dropout=dropout)
        return replace(network, expert=lambda: plain(network.expert()))


def main() -> None:
    """Print the ratio of each case."""
    _dropout()
    for title, case in CASES.items():
        started = time.perf_counter()
        rivals = {"ours": _ours(case), "direct": Elsewhere(partial(_direct, title))}
        times = medians(rivals, rounds=30, calls=4)
        figures = {name: f"{1e3 * seconds:.1f} ms" for name, seconds in times.items()}
        ratio = times["ours"] / times["direct"]
        report(f"step, {title}: ours / direct loop", ratio, f"<= {case.bound}", **figures)
        print(f"      {torch.get_num_threads()} threads, {time.perf_counter() - started:.0f} s")


def _dropout() -> None:
    """Print what our dropout is worth on a bundled task: steps of both, one after the other."""
    model = {"num_experts": 8, "dropout": 0.5}
    times = medians(
        {
            name: _step(task, model, 128)
            for name, task in (("ours", DigitsPairs()), ("torch's", PlainDigits()))
        },
        rounds=40,
    )
    figures = {name: f"{1e3 * seconds:.1f} ms" for name, seconds in times.items()}
    report(
        "step, digits_pairs: dropout ours / torch's",
        times["ours"] / times["torch's"],
        "<= 0.95",
        **figures,
    )


def _ours(case: Case) -> Callable[[], None]:
    return _step(case.make(), {"num_experts": case.experts}, case.batch)


def _step(task: Task, model: dict[str, Any], batch: int) -> Callable[[], None]:
    torch.manual_seed(0)
    optimizer = {"name": "adam", "learning_rate": 1e-4, "weight_decay": 0.0}
    member = Member(Configuration.of(dict(GATE), model, optimizer), 0)
    return stepper(Training(task, DSelectKGate, [member], Recipe(batch, 1)))


def _direct(title: str) -> Callable[[], None]:
    torch.manual_seed(0)
    case = CASES[title]
    task = (case.dense or case.make)()
    split = task.split("train")
    direct = Direct(task, case.experts)
    adam = torch.optim.Adam(direct.parameters(), lr=1e-4)

    def step() -> None:
        rows = torch.randint(0, len(split.inputs), (case.batch,))
        results, aux = direct(split.inputs[rows])
        mask = None if split.mask is None else split.mask[rows]
        loss = _loss(task.targets, results, split.targets[rows], mask)
        adam.zero_grad()
        (loss + aux).backward()
        adam.step()

    return step


def _loss(
    targets: Sequence[Target], results: list[Tensor], values: Tensor, mask: Tensor | None
) -> Tensor:
    losses = []
    for at, (target, result) in enumerate(zip(targets, results, strict=True)):
        value = values[:, at]
        if mask is not None and target.kind == "regression":  # which is where some are unknown
            result, value = result[mask[:, at]], value[mask[:, at]]
        losses.append(target.weight * _loss_of(target, result, value))
    return torch.stack(losses).sum()


def _loss_of(target: Target, result: Tensor, value: Tensor) -> Tensor:
    if target.kind == "multiclass":
        return F.cross_entropy(result, value.long())
    if target.kind == "binary":
        return F.binary_cross_entropy_with_logits(result.squeeze(-1), value)
    return F.mse_loss(result.squeeze(-1), value)
