"""States of trials that train together: what a stop, a rung or a parting leaves is enough."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import gatelab.sweeps.driver.tune.ray_jobs  # noqa: F401 - sets what Ray reads, before Ray is imported
from gatelab.gates import Routing, TopKGate, gates
from gatelab.sweeps.cluster.storage import Storage
from gatelab.sweeps.driver.sweep import Jobs
from gatelab.sweeps.driver.tune.ray_hooks import Checkpoint, SavedStates, take
from gatelab.training.goal import BY_LOSS
from gatelab.training.jobs import Job, Setting
from gatelab.training.members import Members
from gatelab.training.optimizer import MemberOptimizer
from gatelab.training.states import STATE_FILE
from gatelab.training.table_steps import ApartSteps
from gatelab.training.work import Work
from tests.in_process import Worker
from tests.test_fused_tables import fused
from tests.test_parts_of_rounds import opened
from tests.test_together import OPTIONS, RECIPE, TASK, losses, run, saved, trial


def test_one_that_a_stop_left_at_its_rung_trains_no_further(tmp_path: Path) -> None:
    """Its state is noted before its arrival, and a stop may come between."""
    job = trial(0, 0.01, until=2)
    work, (step,) = run([job])
    _, (again,) = run([job], states=saved(tmp_path / "state", work, job))
    assert again == replace(step, epochs=[])


def test_a_file_of_one_trial_is_as_large_whoever_was_beside_it(tmp_path: Path) -> None:
    """What a member gave for val is a part of what all gave, and torch saves a part as a whole."""
    sizes = []
    for number in (1, 8):
        jobs = [trial(n, 0.01 + 0.001 * n, until=1) for n in range(number)]
        work, _ = run(jobs)
        saved(tmp_path / str(number), work, jobs[0])
        sizes.append((tmp_path / str(number) / STATE_FILE).stat().st_size)
    assert sizes[1] == pytest.approx(sizes[0], rel=0.01)


def test_what_an_optimizer_knows_of_tables_goes_to_their_device() -> None:
    """A saved state is read into the host's memory."""
    tables = [nn.Sequential(nn.Embedding(5, 2, sparse=True), nn.Linear(2, 1)) for _ in range(2)]
    options = [{"name": "adam", "learning_rate": 0.1, "weight_decay": 0.0}] * 2
    with fused(False):
        members = Members(tables)
    optimizer = MemberOptimizer(members, options)
    table = nn.Parameter(torch.empty(5, 2, device="meta"))
    members.tables[1] = {"0.weight": table}
    past = {"step": 3, "exp_avg": torch.ones(5, 2), "exp_avg_sq": torch.ones(5, 2)}
    optimizer.load(1, {**optimizer.state(1), "tables": {"0.weight": past}})
    assert isinstance(optimizer.tables, ApartSteps)
    found = optimizer.tables.torch.state[table]
    assert found["step"] == 3
    assert {found[name].device.type for name in ("exp_avg", "exp_avg_sq")} == {"meta"}


class Raising(TopKGate):
    """Raises in training while it is told to."""

    now = False

    def forward(self, x: Tensor) -> Routing:
        if self.now and self.training:
            raise RuntimeError("no memory for so many")
        return super().forward(x)


def states_of(course: Any, jobs: Jobs, deleting: ThreadPoolExecutor) -> tuple[SavedStates, Any]:
    found: Any = SimpleNamespace(
        trial_id="a",
        config={"jobs": [job.to_plain() for job in jobs], "states": [None] * len(jobs)},
        run_metadata=SimpleNamespace(num_failures=0),
    )
    return SavedStates(course, Storage("/nowhere"), deleting), found


def test_those_that_are_parted_go_on_from_where_they_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tune calls their parting an end, and at an end states are deleted."""
    monkeypatch.setitem(gates._classes, "raising", Raising)
    setting = Setting("synthetic_groups", OPTIONS, RECIPE, None, BY_LOSS, 1, 0, str(tmp_path))
    course = opened(tmp_path, gate="raising")
    jobs = course.next_jobs()
    worker = Worker(setting, jobs, [None] * len(jobs))
    worker.step_seconds = 0
    assert not take(course, jobs, worker.step())
    place = tmp_path / "checkpoint"
    place.mkdir()
    worker.save_checkpoint(str(place))
    with ThreadPoolExecutor(1) as deleting:
        callback, tunes = states_of(course, jobs, deleting)
        callback.on_checkpoint(0, [], tunes, Checkpoint.from_directory(place))
        monkeypatch.setattr(Raising, "now", True)
        assert take(course, jobs, worker.step()), "they are parted"
        callback.on_trial_complete(0, [tunes], tunes)
    monkeypatch.setattr(Raising, "now", False)
    half = course.next_jobs()
    assert len(half) < len(jobs)
    again = Worker(setting, half, [course.saved_state(job) for job in half])
    assert again._begin().training.epoch == 1  # type: ignore[union-attr]


def old_states(folder: Path, job: Job) -> str:
    """Leave a state in the form of the version before: of one trial, without its key."""
    folder.mkdir()
    work = Work(TASK, [job], RECIPE, step_seconds=0)
    (own,) = work._state(work.parts[0])["members"]
    torch.save({"training": own["training"], "before": {}, "seconds": 1.0}, folder / STATE_FILE)
    return str(folder)


def test_states_of_a_version_before_begin_anew(tmp_path: Path) -> None:
    setting = Setting("synthetic_groups", OPTIONS, RECIPE, None, BY_LOSS, 1, 0, str(tmp_path))
    jobs = (trial(0, 0.01), trial(1, 0.02))
    places = [old_states(tmp_path / str(job.number), job) for job in jobs]
    worker = Worker(setting, jobs, places)
    work = worker._begin()
    assert isinstance(work, Work) and work.training.epoch == 0
    assert [len(losses(step)) for step in work.step()] == [6, 6]
