"""States that cannot be gone on from: the job begins anew, and one line says why."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import gatelab.sweeps.driver.tune.ray_jobs  # noqa: F401 - sets what Ray reads, before Ray is imported
from gatelab.tasks import SyntheticGroups
from gatelab.training.goal import BY_LOSS
from gatelab.training.jobs import Job, Setting
from gatelab.training.states import STATE_FILE, StateError, read_state
from gatelab.training.work import Work
from tests.in_process import Worker, gatelab
from tests.launched import read
from tests.test_together import OPTIONS, RECIPE, TASK, trial

JOBS = (trial(0, 0.01), trial(1, 0.02))
SPEC = """
name: c
task: {name: synthetic_groups, num_targets: 2, train_rows: 96, val_rows: 48, test_rows: 48}
gates: [softmax]
baselines: false
training: {max_epochs: 8}
search: {trials: 4, early_stopping: {grace_epochs: 2}}
evaluation: {seeds: 2}
resources: {members: 2}
"""
Change = Callable[[Any], Any]


def left(folder: Path, jobs: tuple[Job, ...] = JOBS) -> Path:
    """Leave the state of jobs after an epoch."""
    folder.mkdir()
    work = Work(TASK, jobs, RECIPE, step_seconds=0)
    work.step()
    work.save(folder)
    return folder / STATE_FILE


def begun(path: Path, jobs: tuple[Job, ...] = JOBS, **options: int) -> Work:
    """Begin jobs with the state that lies in a file."""
    place = path.parent
    setting = Setting(
        "synthetic_groups", {**OPTIONS, **options}, RECIPE, None, BY_LOSS, 1, 0, str(place.parent)
    )
    work = Worker(setting, jobs, [str(place)] * len(jobs))._begin()
    assert isinstance(work, Work)
    return work


def anew(path: Path, jobs: tuple[Job, ...] = JOBS, **options: int) -> str:
    """Check that jobs begin anew and train to their end; return the line that says so."""
    work = begun(path, jobs, **options)
    assert work.training.epoch == 0
    work.step_seconds = 1000
    steps = work.step()
    assert [len(step.epochs) for step in steps] == [RECIPE.max_epochs] * len(jobs)
    assert all(step.endings and step.endings[0].end == "finished" for step in steps)
    (line,) = steps[0].notes
    assert "\n" not in line
    return line


def test_a_state_is_gone_on_from_without_a_word(tmp_path: Path) -> None:
    work = begun(left(tmp_path / "state"))
    assert (work.training.epoch, work.training.notes) == (1, [])


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-700])


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


def _pickle(path: Path) -> None:
    torch.save({JOBS[0].key: {"epoch": 1, "members": SyntheticGroups}}, path)


def _list(path: Path) -> None:
    torch.save([1, 2], path)


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (_truncate, "cannot be read ("),
        (_flip, "is damaged"),
        (lambda path: path.write_bytes(b""), "cannot be read ("),
        (lambda path: path.write_text("no state"), "cannot be read ("),
        (_pickle, "cannot be read (UnpicklingError"),
        (_folder, "cannot be read ("),
        (_list, "is of another form"),
        (lambda path: path.unlink(), "is gone"),
    ],
)
def test_files_that_cannot_be_read(spoil: Callable[[Path], None], why: str, tmp_path: Path) -> None:
    path = left(tmp_path / "state")
    spoil(path)
    line = anew(path)
    assert line.startswith(f"trials 0, 1 begin anew, since its state {why}")
    assert line.endswith(str(path.parent))


def changed(path: Path, *keys: Any, value: Any = None, drop: bool = False) -> None:
    """Change a part of the second job's state."""
    states = read_state(path.parent)
    part: Any = states[JOBS[1].key]
    for key in keys[:-1]:
        part = part[key]
    if drop:
        del part[keys[-1]]
    else:
        part[keys[-1]] = value
    torch.save(states, path)


MEMBER = ("members", 0)
COURSE = (*MEMBER, "training", "course")


@pytest.mark.parametrize(
    "keys",
    [
        ("last",),
        ("members",),
        (*MEMBER, "scoring"),
        (*MEMBER, "seconds"),
        (*MEMBER, "scoring", "settled"),
        (*MEMBER, "scoring", "dense"),
        (*COURSE, "best_cost"),
        (*COURSE, "scores"),
        (*MEMBER, "training", "optimizer"),
        (*MEMBER, "training", "optimizer", "rule"),
        (*MEMBER, "training", "optimizer", "rule", "mean"),
        (*MEMBER, "training", "best", "towers.0.each.0.bias"),
    ],
)
@pytest.mark.parametrize("drop", [True, False])
def test_parts_that_are_missing_or_something_else(
    keys: tuple[Any, ...], drop: bool, tmp_path: Path
) -> None:
    """As another version leaves them; a course that lacks its best would go on wrongly."""
    path = left(tmp_path / "state")
    changed(path, *keys, drop=drop, value=[torch.zeros(2)])
    assert "its state is of another form (" in anew(path)


