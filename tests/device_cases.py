"""What trains on a second device as on a CPU: gates, tasks, optimisers and learners, small.

Nothing here needs more than torch, so that a machine with a GPU and torch alone can run it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple, get_args

import benchmarks.bare  # noqa: F401 - makes gatelab importable, so before gatelab

# isort: split
import torch
from torch import Tensor, nn

from gatelab.gates.gate import gates
from gatelab.tasks.brain_encoding import BrainEncoding
from gatelab.tasks.layers import mlp
from gatelab.tasks.mmoe_synthetic import MMoESynthetic
from gatelab.tasks.synthetic_groups import SyntheticGroups
from gatelab.tasks.target import Target
from gatelab.tasks.task import Network, Split, SplitName, Task
from gatelab.training.configuration import LEARNER, Configuration
from gatelab.training.jobs import Job
from gatelab.training.member import Member, Recipe
from gatelab.training.train import Training
from gatelab.training.work import Work

RATES = (0.001, 0.003, 0.01)
"""Learning rates of three members that train together."""
ROWS = {"train_rows": 200, "val_rows": 64, "test_rows": 64}


class Films(Task):
    """Ids in two embedding tables with sparse gradients, of which one has padding."""

    targets = (Target("rating", "regression"),)

    def split(self, name: SplitName) -> Split:
        draw = torch.Generator().manual_seed(len(name))
        ids = torch.randint(0, 40, (200, 2), generator=draw)
        return Split(ids, (ids.sum(1, keepdim=True) / 40).to(torch.get_default_dtype()))

    def network(self) -> Network:
        return Network(Lookup, nn.Identity, 8, lambda: nn.Linear(8, 8), lambda _: nn.Linear(8, 1))


class Lookup(nn.Module):
    """Looks ids up."""

    def __init__(self) -> None:
        super().__init__()
        self.users = nn.Embedding(40, 4, sparse=True)
        self.films = nn.Embedding(40, 4, padding_idx=0, sparse=True)

    def forward(self, ids: Tensor) -> Tensor:
        return torch.cat([self.users(ids[:, 0]), self.films(ids[:, 1])], dim=1)


class Mixed(SyntheticGroups):
    """A target of each kind, of which some rows are unknown."""

    def __init__(self) -> None:
        super().__init__(num_targets=3, num_groups=1, **ROWS)
        self.targets = (
            Target("a", "binary"),
            Target("b", "multiclass", 3),
            Target("c", "regression"),
        )
        self.truth = None

    def split(self, name: SplitName) -> Split:
        inputs, values, _, _ = super().split(name)
        ranks = values.argsort(0).argsort(0) / len(values)
        targets = torch.stack([ranks[:, 0] > 0.5, (ranks[:, 1] * 3).floor(), values[:, 2]], dim=1)
        known = torch.rand(len(values), 3, generator=torch.Generator().manual_seed(1)) > 0.2
        return Split(inputs, targets.to(values.dtype), known)


class Weighted(Mixed):
    """The same with weights of rows, of classes and of a target."""

    def __init__(self) -> None:
        super().__init__()
        self.targets = (
            Target("a", "binary", class_weights=(1.0, 3.0)),
            Target("b", "multiclass", 3, class_weights=(1.0, 2.0, 0.5), weight=2.0),
            Target("c", "regression"),
        )

    def split(self, name: SplitName) -> Split:
        split = super().split(name)
        return split._replace(weights=split.targets[:, 2].nan_to_num().abs())


class Pictures(Mixed):
    """The same of pictures, whose experts are convolutions with a normalisation."""

    def split(self, name: SplitName) -> Split:
        split = super().split(name)
        return split._replace(inputs=split.inputs[:, :16].reshape(-1, 1, 4, 4))

    def network(self) -> Network:  # type: ignore[override]
        def expert() -> nn.Module:
            normed = nn.BatchNorm2d(3, track_running_stats=False)
            return nn.Sequential(nn.Conv2d(1, 3, 3), normed, nn.ReLU(), nn.Flatten())

        def tower(target: Target) -> nn.Module:
            return nn.Linear(12, target.out_features)

        return Network(nn.Identity, nn.Flatten, 16, expert, tower)


class Dropping(Mixed):
    """The same with layers that draw: our dropout, torch's, and one of whole channels."""

    def network(self) -> Network:  # type: ignore[override]
        features = self.data("train").inputs.shape[1]
        return Network(
            lambda: nn.Dropout(0.1),
            nn.Identity,
            features,
            lambda: nn.Sequential(*mlp(features, 16, 2, 0.5), nn.FeatureAlphaDropout(0.1)),
            lambda target: nn.Linear(16, target.out_features),
        )


class Sequences(Mixed):
    """The same of sequences, which experts read by attention and a recurrent layer that drop."""

    def split(self, name: SplitName) -> Split:
        split = super().split(name)
        return split._replace(inputs=split.inputs[:, :16].reshape(-1, 4, 4))

    def network(self) -> Network:  # type: ignore[override]
        return Network(
            nn.Identity, nn.Flatten, 16, Reader, lambda target: nn.Linear(4, target.out_features)
        )


