"""What the driver does at every event costs no more after many trials, or with many at once."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from optuna.distributions import FloatDistribution
from torch import Tensor

import gatelab.sweeps.driver.tune.ray_jobs  # noqa: F401 - sets what Ray reads, before Ray is imported
from gatelab.gates import Routing, SoftmaxGate, gates
from gatelab.sweeps.cluster.storage import Storage
from gatelab.sweeps.driver.evaluations import Plan
from gatelab.sweeps.driver.sweep import Sweep
from gatelab.sweeps.driver.tune import ray_hooks
from gatelab.sweeps.search.studies import open_studies
from gatelab.sweeps.spec.rounds import Rounds
from gatelab.sweeps.spec.space import SearchSpace
from gatelab.tasks import SyntheticGroups
from gatelab.training.configuration import Configuration
from gatelab.training.goal import BY_LOSS
from gatelab.training.jobs import Job, Setting
from gatelab.training.member import Member, Recipe
from gatelab.training.steps import Ending, Step
from gatelab.training.work import STEP_SECONDS, Work
from tests.handing import next_job
from tests.in_process import Worker

SPACE = SearchSpace({"optimizer.name": "adam"}, {"gate.gamma": FloatDistribution(0.1, 1.0)})
SETTING = Setting("synthetic_groups", {}, Recipe(64, 4), None, BY_LOSS, 1, 0, "/nowhere")


def sweep(folder: Path, trials: int = 9) -> Sweep:
    rounds = {"one": Rounds(trials)}
    studies = open_studies(folder / "journal", {"one": SPACE}, rounds, sampler="random", seed=0)
    return Sweep(Plan(trials, 1, 2, 0), {"one": "softmax"}, studies)


def slots(number: int, asked: list[int]) -> Callable[[float, float], int]:
    def answer(cpus: float, gpus: float) -> int:
        asked.append(number)
        return number

    return answer


def test_rays_head_is_not_asked_for_the_clusters_size_at_every_event(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    monkeypatch.setattr(ray_hooks, "slots", slots(2, asked))
    jobs = ray_hooks.JobSource(sweep(tmp_path), SETTING)
    given = [jobs.suggest(str(event)) for event in range(50)]
    assert sum(job is not None for job in given) == 3, "as many as run, and one that waits"
    assert len(asked) == 1
    jobs.asked -= ray_hooks.SLOTS_SECONDS + 1
    jobs.suggest("later")
    assert len(asked) == 2, "nodes may have come or gone"


def test_optuna_is_not_read_at_every_event(tmp_path: Path) -> None:
    course = sweep(tmp_path)
    assert next_job(course) is not None
    course.studies["one"].study = SimpleNamespace()  # type: ignore[assignment]
    assert not course.finished


@pytest.mark.parametrize(("number", "seconds"), [(1, STEP_SECONDS), (1000, 20.0)])
def test_more_trials_at_once_take_longer_steps(
    number: int, seconds: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_hooks, "slots", slots(number, []))
    config = ray_hooks.JobSource(sweep(tmp_path), SETTING).suggest("one")
    assert config is not None
    assert config["step_seconds"] == seconds


class States:
    """States of one trial's job, saved as Tune saves them."""

    def __init__(self, folder: Path, course: Sweep) -> None:
        self.folder, self.course = folder, course
        job = next_job(course)
        assert job is not None
        self.job = job
        self.trial: Any = SimpleNamespace(
            trial_id="a",
            config={"jobs": [self.job.to_plain()], "states": [course.saved_state(self.job)]},
            run_metadata=SimpleNamespace(num_failures=2),
        )
        self.executor = ThreadPoolExecutor(1)
        self.callback = ray_hooks.SavedStates(course, Storage(folder), self.executor)

    def save(self, *names: str) -> None:
        for name in names:
            (self.folder / name).mkdir()
            checkpoint = ray_hooks.Checkpoint.from_directory(self.folder / name)
            self.callback.on_checkpoint(0, [], self.trial, checkpoint)
        assert self.trial.run_metadata.num_failures == 0, "it has got on since"

    def complete(self) -> None:
        trials = [self.trial]
        self.callback.on_trial_complete(0, trials, self.trial)
        assert trials == [], "or Tune would look for its results in the storage at the end"

    def left(self) -> Sequence[str]:
        self.executor.submit(lambda: None).result()  # after all that was asked before
        return sorted(path.name for path in self.folder.iterdir())


def test_states_that_nobody_will_read_are_deleted(tmp_path: Path) -> None:
    (tmp_path / "states").mkdir()
    states = States(tmp_path / "states", sweep(tmp_path))
    states.save("1", "2", "3", "4")
    assert states.left() == ["3", "4"]
    assert states.course.saved_state(states.job) == "4", "wherever the folder is moved"
    ending = Ending("finished", "because", 4, 0.5)
    states.course.progress(states.job, Step(4, 0.5, False, [], [ending]))
    states.complete()
    assert states.left() == []
    states.save("5")
    assert states.left() == [], "it was on its way when the trial ended"