@pytest.mark.parametrize("key", ["one/search/7", "members", 3])
def test_parts_too_many(key: Any, tmp_path: Path) -> None:
    path = left(tmp_path / "state")
    changed(path, key, value=1)
    assert "its state is of another form (" in anew(path)


@pytest.mark.parametrize("shape", [(), (1,), (3, 1), (16, 3)])
def test_tensors_of_another_shape(shape: tuple[int, ...], tmp_path: Path) -> None:
    """Some of which could be loaded, and would be taken for what they are not."""
    path = left(tmp_path / "state")
    training = (*MEMBER, "training")
    changed(path, *training, "best", "towers.0.each.0.bias", value=torch.ones(shape))
    assert "(members[0].training.best.towers.0.each.0.bias)" in anew(path)


@pytest.mark.parametrize("dtype", [torch.float64, torch.int64, torch.bool])
def test_tensors_of_another_type(dtype: torch.dtype, tmp_path: Path) -> None:
    """Which torch would round to what they are to be without a word."""
    path = left(tmp_path / "state")
    keys = (*MEMBER, "training", "best", "towers.0.each.0.bias")
    own = read_state(path.parent)[JOBS[1].key]["members"][0]["training"]["best"][keys[-1]]
    changed(path, *keys, value=own.to(dtype))
    assert "(members[0].training.best.towers.0.each.0.bias)" in anew(path)


def test_another_network(tmp_path: Path) -> None:
    """Whose tensors have as many numbers together."""
    path = left(tmp_path / "state")
    jobs = tuple(
        replace(job, members=(replace(job.members[0], seed=1), job.members[0])) for job in JOBS
    )
    assert "is of another form (members)" in anew(path, jobs)
    assert "is of another form" in anew(path, in_features=8)


def test_another_val_split(tmp_path: Path) -> None:
    assert "its state is of another val split" in anew(left(tmp_path / "state"), val_rows=63)


def test_a_later_epoch_than_its_rung(tmp_path: Path) -> None:
    path = left(tmp_path / "state")
    changed(path, "epoch", value=5)
    states = read_state(path.parent)
    states[JOBS[0].key]["epoch"] = 5
    torch.save(states, path)
    jobs = tuple(replace(job, until=2) for job in JOBS)
    work = begun(path, jobs)
    assert work.training.epoch == 0 and "is of epoch 5, after epoch 2" in work.training.notes[0]


def test_nothing_is_taken_where_one_does_not_fit(tmp_path: Path) -> None:
    path = left(tmp_path / "state")
    changed(path, *COURSE, "epochs", drop=True)
    fresh, untouched = (Work(TASK, JOBS, RECIPE) for _ in range(2))
    with pytest.raises(StateError, match="another form"):
        fresh.restore(read_state(path.parent))
    assert torch.equal(fresh.training.members.flat, untouched.training.members.flat)
    assert fresh.training.epoch == 0 and fresh.seconds == [0.0, 0.0]


def test_an_evaluation_begins_anew(tmp_path: Path) -> None:
    jobs = (replace(JOBS[0], stage="evaluate"),)
    path = left(tmp_path / "state", jobs)
    _truncate(path)
    assert anew(path, jobs).startswith("its evaluation begins anew, since its state cannot be read")


def test_after_a_lost_worker_an_older_state_serves(tmp_path: Path) -> None:
    """Of the newest, from which Tune lets it go on, nothing can be read."""
    path, newest = left(tmp_path / "state"), left(tmp_path / "newest")
    _truncate(newest)
    setting = Setting("synthetic_groups", OPTIONS, RECIPE, None, BY_LOSS, 1, 0, str(tmp_path))
    worker = Worker(setting, JOBS, [str(path.parent)] * 2)
    worker.load_checkpoint(newest.parent)
    work = worker._begin()
    assert isinstance(work, Work) and (work.training.epoch, work.training.notes) == (1, [])


@pytest.mark.slow
def test_a_resumed_sweep_whose_states_cannot_be_read(place: Path) -> None:
    """It comes to the same numbers, and says which trials began anew."""
    (place / "c.yaml").write_text(SPEC)
    (place / "d.yaml").write_text(SPEC.replace("name: c", "name: d"))
    gatelab(place, "launch", "d.yaml")
    gatelab(place, "launch", "c.yaml", code=130, most=2)
    files = sorted((place / "gatelab_runs/sweeps/c").rglob(STATE_FILE))
    assert len(files) > 1
    for file in files:
        file.write_bytes(b"spoilt")
    output = gatelab(place, "resume", "c")
    assert output.count("anew, since its state cannot be read (") > 0
    assert " failed," not in output
    ours, theirs = read(place, "c"), read(place, "d")
    losses = [sorted(run.metrics["val/loss"] for run in r.of("search")) for r in (ours, theirs)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