class Reader(nn.Module):
    """Reads sequences ``(batch, 4, 4)`` by attention, and what it gives by two layers in turn."""

    def __init__(self) -> None:
        super().__init__()
        self.attends = nn.TransformerEncoderLayer(4, 2, 8, 0.3, batch_first=True)
        self.recurs = nn.GRU(4, 4, 2, dropout=0.3)

    def forward(self, x: Tensor) -> Tensor:
        return self.recurs(self.attends(x).transpose(0, 1))[0][-1]


class Case(NamedTuple):
    """What three members of other rates and seeds train."""

    task: Task = SyntheticGroups(num_targets=4, num_groups=2, **ROWS)
    gate: str = "softmax"
    learner: str = ""
    options: Mapping[str, Any] = {}
    """Of the learner."""
    own: Mapping[str, Any] = {}
    """Of the gate."""
    optimizer: Mapping[str, Any] = {}
    training: Mapping[str, Any] = {}

    def members(self) -> list[Member]:
        values = {LEARNER: self.learner} if self.learner else {}
        values |= {f"{LEARNER}.{name}": value for name, value in self.options.items()}
        return [Member(self._configuration(rate, values), seed) for seed, rate in enumerate(RATES)]

    def _configuration(self, rate: float, more: Mapping[str, Any]) -> Configuration:
        optimizer = {"name": "adam", "weight_decay": 1e-3, "learning_rate": rate, **self.optimizer}
        parts = Configuration.of(self.own, {"num_experts": 4}, optimizer, self.training)
        return Configuration({**parts.values, **more})

    def recipe(self) -> Recipe:
        return Recipe(64, 2)

    def begun(self, device: str) -> Training:
        return Training(self.task, gates.get(self.gate), self.members(), self.recipe(), device)

    def scores(self, device: str) -> dict[str, float]:
        """Return all metrics of a trial, an evaluation and another trial."""
        kinds = ("search", "evaluate", "search")
        jobs = [
            Job(kind, "one", self.gate, (member,), member.seed)
            for kind, member in zip(kinds, self.members(), strict=True)
        ]
        found: dict[str, float] = {}
        work = Work(self.task, jobs, self.recipe(), device=device, step_seconds=math.inf)
        for number, step in enumerate(work.step()):
            for _, epoch, metrics in step.epochs:
                found |= {f"{number}/{epoch}/{name}": value for name, value in metrics.items()}
            (ending,) = step.endings
            found |= {f"{number}/{name}": value for name, value in ending.metrics.items()}
        return {name: value for name, value in found.items() if "time/" not in name}


PRIVATE = {"clip": 0.5, "noise": 1.0, "delta": 1e-5, "sampled": 0.5, "rows": "own"}
SHOTS = {"shots": 8, "inner_steps": 2}
MAML = {**SHOTS, "adapts": "all", "held_out": 1, "start": "common"}
BRAIN = BrainEncoding(words=120, voxels=12, noise=2)

STEPPING = {
    **{name: Case(Mixed(), name) for name in gates.names() if name != "oracle"},
    "oracle": Case(gate="oracle"),
    "union": Case(gate="dselect_k", own={"union_weight": 0.1}),
    "films": Case(Films(), "dselect_k"),
    "films, sgd": Case(Films(), optimizer={"name": "sgd"}),
    "dense": Case(MMoESynthetic(**ROWS)),
    "pictures": Case(Pictures(), "cgc"),
    "dropping": Case(Dropping()),
    "sequences": Case(Sequences()),
    "weighted": Case(Weighted(), "top_k"),
    "adamw": Case(optimizer={"name": "adamw"}),
    "momentum": Case(optimizer={"name": "sgd", "momentum": 0.9}),
    "schedule": Case(training={"schedule": "cosine", "warmup": 0.1}),
    "clipped": Case(training={"gradient_clip": 0.1}),
    "gossip": Case(learner="gossip", options={"graph": "ring"}),
    "chains": Case(learner="gossip", options={"correlation": 0.5}),
    "mean_regularized": Case(learner="mean_regularized", options={"local_steps": 2}),
    "private": Case(learner="mean_regularized", options=PRIVATE),
    "anil": Case(gate="noisy_top_k", learner="anil", options=SHOTS),
    "maml": Case(learner="anil", options=MAML),
    "first_order": Case(learner="anil", options={**SHOTS, "first_order": True}),
}
"""By name what takes optimiser steps."""
FITTED = {
    "em": Case(BRAIN, learner="em", options={"restarts": 2}),
    "em, clusters": Case(BRAIN, learner="em", options={"restarts": 2, "start": "kmeans"}),
}
"""By name what is fitted in closed form."""


@contextmanager
def in_float64() -> Iterator[None]:
    """Compute in it meanwhile, where the order of sums matters little, on data made for it."""
    _forget()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)
        _forget()


def _forget() -> None:
    for case in (*STEPPING.values(), *FITTED.values()):
        for name in get_args(SplitName):
            case.task.forget(name)
