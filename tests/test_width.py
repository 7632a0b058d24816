"""How many members are worth training at once: tried by doubling, with real steps."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from itertools import accumulate, cycle

import pytest
import torch

from gatelab.gates import gates
from gatelab.tasks import BrainEncoding, SyntheticGroups, Task
from gatelab.training import width
from gatelab.training.configuration import Configuration
from gatelab.training.member import Member, Recipe
from gatelab.training.train import Training
from gatelab.training.width import Pace, try_widths, width_of

CPU = torch.device("cpu")
TASK = SyntheticGroups(num_targets=3, train_rows=96, val_rows=32, test_rows=32)
BRAIN = BrainEncoding(words=120, voxels=12)


def training(
    members: int, task: Task = TASK, gate: str = "dselect_k", batch: int = 16, learner: str = ""
) -> Training:
    optimizer = {"name": "adam", "learning_rate": 0.01, "weight_decay": 0.0}
    values = Configuration.of({}, {"num_experts": 4}, optimizer).values
    configuration = Configuration({**values, **({"learner": learner} if learner else {})})
    of_them = [Member(configuration, seed) for seed in range(members)]
    return Training(task, gates.get(gate), of_them, Recipe(batch, 100))


def tried(*rates: float, memory: int = 0) -> list[Pace]:
    return [Pace(2**at, rate, memory * 2**at) for at, rate in enumerate(rates)]


@pytest.mark.parametrize(
    ("rates", "best"),
    [
        ([100], 1),
        ([100, 109], 1),
        ([100, 111], 2),
        ([100, 190, 300, 320], 4),
        ([100, 190, 300, 331], 8),
        ([100, 90], 1),
    ],
)
def test_the_last_that_gained_a_tenth_is_the_width(rates: list[float], best: int) -> None:
    assert width_of(tried(*rates)) == best


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(training, id="steps"),
        pytest.param(partial(training, batch=1000), id="a pass of one step"),
        pytest.param(partial(training, batch=90), id="a pass of one step and a rest"),
        pytest.param(partial(training, gate="noisy_top_k"), id="draws"),
        pytest.param(partial(training, learner="gossip"), id="copies"),
        pytest.param(partial(training, task=BRAIN, gate="softmax", learner="em"), id="no steps"),
    ],
)
def test_real_steps_are_timed_while_they_gain(
    make: Callable[[int], Training], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(width, "GAIN", 0.0)
    found = try_widths(make, CPU, 8)
    assert [one.members for one in found] == [1, 2, 4, 8] and width_of(found) == 8
    assert all(0 < one.rate < 1e6 and one.memory == 0 for one in found)
    assert [one.members for one in try_widths(make, CPU, 7)] == [1, 2, 4]
    monkeypatch.setattr(width, "GAIN", math.inf)
    found = try_widths(make, CPU, 8)
    assert [one.members for one in found] == [1, 2] and width_of(found) == 1


def set_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a step take half a second, and each of the first ones nine."""
    each = [*[0, 9] * width.WARM, *[0, 0.5] * width.TIMED]
    ticks = accumulate(cycle(each))
    monkeypatch.setattr(width, "_now", lambda on_gpu: next(ticks))


def test_what_is_told_is_member_steps_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    set_clock(monkeypatch)
    found = try_widths(training, CPU, 8)
    assert [(one.members, one.rate) for one in found] == [(1, 2), (2, 4), (4, 8), (8, 16)]


@pytest.mark.parametrize(("room", "most"), [(1000, 8), (999, 4), (2000, 16), (100, 1), (250, 2)])
def test_memory_is_never_filled(room: int, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 100 bytes a member: twice as many are tried where they would take 80% at most."""
    monkeypatch.setattr(
        width, "_try", lambda make, device, members: Pace(members, members, 100 * members)
    )
    assert try_widths(training, CPU, 256, room)[-1].members == most


def test_what_has_no_room_after_all_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def make(members: int) -> Training:
        if members == 4:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return training(members)

    set_clock(monkeypatch)
    found = try_widths(make, CPU, 8)
    assert [one.members for one in found] == [1, 2] and width_of(found) == 2
