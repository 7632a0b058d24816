"""Steps that a CPU repeats as lists of calls: bit for bit what they are as they come."""

from __future__ import annotations

import gc
import random
import subprocess
import sys
import weakref
from typing import Any

import pytest
import torch
from torch import Tensor

from gatelab.gates import Routing, SoftmaxGate
from gatelab.gates.gate import gates
from gatelab.training import call_replay
from gatelab.training.call_replay import CallReplay
from gatelab.training.configuration import LEARNER, Configuration
from gatelab.training.learners import Learner
from gatelab.training.learners.learner import learners
from gatelab.training.loop import REPLAYS
from gatelab.training.member import Member, Recipe
from gatelab.training.members import Members
from gatelab.training.replay import Replay
from gatelab.training.train import Training
from tests.device_cases import STEPPING, Case
from tests.test_fused_tables import fused


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Write down the third step of a size, of which a full one is in the first pass."""
    monkeypatch.setattr(CallReplay, "eager", 2)


RECIPE = Recipe(64, 6)


def cased(case: Case) -> Training:
    return Training(case.task, gates.get(case.gate), case.members(), RECIPE)


def course(training: Training, *, repeats: bool, leaves: bool = False) -> dict[str, Tensor]:
    """Train four epochs of three full batches and a smaller one; return what members are then."""
    for epoch in range(4):
        training.loop.records = training.loop.records and repeats
        training.run_epoch()
        if leaves and epoch == 2:
            training.drop([1])
    state: dict[str, Tensor] = training.members.state(0)
    return state


def same(one: dict[str, Tensor], two: dict[str, Tensor]) -> bool:
    return all(torch.equal(one[name].nan_to_num(), two[name].nan_to_num()) for name in one)


@pytest.mark.parametrize("name", STEPPING)
@pytest.mark.parametrize("leaves", [False, True], ids=["all", "a member leaves"])
def test_steps_are_repeated_to_the_last_bit(name: str, leaves: bool) -> None:
    found = cased(STEPPING[name])
    state = course(found, repeats=True, leaves=leaves)
    assert found.notes == cased(STEPPING[name]).notes
    if not leaves:
        assert all(replay.again.__name__ == "repeat" for replay in found.loop.replays.values())
        assert len(found.loop.replays) == 2, "of a full batch, and of the last"
    assert same(state, course(cased(STEPPING[name]), repeats=False, leaves=leaves))


class Failing(Replay):
    """Writes a step down as a CUDA graph is: in the end nothing of it has been done."""

    eager = 2
    form = "recorded"

    def begin(self) -> None:
        self.again = self.record

    def record(self) -> None:
        try:
            self.write()
        except ValueError as error:
            self.fail(str(error))
        self.again()


class Waiting(Learner):
    """Cannot be recorded, which it finds out between gradients and step."""

    def before_step(self, members: Members) -> None:
        if self.writing():
            raise ValueError("it waits for a number")

    def writing(self) -> bool:
        return any(replay.writing for replay in REPLAYED)


REPLAYED: list[Replay] = []


class Noted(Failing):
    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        REPLAYED.append(self)


def test_a_recording_that_fails_leaves_no_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The step that follows as it comes added to that."""
    monkeypatch.setitem(REPLAYS, "cpu", Noted)
    learners.register("Waiting", Learner)(Waiting)
    try:
        made = [waiting(), waiting()]
        states = [course(each, repeats=bool(place)) for place, each in enumerate(made)]
    finally:
        del learners._classes["Waiting"]
    assert not made[0].notes
    assert made[1].notes == [
        "a step cannot be recorded (it waits for a number): it runs as it comes"
    ]
    assert same(*states)


def waiting() -> Training:
    case = Case()
    members = [
        Member(Configuration({**m.configuration.values, LEARNER: "Waiting"}), m.seed)
        for m in case.members()
    ]
    return Training(case.task, SoftmaxGate, members, RECIPE)


@pytest.mark.parametrize("name", ["softmax", "films", "anil"])
def test_a_training_that_is_over_is_freed_without_a_collection(name: str) -> None:
    """With it the memory of a GPU on which the next one begins."""
    gc.collect()
    gc.disable()
    try:
        found = cased(STEPPING[name])
        for _ in range(3):
            found.run_epoch()
        assert found.loop.replays
        gone = [weakref.ref(found.loop), weakref.ref(found.members)]
        del found
        assert [it() for it in gone] == [None, None]
    finally:
        gc.enable()


