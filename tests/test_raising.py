"""A pass that raises of one member ends that one alone; the others go on to the last bit."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import Function

from gatelab.gates import Gate, Routing, SoftmaxGate, gates
from gatelab.tasks import Network, SyntheticGroups
from gatelab.training.configuration import Configuration
from gatelab.training.jobs import Job
from gatelab.training.member import Member, Recipe
from gatelab.training.train import Training
from gatelab.training.work import Work

TASK = SyntheticGroups(num_targets=2, train_rows=96, val_rows=48, test_rows=48)
RECIPE = Recipe(32, 4)
DIVERGES = 1e20


class Choosy(Function):
    """Raises where anything is NaN, as some libraries do, or beyond a limit."""

    @staticmethod
    def forward(weights: Tensor, most: float) -> Tensor:
        if not (weights.abs() <= most).all():
            raise IndexError("index -1 is out of bounds")
        return weights.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient, None

    @staticmethod
    def vmap(info: Any, dims: tuple[int, None], weights: Tensor, most: float) -> tuple[Tensor, int]:
        return choosy(weights, most), dims[0]


def choosy(values: Tensor, most: float = 1.0) -> Tensor:
    return Choosy.apply(values, most)  # type: ignore[no-any-return, no-untyped-call]


class ChoosyGate(SoftmaxGate):
    def forward(self, x: Tensor) -> Routing:
        routing = super().forward(x)
        return routing._replace(weights=choosy(routing.weights))


class ChoosyWhenScored(SoftmaxGate):
    def forward(self, x: Tensor) -> Routing:
        routing = super().forward(x)
        return routing if self.training else routing._replace(weights=choosy(routing.weights))


def member(seed: int, rate: float = 1e-3) -> Member:
    optimizer = {"name": "adam", "learning_rate": rate, "weight_decay": 0.0}
    return Member(Configuration.of({}, {"num_experts": 4}, optimizer), seed)


def courses(training: Training, poisoned: int | None = None) -> list[list[float]]:
    found: list[list[float]] = [[] for _ in training.courses]
    while not training.done:
        for index, (train, evaluation) in training.run_epoch().items():
            found[index] += [train, evaluation.loss]
        if poisoned is not None and training.epoch == 1:
            training.members.flat.data[poisoned] = math.nan
    return found


@pytest.mark.parametrize("gate", [ChoosyGate, ChoosyWhenScored])
@pytest.mark.parametrize("one_by_one", [False, True])
def test_the_others_go_on_as_if_nothing_was(gate: type[SoftmaxGate], one_by_one: bool) -> None:
    """In the middle of an epoch, and between two."""
    sound = courses(Training(TASK, SoftmaxGate, [member(seed) for seed in range(3)], RECIPE))
    for rate, poisoned in ((DIVERGES, None), (1e-3, 1)):
        training = Training(TASK, gate, [member(0), member(1, rate), member(2)], RECIPE)
        training.members.fused = not one_by_one
        found = courses(training, poisoned)
        assert [course.end for course in training.courses] == ["finished", "failed", "finished"]
        epoch = 1 if poisoned is None else 2
        assert training.courses[1].reason.endswith(f"loss is nan in epoch {epoch}")
        for place in (0, 2):
            assert found[place] == pytest.approx(sound[place], rel=1e-5)


def weighted(seed: int, weight: float, rate: float = 1e-3) -> Member:
    own, values = member(seed, rate), {f"training.target_weights.{TASK.targets[0].name}": weight}
    return Member(Configuration({**own.configuration.values, **values}), seed)


def test_the_others_keep_the_weights_by_which_they_minimise() -> None:
    """Each its own, though those before them have left."""
    sound = courses(Training(TASK, SoftmaxGate, [weighted(0, 9.0), weighted(2, 0.1)], RECIPE))
    members = [weighted(1, 4.0, DIVERGES), weighted(0, 9.0), weighted(2, 0.1)]
    found = courses(Training(TASK, ChoosyGate, members, RECIPE))
    assert found[1:] == [pytest.approx(course, rel=1e-5) for course in sound]


@pytest.fixture
def registered() -> Iterator[str]:
    gates.register("choosy", Gate)(ChoosyGate)
    yield "choosy"
    del gates._classes["choosy"]


@pytest.mark.parametrize("stage", ["search", "evaluate"])
def test_of_a_job_too(stage: Any, registered: str) -> None:
    """Of trials that train together, and of the seeds of an evaluation."""
    members = [member(0), member(1, DIVERGES), member(2)]
    if stage == "search":
        jobs = [Job(stage, "one", registered, (each,), n) for n, each in enumerate(members)]
    else:
        jobs = [Job(stage, "one", registered, tuple(members), 0)]
    steps = Work(TASK, jobs, RECIPE, step_seconds=1000).step()
    endings = [ending for step in steps for ending in step.endings or ()]
    assert [ending.end for ending in endings] == ["finished", "failed", "finished"]
    assert endings[1].reason == "train/loss is nan in epoch 1"
    split = "val" if stage == "search" else "test"
    assert all(math.isfinite(endings[n].metrics[f"{split}/loss"]) for n in (0, 2))


def test_one_alone_says_what_it_is_too() -> None:
    training = Training(TASK, ChoosyGate, [member(0, DIVERGES)], RECIPE)
    assert courses(training) == [[]]
    assert training.courses[0].reason == "train/loss is nan in epoch 1"


class Limited(nn.Module):
    """Raises of numbers that are sound, but large."""

    def forward(self, x: Tensor) -> Tensor:
        return choosy(x, 1e6)


def test_what_raises_of_all_is_no_members_matter() -> None:
    training = Training(TASK, ChoosyGate, [member(0), member(1)], RECIPE)
    training.split("train").inputs.fill_(torch.nan)
    with pytest.raises(IndexError, match="index -1"):
        training.run_epoch()


class Scaled(SyntheticGroups):
    """A network that raises of large numbers."""

    def network(self, **options: Any) -> Network:
        found = super().network(**options)
        return replace(found, expert=lambda: nn.Sequential(found.expert(), Limited()))


def test_a_sound_member_of_which_it_raises_says_why() -> None:
    task = Scaled(num_targets=2, train_rows=96, val_rows=48, test_rows=48)
    training = Training(task, SoftmaxGate, [member(0), member(1, 1e4)], RECIPE)
    courses(training)
    assert [course.end for course in training.courses] == ["finished", "failed"]
    reason = training.courses[1].reason
    assert reason.startswith("IndexError: index -1 is out of bounds (")
    assert reason.endswith(") in epoch 1")
