"""Trials that train together: each one's course is its own, whoever is beside it."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

from gatelab.gates import Routing, SoftmaxGate
from gatelab.tasks import SyntheticGroups
from gatelab.tasks.task import Split, SplitName
from gatelab.tracking.schema import Tags
from gatelab.training.configuration import Configuration
from gatelab.training.evaluation import ROWS_AT_ONCE
from gatelab.training.jobs import Job
from gatelab.training.member import Member, Recipe
from gatelab.training.states import States, read_state
from gatelab.training.steps import Step
from gatelab.training.train import Training
from gatelab.training.work import Work
from tests.in_process import gatelab
from tests.launched import read, studies

OPTIONS = {"num_targets": 3, "train_rows": 96, "val_rows": 64, "test_rows": 64}
TASK = SyntheticGroups(**OPTIONS)
RECIPE = Recipe(16, 6)
RATES = (0.002, 0.01, 0.03, 0.05)


def trial(number: int, rate: float, until: int | None = None, **gate: Any) -> Job:
    optimizer = {"name": "adam", "learning_rate": rate, "weight_decay": 0.0}
    configuration = Configuration.of(gate, {"num_experts": 4}, optimizer)
    members = (Member(configuration, 100 + number),)
    return Job("search", "one", "softmax", members, number, until)


def run(jobs: Sequence[Job], *, states: States | None = None) -> tuple[Work, list[Step]]:
    """Work to the rung or the end in one step."""
    work = Work(TASK, jobs, RECIPE, step_seconds=1000)
    if states is not None:
        assert work.restore(states)
    return work, work.step()


def losses(step: Step) -> list[float]:
    return [metrics["val/loss"] for _, _, metrics in step.epochs]


def objectives(steps: Sequence[Step]) -> list[float]:
    return [step.objective for step in steps]


def saved(folder: Path, work: Work, job: Job | None = None) -> States:
    folder.mkdir()
    work.save(folder, None if job is None else job.key)
    return read_state(folder)


def test_what_has_ended_keeps_no_weights_of_an_epoch_ago() -> None:
    """They are views of those of all that trained in it, which one would keep in memory."""
    jobs = [trial(0, 0.01, until=5), trial(1, 0.0, until=5)]
    work = Work(TASK, jobs, Recipe(16, 6, patience=1), step_seconds=1000)
    learns, stays = work.step()
    assert learns.epoch == 5 and stays.epoch == 2
    assert set(work.scoring.before) == {0}
    assert work.scoring.state(1)["before"] is None


def test_each_learns_what_it_learns_alone() -> None:
    jobs = [trial(number, rate) for number, rate in enumerate(RATES)]
    _, together = run(jobs)
    assert [len(step.epochs) for step in together] == [6] * 4
    for job, step in zip(jobs, together, strict=True):
        (alone,) = run([job])[1]
        assert losses(step) == pytest.approx(losses(alone), rel=1e-4)
        assert step.endings is not None and alone.endings is not None
        (ours,), (theirs,) = step.endings, alone.endings
        assert ours.metrics.keys() == theirs.metrics.keys()
        assert (ours.end, ours.reason, ours.epoch) == (theirs.end, theirs.reason, theirs.epoch)
        assert ours.metrics["val/loss"] == pytest.approx(theirs.metrics["val/loss"], rel=1e-4)


def test_it_is_the_same_to_the_last_bit_whoever_is_beside() -> None:
    """Also where one of them diverges, which ends that one alone."""
    own = trial(0, 0.01)
    _, first = run([own, trial(1, 0.002), trial(2, 0.05)])
    _, second = run([trial(3, 1e30), trial(4, 0.02), own])
    assert losses(first[0]) == losses(second[2])
    assert first[0].endings is not None and second[0].endings is not None
    assert [ending.end for ending in second[0].endings] == ["failed"]
    assert "loss is" in second[0].endings[0].reason
    assert second[1].endings is not None and second[1].endings[0].end == "finished"


def test_those_that_go_on_from_a_rung_are_grouped_anew(tmp_path: Path) -> None:
    """Their course is that of trials that were never parted."""
    jobs = [trial(number, rate, until=3) for number, rate in enumerate(RATES)]
    work, steps = run(jobs)
    assert [(step.epoch, step.endings) for step in steps] == [(3, None)] * 4
    states: States = {}
    for number in (1, 3):
        states |= saved(tmp_path / str(number), work, jobs[number])
    assert states.keys() == {"one/search/1", "one/search/3"}, "a file holds one trial"
    going = [trial(number, RATES[number]) for number in (1, 3)]
    _, ends = run(going, states=states)
    _, whole = run(going)
    assert [losses(step) for step in ends] == [
        pytest.approx(losses(step)[3:], rel=1e-4) for step in whole
    ]
    assert [epoch for _, epoch, _ in ends[0].epochs] == [4, 5, 6]
    for ours, theirs in zip(ends, whole, strict=True):
        assert ours.endings is not None and theirs.endings is not None
        assert ours.endings[0].metrics["time/train_seconds"] > 0
        assert ours.objective == pytest.approx(theirs.objective, rel=1e-4)


def test_a_state_in_the_middle_goes_on_exactly(tmp_path: Path) -> None:
    """With one that has failed before, of which nothing trains any more."""
    jobs = [trial(0, 0.01), trial(1, 1e30), trial(2, 0.03)]
    work = Work(TASK, jobs, RECIPE, step_seconds=0)
    told = [work.step() for _ in range(2)]
    assert [step.endings for step in told[-1]] == [None] * 3, "told when all are over"
    again = Work(TASK, jobs, RECIPE, step_seconds=0)
    assert again.restore(saved(tmp_path / "state", work))
    for begun in (work, again):
        while (steps := begun.step())[0].endings is None:
            pass
        told.append(steps)
    assert objectives(told[-1]) == objectives(told[-2])
    assert [step.endings[0].end for step in told[-1] if step.endings] == [
        *("finished", "failed", "finished")
    ]


def test_without_one_of_the_states_all_begin_anew(tmp_path: Path) -> None:
    """Or they would not be at one epoch."""
    jobs = [trial(0, 0.01, until=2), trial(1, 0.03, until=2)]
    work, _ = run(jobs)
    states = saved(tmp_path / "state", work)
    later = {**states, jobs[1].key: copy.deepcopy(states[jobs[1].key])}
    later[jobs[1].key]["epoch"] = 1
    for lacking in ({jobs[0].key: states[jobs[0].key]}, later):
        fresh = Work(TASK, jobs, RECIPE, step_seconds=1000)
        assert not fresh.restore(lacking)
        assert [len(step.epochs) for step in fresh.step()] == [2, 2]


class InDoubles(SyntheticGroups):
    """The same in float64."""

    def split(self, name: SplitName) -> Split:
        split = super().split(name)
        return Split(split.inputs.double(), split.targets.double())


@pytest.fixture
def float64() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("static", [True, False])
def test_alone_and_together_agree_in_float64(static: bool) -> None:
    """Over five epochs, with a gate that is as steep as a gamma of 0.05 makes it."""
    task, recipe = InDoubles(**OPTIONS), Recipe(16, 5)
    gate = {"k": 2, "gamma": 0.05, "static": static}
    jobs = [replace(trial(n, rate, **gate), gate="dselect_k") for n, rate in enumerate(RATES)]
    together = Work(task, jobs, recipe, step_seconds=1000).step()
    for job, ours in zip(jobs, together, strict=True):
        (alone,) = Work(task, [job], recipe, step_seconds=1000).step()
        assert losses(ours) == pytest.approx(losses(alone), rel=1e-7)


WIDE = """
name: wide
task: {name: synthetic_groups, num_targets: 4, train_rows: 128, val_rows: 64, test_rows: 64}
model: {num_experts: 4}
gates: {softmax: {}, top_k: {k: [1, 2]}}
baselines: false
training: {max_epochs: 6, batch_size: 32}
search: {trials: 8, early_stopping: {grace_epochs: 2}}
evaluation: {seeds: 2}
resources: {members: WIDTH}
"""


def told(folder: Path, name: str) -> dict[str, list[Any]]:
    """Return what a sweep's studies hold but the places of states."""
    return {
        label: [
            (t.number, t.params, t.state, t.intermediate_values, t.user_attrs["objective"])
            for t in study.get_trials()
        ]
        for label, study in studies(folder, name).items()
    }