def test_sparse_gradients_are_taken_as_they_come() -> None:
    """Those of large tables, whose number of rows follows from the ids."""
    with fused(False):
        found = cased(STEPPING["films"])
    found.run_epoch()
    assert not found.loop.replays and not found.notes


def begun(gate: type[SoftmaxGate], seeds: int = 3) -> Training:
    case = Case()
    members = [Member(m.configuration, m.seed) for m in case.members()[:seeds]]
    return Training(case.task, gate, members, RECIPE)


class Counting(SoftmaxGate):
    """Changes after ten calls, which a number of Python counts."""

    calls = 0

    def forward(self, x: Tensor) -> Routing:
        self.calls += self.training
        routing = super().forward(x)
        return routing._replace(aux_loss=routing.aux_loss + float(self.calls > 10))


class Listing(SoftmaxGate):
    """Does so by a list."""

    def __init__(self, in_features: int, num_experts: int) -> None:
        super().__init__(in_features, num_experts)
        self.calls: list[int] = []

    def forward(self, x: Tensor) -> Routing:
        self.calls.append(len(self.calls))
        return super().forward(x)


class Clock:
    """Counts, in an object of its own."""

    time = 0


class Timing(SoftmaxGate):
    """Changes after some calls that another object counts."""

    def __init__(self, in_features: int, num_experts: int) -> None:
        super().__init__(in_features, num_experts)
        self.clock = Clock()

    def forward(self, x: Tensor) -> Routing:
        self.clock.time += 1
        return super().forward(x)


class Settling(SoftmaxGate):
    """Puts the same number in the place of itself, and makes a tensor anew."""

    def forward(self, x: Tensor) -> Routing:
        self.scale = float(f"{len(x)}.5")
        self.seen = x.detach() * 2
        return super().forward(x)


class Chance(SoftmaxGate):
    """Multiplies by what nobody can see."""

    def forward(self, x: Tensor) -> Routing:
        routing = super().forward(x)
        return routing._replace(weights=routing.weights * random.random())


class Totting(Learner):
    """Puts another tensor in the place of what it tells."""

    diagnostics = {"steps": "Steps taken"}

    def begin(self, members: Any) -> None:
        self.steps = torch.zeros(len(members))

    def after_step(self, members: Any) -> None:
        self.steps = self.steps + 1

    def facts(self, members: Any) -> dict[str, Tensor]:
        return {"steps": self.steps}


@pytest.mark.parametrize(
    ("gate", "why"),
    [
        (Counting, "Counting.calls changes from step to step"),
        (Listing, "Listing.calls changes from step to step"),
        (Timing, "Timing.clock changes from step to step"),
        (Chance, "it comes to other numbers, since something else than tensors changes"),
    ],
)
def test_what_changes_beside_tensors_is_not_repeated(gate: type[SoftmaxGate], why: str) -> None:
    random.seed(0)
    found = begun(gate)
    course(found, repeats=True)
    assert found.notes == [
        f"a step cannot be written down as a list of calls ({why}): it runs as it comes"
    ]
    assert not found.loop.records


def test_a_count_of_python_goes_on() -> None:
    """It counts every step, and what it decides later on happens."""
    found, as_it_comes = begun(Counting), begun(Counting)
    assert same(course(found, repeats=True), course(as_it_comes, repeats=False))
    assert found.model.mixture.each.calls == as_it_comes.model.mixture.each.calls  # type: ignore[union-attr]


def test_what_is_made_anew_each_time_does_not_change() -> None:
    found = begun(Settling)
    state = course(found, repeats=True)
    assert found.loop.records and same(state, course(begun(Settling), repeats=False))


def test_what_a_learner_puts_in_place_of_its_tensors_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(learners._classes, "totting", Totting)
    found = cased(Case(learner="totting"))
    course(found, repeats=True)
    (note,) = found.notes
    assert "Totting.steps changes from step to step" in note
    assert found.loop.learner.facts(found.members)["steps"].tolist() == [16.0] * 3


