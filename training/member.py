"""Members: what one model is trained by, how long, and what has become of it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gatelab.gates.gate import Gate
from gatelab.gates.randomness import drawing_from
from gatelab.tasks.task import Task
from gatelab.training.configuration import Configuration
from gatelab.training.evaluation import Evaluation
from gatelab.training.goal import Rank
from gatelab.training.model import Model
from gatelab.training.precision import Precision


@dataclass(frozen=True)
class Member:
    """One model to train: its hyperparameters, and the seed of its start and data order."""

    configuration: Configuration
    seed: int


@dataclass(frozen=True)
class Recipe:
    """How long all members train, and on how many rows a step."""

    batch_size: int
    max_epochs: int
    patience: int | None = None
    """Epochs without a better objective before a member stops, counted from the end of its gate's
    schedule; ``None``: never."""
    precision: Precision = "float32"
    """Of the products in a step."""


@dataclass
class Course:
    """What has become of a member so far."""

    epochs: int = 0
    best_epoch: int = 0
    """Of the weights that are kept, counted from 1; 0 before any epoch."""
    best_cost: float = math.inf
    """Their rank's, like the next."""
    broken: bool = True
    end: str | None = None
    """``finished`` or ``failed``, once it has ended."""
    reason: str = ""
    unweighted: float | None = None
    """The last epoch's mean training loss with all rows counting alike, where they do not."""
    scores: dict[str, float] = field(default_factory=dict)
    """Of the epoch whose weights are kept, by their keys in the record."""

    def better(self, rank: Rank) -> bool:
        """Take in the rank of an epoch's weights; return whether they are the best so far."""
        self.epochs += 1
        if not (math.isfinite(rank.cost) and rank < (self.broken, self.best_cost)):
            return False
        self.broken, self.best_cost = rank
        self.best_epoch = self.epochs
        return True

    def take(self, scores: Mapping[str, float]) -> None:
        """Keep the scores of an epoch that was taken in, where its weights are the best so far.

        What only later epochs have, such as a change since the one before, is NaN of the best.
        """
        best = self.best_epoch == self.epochs
        self.scores = dict(scores) if best else {**dict.fromkeys(scores, math.nan), **self.scores}

    def why_failed(self, train_loss: float, evaluation: Evaluation, rank: Rank) -> str:
        """Return which number of the epoch is not finite; empty if all are."""
        for name, value in (("train/loss", train_loss), ("val/loss", evaluation.loss)):
            if not math.isfinite(value):
                return f"{name} is {value} in epoch {self.epochs}"
        if not math.isfinite(rank.cost):
            return f"the objective is {rank.cost} in epoch {self.epochs}"
        return ""

    def end_if_due(self, failed: str, recipe: Recipe, settled: int) -> None:
        """End where it has failed, all epochs are done, or nothing was better for long.

        Args:
            failed: Why; empty if it has not.
            recipe: How long it trains.
            settled: The epoch from which its patience counts.
        """
        waited = self.epochs - max(self.best_epoch, settled)
        if failed:
            self.end, self.reason = "failed", failed
        elif self.epochs >= recipe.max_epochs:
            self.end, self.reason = "finished", f"reached max_epochs ({self.epochs})"
        elif recipe.patience is not None and waited >= recipe.patience:
            self.end, self.reason = "finished", f"nothing better for {waited} epochs"


def settled_epoch(gate: type[Gate], hyperparameters: Mapping[str, Any], max_epochs: int) -> int:
    """Return the first epoch, counted from 1, that begins after a gate's schedule; 0 without one.

    What a gate was before tells little of what it will be, so nothing is decided earlier.
    """
    share = gate.schedule_end(hyperparameters)
    return math.ceil(share * max_epochs) + 1 if share else 0


def check_structure(members: Sequence[Member]) -> None:
    """Check that all members can share one skeleton, whose plain attributes are the first's.

    Raises:
        ValueError: If they cannot.
    """
    structures = {member.configuration.structure() for member in members}
    if len(structures) != 1:
        raise ValueError(
            f"Members must have one structure, but got {sorted(map(str, structures))}."
        )


def build_model(task: Task, gate: type[Gate], member: Member) -> Model:
    """Make a model from a member's own seed, without a trace in torch's random state.

    Raises:
        ValueError: If a hyperparameter is out of its range.
    """
    with drawing_from(member.seed):
        model = Model(task, gate, member.configuration.gate, member.configuration.model)
    return model.train()  # where a network may freeze a part of itself