@pytest.mark.parametrize("by_path", [False, True])
def test_the_state_of_a_start_before_is_deleted_once_nobody_needs_it(
    by_path: bool, tmp_path: Path
) -> None:
    """Also where the trial ends before it has saved another; of mates the last one deletes it.

    A sweep of before may have noted its path.
    """
    folder, course = tmp_path / "states", sweep(tmp_path)
    first, second = next_job(course), next_job(course)
    assert first is not None and second is not None
    (folder / "before").mkdir(parents=True)
    for job in (first, second):
        course.keep_state(job, str(folder / "before") if by_path else "before")
    again = sweep(tmp_path)
    states, mate = States(folder, again), States(folder, again)
    ending = Ending("finished", "because", 4, 0.5)
    again.progress(states.job, Step(4, 0.5, False, [], [ending]))
    states.complete()
    assert states.left() == ["before"], "the other goes on from it"
    again.progress(mate.job, Step(4, 0.5, False, [], [ending]))
    mate.complete()
    assert mate.left() == []


def test_epochs_are_recorded_before_the_state_after_them_is_noted(tmp_path: Path) -> None:
    """Or a kill between the two would leave them out of the record: nobody trains them again."""
    course, noted = sweep(tmp_path), []
    job = next_job(course)
    assert job is not None
    hears = SimpleNamespace(progressed=lambda job, step: noted.append(course.saved_state(job)))
    course.listeners = [hears]  # type: ignore[list-item]
    course.progress(job, Step(2, 0.5, False, [], None), "states/2")
    assert noted == [None] and course.saved_state(job) == "states/2"


def test_states_of_a_job_that_goes_on_stay(tmp_path: Path) -> None:
    """As after Ctrl-C, whatever Tune calls its trial's end."""
    (tmp_path / "states").mkdir()
    states = States(tmp_path / "states", sweep(tmp_path))
    states.save("1", "2")
    states.complete()
    assert states.left() == ["1", "2"]


@pytest.mark.parametrize(("seconds", "epochs"), [(0.0, 1), (1000.0, 3)])
def test_a_step_ends_after_its_seconds(seconds: float, epochs: int) -> None:
    task = SyntheticGroups(num_targets=2, train_rows=64, val_rows=32, test_rows=32)
    optimizer = {"name": "adam", "learning_rate": 0.01, "weight_decay": 0.0}
    member = Member(Configuration.of({}, {"num_experts": 4}, optimizer), 0)
    job = Job("search", "one", "softmax", (member,))
    assert Work(task, [job], Recipe(64, 3), step_seconds=seconds).step()[0].epoch == epochs


def test_a_state_that_is_gone_begins_its_job_anew(tmp_path: Path) -> None:
    """As after somebody has deleted it; the trial is no failed one."""
    options = {"num_targets": 2, "train_rows": 64, "val_rows": 32, "test_rows": 32}
    setting = Setting(
        "synthetic_groups", options, Recipe(64, 2), None, BY_LOSS, 1, 0, str(tmp_path)
    )
    optimizer = {"name": "adam", "learning_rate": 0.01, "weight_decay": 0.0}
    member = Member(Configuration.of({}, {"num_experts": 4}, optimizer), 0)
    jobs = (Job("search", "one", "softmax", (member,)),)
    (step,) = ray_hooks._parse(Worker(setting, jobs, [str(tmp_path / "gone")]).step()["steps"])
    assert step.endings is not None
    assert [(ending.end, ending.epoch) for ending in step.endings] == [("finished", 2)]


class Exiting(SoftmaxGate):
    """Ends the process that it runs in."""

    def forward(self, x: Tensor) -> Routing:
        sys.exit("no data here")


def test_a_gate_that_exits_ends_its_job_and_not_the_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(gates._classes, "exiting", Exiting)
    options = {"num_targets": 2, "train_rows": 64, "val_rows": 32, "test_rows": 32}
    setting = Setting(
        "synthetic_groups", options, Recipe(64, 2), None, BY_LOSS, 1, 0, str(tmp_path)
    )
    optimizer = {"name": "adam", "learning_rate": 0.01, "weight_decay": 0.0}
    member = Member(Configuration.of({}, {"num_experts": 4}, optimizer), 0)
    jobs = (Job("search", "one", "exiting", (member,)),)
    (step,) = ray_hooks._parse(Worker(setting, jobs, [None]).step()["steps"])
    assert step.endings is not None
    assert [(it.end, it.reason) for it in step.endings] == [("failed", "SystemExit: no data here")]