class Reading(SoftmaxGate):
    """Decides by a number, which no members together can."""

    def forward(self, x: Tensor) -> Routing:
        routing = super().forward(x)
        factor = 2.0 if self.taken(routing.weights) > 0.3 else 1.0
        return routing._replace(aux_loss=routing.aux_loss + factor * routing.weights.sum())

    def taken(self, weights: Tensor) -> float:
        return weights.max().item()


class ReadingAList(Reading):
    def taken(self, weights: Tensor) -> float:
        rows: list[list[float]] = weights.detach().tolist()
        return rows[0][0]


class ReadingAnArray(Reading):
    def taken(self, weights: Tensor) -> float:
        return float(weights.detach().numpy()[0, 0])


@pytest.mark.parametrize("gate", [Reading, ReadingAList, ReadingAnArray])
def test_what_is_decided_by_numbers_is_decided_anew(gate: type[Reading]) -> None:
    """One member alone, whose gates run one by one; without a line, as nothing is lost."""
    found, as_it_comes = begun(gate, 1), begun(gate, 1)
    assert found.notes == as_it_comes.notes
    assert same(course(found, repeats=True), course(as_it_comes, repeats=False))
    assert not found.loop.records and found.notes == as_it_comes.notes


class Drawing(SoftmaxGate):
    """Draws by a function that knows no keys."""

    def forward(self, x: Tensor) -> Routing:
        routing = super().forward(x)
        return routing._replace(weights=routing.weights * torch.poisson(torch.ones(len(x), 1)))


def test_what_draws_from_torchs_generator_draws_anew() -> None:
    found = begun(Drawing)
    state = course(found, repeats=True)
    assert found.loop.records and same(state, course(begun(Drawing), repeats=False))


class Fixed(SoftmaxGate):
    """Makes a tensor of a number of Python, and changes it in place."""

    def forward(self, x: Tensor) -> Routing:
        routing = super().forward(x)
        total = torch.tensor(0.0)
        total += 1.0
        return routing._replace(aux_loss=routing.aux_loss + total * routing.weights.square().sum())


def test_a_tensor_that_a_step_makes_is_made_anew() -> None:
    found = begun(Fixed)
    state = course(found, repeats=True)
    assert found.loop.records and same(state, course(begun(Fixed), repeats=False))


class Choosy(SoftmaxGate):
    """Raises within torch where a weight is beyond a bound."""

    bound: Tensor

    def __init__(self, in_features: int, num_experts: int) -> None:
        super().__init__(in_features, num_experts)
        self.register_buffer("bound", torch.full((), 1e9))

    def forward(self, x: Tensor) -> Routing:
        routing = super().forward(x)
        torch._assert_async((routing.weights.detach().abs() < self.bound).all())
        return routing


def test_what_raises_while_it_is_repeated_raises_as_ever() -> None:
    """Of one member alone: torch asserts it in an operation, which is repeated too."""
    found = begun(Choosy, 1)
    course(found, repeats=True)
    assert found.loop.records
    found.members.buffers["mixture.gates.each.bound"].zero_()
    with pytest.raises(RuntimeError, match="single nonzero value"):
        found.run_epoch()


def test_a_large_model_is_not_kept_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(call_replay, "MOST_KEPT", 1000)
    found = begun(SoftmaxGate)
    state = course(found, repeats=True)
    assert not found.loop.records and not found.notes
    assert same(state, course(begun(SoftmaxGate), repeats=False))


def test_other_numbers_are_seen_where_some_are_none() -> None:
    nan = torch.tensor([1.0, float("nan")])
    assert call_replay._equal(nan, nan.clone())
    assert not call_replay._equal(nan, torch.tensor([2.0, float("nan")]))


CHEAP = """
import sys, torch
import tests.test_repeated_steps as tested
tested.CallReplay.eager = 2
found = tested.begun(tested.SoftmaxGate)
tested.course(found, repeats=True)
assert found.loop.replays[64].again.__name__ == 'repeat'
sys.exit("torch._dynamo" in sys.modules)
"""


def test_writing_down_does_not_import_torchs_compiler() -> None:
    """Which takes seconds."""
    subprocess.run([sys.executable, "-c", CHEAP], check=True, timeout=120)
