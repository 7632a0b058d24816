"""All that trains, on a second device: what a CPU finds is found there, and no step waits."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from gatelab.gates import Routing, SoftmaxGate
from gatelab.training.learners import learners
from gatelab.training.train import Training
from tests.device_cases import FITTED, STEPPING, Case, in_float64
from tests.elsewhere import ELSEWHERE, elsewhere


@pytest.fixture(autouse=True)
def exact() -> Iterator[None]:
    with in_float64():
        yield


@pytest.mark.parametrize("name", [*STEPPING, *FITTED])
def test_another_device_learns_what_a_cpu_learns(name: str) -> None:
    case = {**STEPPING, **FITTED}[name]
    expected = case.scores("cpu")
    assert sum(math.isfinite(value) for value in expected.values()) > 50
    with elsewhere():
        found = case.scores(ELSEWHERE)
    assert found == pytest.approx(expected, rel=1e-9, abs=1e-12, nan_ok=True)


@pytest.mark.parametrize("name", STEPPING)
def test_no_step_waits_for_a_number(name: str) -> None:
    with elsewhere() as device:
        training = STEPPING[name].begun(ELSEWHERE)
        training.model.train()
        training.loop.begin_pass(0)
        training.loop.step(64)  # what is put there once
        device.crossed.clear()
        training.loop.step(64)
    assert device.crossed == []


def test_every_learner_is_among_them() -> None:
    seen = {case.learner for case in [*STEPPING.values(), *FITTED.values()]}
    assert seen == {"", *learners.names()} - {"joint"}


def losses(training: Training) -> list[float]:
    return [evaluation.loss for _, evaluation in training.run_epoch().values()]


@pytest.mark.parametrize("places", [("cpu", ELSEWHERE), (ELSEWHERE, "cpu")])
def test_a_training_goes_on_from_states_of_another_device(places: tuple[str, str]) -> None:
    """Also after one of its members has left."""
    with elsewhere():
        one, other = (STEPPING["noisy_top_k"].begun(place) for place in places)
        losses(one)
        other.load([one.state(member) for member in range(3)])
        for training in (one, other):
            training.drop([1])
        assert losses(one) == pytest.approx(losses(other), rel=1e-9)


class Forgetful(SoftmaxGate):
    """Keeps a tensor that moves to no device with it."""

    def __init__(self, *given: Any, **more: Any) -> None:
        super().__init__(*given, **more)
        self.factors = torch.ones(self.num_experts)

    def forward(self, x: Tensor) -> Routing:
        routing = super().forward(x)
        return routing._replace(weights=routing.weights * self.factors)


def test_a_tensor_that_stays_behind_is_seen() -> None:
    case = Case()
    with elsewhere(), pytest.raises(RuntimeError, match="on the same device: mul of"):
        Training(case.task, Forgetful, case.members(), case.recipe(), ELSEWHERE).run_epoch()


def test_numbers_without_dimensions_may_be_of_another_device() -> None:
    with elsewhere() as device:
        there = torch.ones(3, device=ELSEWHERE)
        assert float((there * torch.tensor(2.0)).sum()) == 6
    assert device.crossed == ["_local_scalar_dense"]


@pytest.mark.parametrize(
    ("crosses", "seen"),
    [
        (lambda x: x.to("cpu"), "_to_copy"),
        (lambda x: x[[1, 0]], "index"),
        (lambda x: x[x > 0], "index"),
        (lambda x: torch.equal(x, x), "equal"),
        (lambda x: x.nonzero(), "nonzero"),
        (lambda x: x + torch.tensor([1.0, 2.0], device=ELSEWHERE), "_to_copy"),
    ],
)
def test_what_waits_is_seen(crosses: Any, seen: str) -> None:
    with elsewhere() as device:
        crosses(torch.ones(2, device=ELSEWHERE))
    assert device.crossed == [seen]