@pytest.mark.slow
def test_a_sweep_is_the_same_after_any_stop(place: Path) -> None:
    """Every run and every epoch is recorded once, as alone; stops change no bit."""
    for width in (1, 3):
        spec = WIDE.replace("WIDTH", str(width))
        (place / f"w{width}.yaml").write_text(spec)
        gatelab(place, "launch", f"w{width}.yaml", "--name", f"w{width}")
    gatelab(place, "launch", "w3.yaml", "--name", "cut", code=130, most=2)
    for most in (1, 3):
        gatelab(place, "resume", "cut", code=130, most=most)
    gatelab(place, "resume", "cut")
    assert told(place, "cut") == told(place, "w3")
    runs = {name: read(place, name).of("search") for name in ("w1", "w3", "cut")}
    for name in ("w3", "cut"):
        assert len(runs[name]) == len(runs["w1"]) == 16
        ends = [
            {(run.gate, run.tags["trial"]): run.tags[Tags.END_EPOCH] for run in runs[which]}
            for which in (name, "w1")
        ]
        assert ends[0] == ends[1]


class Counting(SoftmaxGate):
    """Counts the rows of each pass, of one member: what vmap adds is not seen here."""

    seen: ClassVar[list[int]] = []

    def forward(self, x: Tensor) -> Routing:
        if not self.training:
            self.seen.append(x.shape[0])
        return super().forward(x)


@pytest.mark.parametrize("members", [1, 4, 16])
def test_a_pass_over_val_takes_as_many_rows_at_once_whoever_is_beside(members: int) -> None:
    """A hidden layer's numbers are members times rows, and a GPU's memory is not."""
    task = SyntheticGroups(num_targets=2, train_rows=16, val_rows=3 * ROWS_AT_ONCE, test_rows=8)
    configuration = trial(0, 0.01).members[0].configuration
    many = [Member(configuration, seed) for seed in range(members)]
    training = Training(task, Counting, many, Recipe(16, 1))
    Counting.seen.clear()
    training.evaluate_best("val")
    assert max(Counting.seen) * members == ROWS_AT_ONCE
    assert sum(Counting.seen) == 3 * ROWS_AT_ONCE
