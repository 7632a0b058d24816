"""A round's trials are parted into jobs, by structure and width; what fails is parted again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from optuna.distributions import CategoricalDistribution, FloatDistribution

import gatelab.sweeps.driver.tune.ray_jobs  # noqa: F401 - sets what Ray reads, before Ray is imported
from gatelab.gates import SoftmaxGate, gates
from gatelab.sweeps.driver.evaluations import Plan
from gatelab.sweeps.driver.sweep import Jobs, Sweep
from gatelab.sweeps.driver.tune.ray_hooks import take
from gatelab.sweeps.search.studies import open_studies
from gatelab.sweeps.spec.rounds import Rounds
from gatelab.sweeps.spec.space import SearchSpace
from gatelab.training.goal import BY_LOSS
from gatelab.training.jobs import Job, Setting
from gatelab.training.steps import Ending, Step
from tests.in_process import Worker
from tests.test_together import OPTIONS, RATES, RECIPE, trial

SPACE = SearchSpace(
    {"optimizer.name": "adam", "optimizer.weight_decay": 0.0, "model.num_experts": 4},
    {
        "gate.k": CategoricalDistribution([1, 2]),
        "optimizer.learning_rate": FloatDistribution(0.002, 0.05),
    },
)


RATE = "optimizer.learning_rate"
ALIKE = SearchSpace({**SPACE.fixed, "gate.k": 2}, {RATE: SPACE.distributions[RATE]})
"""Of one structure."""


def opened(
    folder: Path,
    width: int = 3,
    trials: int = 8,
    gate: str = "top_k",
    space: SearchSpace = SPACE,
) -> Sweep:
    rounds = {"one": Rounds(trials, (2,), 2)}
    found = open_studies(folder / "j", {"one": space}, rounds, sampler="random", seed=3)
    return Sweep(Plan(trials, 1, 2, 0, width=width), {"one": gate}, found)


def arrived(sweep: Sweep, job: Job) -> None:
    loss = 1 + job.members[0].configuration.values["optimizer.learning_rate"]
    sweep.progress(job, Step(2, loss, False, [], None))


def numbers(parts: Sequence[Jobs]) -> list[tuple[int, ...]]:
    return [tuple(job.number for job in jobs) for jobs in parts]


def test_a_rounds_trials_are_parted_by_structure_and_width(tmp_path: Path) -> None:
    sweep = opened(tmp_path)
    parts = []
    while jobs := sweep.next_jobs():
        parts.append(jobs)
        assert sweep.busy == len(parts), "together they take one place"
    assert sorted(number for part in numbers(parts) for number in part) == list(range(8))
    for jobs in parts:
        assert len({job.members[0].configuration.structure() for job in jobs}) == 1
        assert len(jobs) <= 3 and {job.until for job in jobs} == {2}
    assert len(parts) < 8


@pytest.mark.parametrize(
    ("trials", "width", "sizes"),
    [(8, 3, [2, 3, 3]), (7, 3, [2, 2, 3]), (5, 4, [2, 3]), (4, 4, [4]), (3, 1, [1, 1, 1])],
)
def test_parts_are_even(tmp_path: Path, trials: int, width: int, sizes: list[int]) -> None:
    """None trains alone that need not."""
    sweep = opened(tmp_path, width, trials, space=ALIKE)
    parts = []
    while jobs := sweep.next_jobs():
        parts.append(jobs)
    assert sorted(map(len, parts)) == sizes
    assert [n for part in numbers(parts) for n in part] == list(range(trials)), "in order"


def test_who_trains_with_whom_does_not_change_with_a_stop(tmp_path: Path) -> None:
    """Neither with a part that waits at the rung, nor with what is under way."""
    sweep = opened(tmp_path)
    parts = []
    while jobs := sweep.next_jobs():
        parts.append(jobs)
    for job in parts[0]:
        arrived(sweep, job)
    again = opened(tmp_path)
    left = []
    while jobs := again.next_jobs():
        left.append(jobs)
    assert numbers(left) == numbers(parts[1:])
    for jobs in left:
        for job in jobs:
            arrived(again, job)
    jobs = again.next_jobs()
    assert jobs and {job.until for job in jobs} == {None}, "those that go on"


def test_a_trial_of_several_seeds_counts_as_many(tmp_path: Path) -> None:
    sweep = opened(tmp_path)
    sweep.plan = Plan(8, 2, 2, 0, width=5)
    jobs = sweep.next_jobs()
    assert len(jobs) == 2 and [len(job.members) for job in jobs] == [2, 2]


def test_what_was_found_for_a_search_holds_there(tmp_path: Path) -> None:
    """Also after a stop."""
    opened(tmp_path, width=8, space=ALIKE).studies["one"].mark(width=2)
    sweep = opened(tmp_path, width=8, space=ALIKE)
    assert len(sweep.next_jobs()) == 2
    sweep.plan = Plan(8, 2, 2, 0, width=8)
    assert len(sweep.next_jobs()) == 1, "two members are one trial of two seeds"


class Choosy(SoftmaxGate):
    """Raises for the seed of one trial."""

    bad = 1

    def __init__(self, in_features: int, num_experts: int, **more: Any) -> None:
        super().__init__(in_features, num_experts, **more)
        if torch.initial_seed() == 100 + self.bad:
            raise RuntimeError("this one cannot be made")


def test_one_that_raises_fails_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The others are parted from it, half by half, and go on from where they were."""
    monkeypatch.setitem(gates._classes, "choosy", Choosy)
    setting = Setting("synthetic_groups", OPTIONS, RECIPE, None, BY_LOSS, 1, 0, str(tmp_path))
    jobs = [replace(trial(n, rate), gate="choosy") for n, rate in enumerate(RATES)]
    ends: dict[int, list[Ending]] = {}

    class Taken:
        """What a sweep does with parts, and nothing else."""

        def __init__(self) -> None:
            self.waiting: list[Jobs] = [tuple(jobs)]
            self.handed: list[Jobs] = []
            self.stopped = ""

        def part(self, parted: Jobs) -> None:
            half = (len(parted) + 1) // 2
            self.waiting += [parted[:half], parted[half:]]

        def progress(self, job: Job, step: Step, state: str | None = None) -> bool:
            if step.endings is not None:
                ends[job.number] = step.endings
            return step.endings is not None

    taken = Taken()
    while taken.waiting:
        handed = taken.waiting.pop(0)
        taken.handed.append(handed)
        worker = Worker(setting, handed, [None] * len(handed))
        while not take(taken, handed, worker.step()):  # type: ignore[arg-type]
            pass
    assert numbers(taken.handed) == [(0, 1, 2, 3), (0, 1), (2, 3), (0,), (1,)]
    assert {n: found[0].end for n, found in ends.items()} == {
        **{0: "finished", 1: "failed", 2: "finished", 3: "finished"}
    }
    assert ends[1][0].reason == "RuntimeError: this one cannot be made"


def test_a_lost_worker_parts_them_before_anything_fails(tmp_path: Path) -> None:
    sweep = opened(tmp_path, trials=6, space=ALIKE)
    jobs = sweep.next_jobs()
    assert len(jobs) == 3
    sweep.lose(jobs, "its worker was lost 4 times")
    assert sweep.studies["one"].outcomes.ends() == {}
    assert [len(sweep.next_jobs()) for _ in range(2)] == [2, 1], "before any other"
    one = jobs[2:]
    sweep.lose(one, "its worker was lost 4 times")
    assert sweep.studies["one"].outcomes.ends() == {"failed": 1}
    sweep.lose(one, "once more")
    sweep.part(one)
    assert sweep.returned == [] and sweep.studies["one"].outcomes.ends() == {"failed": 1}
