"""Training on a GPU, where one is at hand: as on a CPU, without waits, and its states open on both.

On a machine that has torch alone: ``python -m pytest --noconftest -c /dev/null tests/test_gpu.py``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import torch

# It makes gatelab importable, so it comes first.
from tests.device_cases import FITTED, RATES, STEPPING, in_float64

# isort: split

from gatelab.gates import Routing, SoftmaxGate
from gatelab.gates.gate import gates
from gatelab.gates.randomness import drawing_from
from gatelab.tasks.synthetic_groups import SyntheticGroups
from gatelab.training.configuration import Configuration
from gatelab.training.graph_replay import GraphReplay
from gatelab.training.member import Member, Recipe
from gatelab.training.train import Training
from gatelab.training.width import try_widths, width_of

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")

TASK = SyntheticGroups(num_targets=4, num_groups=2, train_rows=200, val_rows=64, test_rows=64)
RECIPE = Recipe(64, 4)


def configurations_of(seeds: Sequence[int]) -> list[Configuration]:
    optimizers = [
        {"name": "adam", "learning_rate": RATES[seed % 3], "weight_decay": 1e-4} for seed in seeds
    ]
    return [Configuration.of({}, {"num_experts": 8}, optimizer) for optimizer in optimizers]


def training(gate: str, device: str, seeds: Sequence[int] = range(3)) -> Training:
    members = [Member(c, seed) for c, seed in zip(configurations_of(seeds), seeds, strict=True)]
    return Training(TASK, gates.get(gate), members, RECIPE, device)


def losses(found: Training, epochs: int) -> torch.Tensor:
    return torch.tensor(
        [[evaluation.loss for _, evaluation in found.run_epoch().values()] for _ in range(epochs)]
    )


@pytest.fixture
def exact() -> Iterator[None]:
    with in_float64():
        yield


@pytest.mark.parametrize("name", [*STEPPING, *FITTED])
def test_a_gpu_learns_what_a_cpu_learns(name: str, exact: None) -> None:
    """Scores of an epoch and of the end, of all gates, learners and kinds of targets."""
    case = {**STEPPING, **FITTED}[name]
    expected = pytest.approx(case.scores("cpu"), rel=1e-6, abs=1e-9, nan_ok=True)
    assert case.scores("cuda") == expected


def test_how_many_train_together_is_tried_within_the_memory_that_there_is() -> None:
    """Small members gain with every doubling; where two of them have no room, one is the answer."""
    device = torch.device("cuda")
    found = try_widths(lambda members: training("softmax", "cuda", range(members)), device, 8)
    assert [one.members for one in found] == [1, 2, 4, 8] and width_of(found) == 8
    assert found[0].memory > 0
    none = try_widths(
        lambda members: training("softmax", "cuda", range(members)), device, 8, found[0].memory
    )
    assert [one.members for one in none] == [1]


@pytest.mark.parametrize("name", STEPPING)
def test_a_step_waits_for_nothing_and_is_recorded(name: str) -> None:
    """Tables with sparse gradients are fused, where a CPU has them apart."""
    found = STEPPING[name].begun("cuda")
    found.loop.begin_pass(1)
    found.model.train()
    found.loop.step(64)  # what is put there once
    torch.cuda.set_sync_debug_mode("error")
    try:
        found.loop.eager_step(64)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    losses(found, 2)
    assert found.notes == [] and found.loop.replays[64].again.__name__ == "replay"


@pytest.mark.parametrize("gate", gates.names())
def test_a_replayed_step_is_the_eager_one(gate: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over epochs with a smaller last batch, in which a member leaves: bit for bit."""
    courses = []
    for eager in (10**9, 2):
        monkeypatch.setattr(GraphReplay, "eager", eager)
        found = training(gate, "cuda")
        first = losses(found, 3)
        found.drop([1])
        courses.append(torch.cat([first, losses(found, 1).expand(3, 2)], dim=1))
    assert torch.equal(*courses)


def test_a_step_that_waits_is_eager_and_says_so() -> None:
    class Waiting(SoftmaxGate):
        def forward(self, x: torch.Tensor) -> Routing:
            routing = super().forward(x)
            return routing._replace(aux_loss=routing.aux_loss + torch.ones(1).to(x.device).sum())

    members = training("softmax", "cpu")
    configurations = [Member(c, seed) for seed, c in enumerate(configurations_of(range(3)))]
    found = Training(TASK, Waiting, configurations, RECIPE, "cuda")
    one = losses(found, 2)
    one = torch.cat([one, losses(found, 2)])
    (note,) = found.notes
    assert "recorded as a CUDA graph" in note
    expected = losses(members, 4)
    torch.testing.assert_close(one, expected, rtol=1e-3, atol=0)


@pytest.mark.parametrize("gate", ["softmax", "dselect_k", "gumbel_softmax"])
def test_states_of_a_gpu_go_on_there_and_open_without_one(gate: str, tmp_path: Path) -> None:
    found = training(gate, "cuda")
    losses(found, 2)
    torch.save([found.state(member) for member in range(3)], tmp_path / "states")
    states = torch.load(tmp_path / "states", weights_only=True, map_location="cpu")
    again, elsewhere = training(gate, "cuda"), training(gate, "cpu")
    again.load(states)
    elsewhere.load(states)
    rest = losses(found, 2)
    assert torch.equal(losses(again, 2), rest)
    torch.testing.assert_close(losses(elsewhere, 2), rest, rtol=0.05, atol=0)


@pytest.mark.parametrize("gate", ["softmax", "comet", "noisy_top_k", "gumbel_softmax"])
def test_a_members_course_is_its_own(gate: str, exact: None) -> None:
    together = losses(training(gate, "cuda"), 3)
    alone = torch.cat([losses(training(gate, "cuda", [seed]), 3) for seed in range(3)], dim=1)
    torch.testing.assert_close(together, alone, rtol=1e-7, atol=0)


def test_a_seed_draws_on_a_gpu_as_torchs_own() -> None:
    device = torch.device("cuda", 0)
    torch.manual_seed(5)
    expected, after = torch.rand(3, device=device), torch.rand(3, device=device)
    torch.manual_seed(5)
    torch.rand(3, device=device)
    with drawing_from(5, device):
        assert torch.equal(torch.rand(3, device=device), expected)
    assert torch.equal(torch.rand(3, device=device), after)
