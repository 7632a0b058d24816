"""What a last pass or a metric raises of one member ends that one alone; the rest are scored."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from gatelab.gates import Gate, Routing, SoftmaxGate, gates
from gatelab.tasks import Metric, Split, SplitName, SyntheticGroups
from gatelab.tasks.metric import metrics
from gatelab.training.configuration import Configuration
from gatelab.training.jobs import Job
from gatelab.training.member import Member, Recipe
from gatelab.training.work import Work
from tests.test_raising import choosy

LOUD = 1000.0
"""By which rows are multiplied that a marked gate refuses."""
REFUSED = "IndexError: index -1 is out of bounds"


class Loud(SyntheticGroups):
    """A task whose test split is loud."""

    def split(self, name: SplitName) -> Split:
        inputs, *others = super().split(name)
        return Split(inputs * (LOUD if name == "test" else 1.0), *others)


SIZES = {"num_targets": 2, "train_rows": 96, "val_rows": 48, "test_rows": 48}


class Marked(SoftmaxGate):
    """Raises of loud rows, where it is marked."""

    def __init__(self, in_features: int, num_experts: int, *, mark: float = 0.0) -> None:
        super().__init__(in_features, num_experts)
        self.register_hyperparameters(mark=mark)

    def forward(self, x: Tensor) -> Routing:
        routing = super().forward(x)
        loud = (x.abs().max() > LOUD / 2).to(x.dtype)
        return routing._replace(weights=routing.weights + choosy(self.mark * loud, 0.5) * 0)


class Picky(Metric):
    """Refuses outputs of one member."""

    kinds = ("regression",)
    higher_is_better = False
    refused: Callable[[Tensor], bool]

    def compute(self, outputs: Tensor, target: Tensor) -> Tensor:
        if type(self).refused(outputs):
            raise KeyError("nothing like it")
        return (outputs[:, 0] - target).abs().mean()


@pytest.fixture(autouse=True)
def registered() -> Iterator[None]:
    gates.register("marked", Gate)(Marked)
    metrics.register("picky", Metric)(Picky)
    yield
    del gates._classes["marked"], metrics._classes["picky"]


def member(seed: int, mark: float) -> Member:
    optimizer = {"name": "adam", "learning_rate": 1e-3, "weight_decay": 0.0}
    return Member(Configuration.of({"mark": float(mark)}, {"num_experts": 4}, optimizer), seed)


def worked(jobs: list[Job], task: SyntheticGroups, **options: Any) -> tuple[Work, list[Any]]:
    work = Work(task, jobs, Recipe(32, 2), step_seconds=1000, **options)
    return work, [ending for step in work.step() for ending in step.endings or ()]


def evaluation(*marks: float) -> list[Job]:
    members = tuple(member(seed, mark) for seed, mark in enumerate(marks))
    return [Job("evaluate", "one", "marked", members)]


def test_the_test_pass_loses_only_the_member_of_which_it_raises(tmp_path: Path) -> None:
    """With its traceback, and never as the model that is kept; the rest score as without it."""
    _, (first, last) = worked(evaluation(0, 0), Loud(**SIZES))
    work, endings = worked(evaluation(0, 0, 1), Loud(**SIZES))
    assert [ending.end for ending in endings] == ["finished", "finished", "failed"]
    assert endings[2].reason == REFUSED and 'raise IndexError("index -1' in endings[2].trace
    for found, wanted in zip(endings[:2], (first, last), strict=True):
        assert found.metrics["test/loss"] == pytest.approx(wanted.metrics["test/loss"], rel=1e-5)
    work.training.courses[2].best_cost = -1.0
    work.save_model(tmp_path / "model.pt")
    assert torch.load(tmp_path / "model.pt", weights_only=True)["seed"] in (0, 1)


def test_what_the_test_pass_raises_of_all_ends_the_job() -> None:
    with pytest.raises(IndexError, match="index -1"):
        worked(evaluation(1, 1), Loud(**SIZES))


def test_memory_is_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: Any) -> None:
        raise MemoryError

    monkeypatch.setattr("gatelab.training.train.Training.evaluate_best", none)
    with pytest.raises(MemoryError):
        worked(evaluation(0, 0), Loud(**SIZES))


def refuse_the_second(rows: int) -> None:
    """Let the metric refuse the outputs of so many rows of the second member that it meets."""
    seen: dict[float, int] = {}

    def refused(outputs: Tensor) -> bool:
        place = seen.setdefault(float(outputs.sum()), len(seen)) if len(outputs) == rows else 0
        return place == 1

    Picky.refused = staticmethod(refused)  # type: ignore[assignment]


@pytest.mark.parametrize("rows", [SIZES["val_rows"], 40])
def test_a_metric_that_raises_of_one_member(rows: int) -> None:
    """After an epoch, or of the test split alone."""
    task = Loud(**{**SIZES, "test_rows": 40})
    refuse_the_second(rows)
    _, endings = worked(evaluation(0, 0, 0), task, metrics=["picky"])
    (failed,) = [ending for ending in endings if ending.end == "failed"]
    assert failed.reason.startswith("KeyError: 'nothing like it'")
    assert ("in epoch 1" in failed.reason) == (rows == SIZES["val_rows"])
    sound = [ending for ending in endings if ending.end == "finished"]
    assert all("picky" in ending.by_target[task.targets[0].name] for ending in sound)


def test_a_metric_that_raises_of_one_of_several_trials() -> None:
    jobs = [Job("search", "one", "marked", (member(n, 0),), n) for n in range(3)]
    refuse_the_second(SIZES["val_rows"])
    _, endings = worked(jobs, Loud(**SIZES), metrics=["picky"])
    assert [ending.end for ending in endings] == ["finished", "failed", "finished"]
    assert all(math.isfinite(endings[n].metrics["val/mean/picky"]) for n in (0, 2))
