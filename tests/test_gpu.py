"""Training on a GPU, where one is at hand: as on a CPU, without waits, and its states open on both.

On a machine that has torch alone: ``python -m pytest --noconftest -c /dev/null tests/test_gpu.py``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import benchmarks.bare  # noqa: F401 - makes gatelab importable, so before gatelab

# isort: split
import pytest
import torch
from torch import Tensor, nn

from gatelab.gates import Routing, SoftmaxGate
from gatelab.gates.gate import gates
from gatelab.gates.randomness import drawing_from
from gatelab.tasks.synthetic_groups import SyntheticGroups
from gatelab.tasks.target import Target
from gatelab.tasks.task import Network, Split, SplitName, Task
from gatelab.training import replay
from gatelab.training.configuration import Configuration
from gatelab.training.jobs import Job
from gatelab.training.member import Member, Recipe
from gatelab.training.train import Training
from gatelab.training.width import try_widths, width_of
from gatelab.training.work import Work

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")

TASK = SyntheticGroups(num_targets=4, num_groups=2, train_rows=200, val_rows=64, test_rows=64)
RECIPE = Recipe(64, 4)
RATES = (0.001, 0.003, 0.01)


def configurations_of(seeds: Sequence[int]) -> list[Configuration]:
    optimizers = [
        {"name": "adam", "learning_rate": RATES[seed % 3], "weight_decay": 1e-4} for seed in seeds
    ]
    return [Configuration.of({}, {"num_experts": 8}, optimizer) for optimizer in optimizers]


class Films(Task):
    """Ids in two embedding tables with sparse gradients, of which one has padding."""

    targets = (Target("rating", "regression"),)

    def split(self, name: SplitName) -> Split:
        draw = torch.Generator().manual_seed(len(name))
        ids = torch.randint(0, 40, (200, 2), generator=draw)
        return Split(ids, (ids.sum(1, keepdim=True) / 40).to(torch.get_default_dtype()))

    def network(self) -> Network:
        return Network(Lookup, nn.Identity, 8, lambda: nn.Linear(8, 8), lambda _: nn.Linear(8, 1))


class Lookup(nn.Module):
    """Looks ids up."""

    def __init__(self) -> None:
        super().__init__()
        self.users = nn.Embedding(40, 4, sparse=True)
        self.films = nn.Embedding(40, 4, padding_idx=0, sparse=True)

    def forward(self, ids: Tensor) -> Tensor:
        return torch.cat([self.users(ids[:, 0]), self.films(ids[:, 1])], dim=1)


def training(
    gate: str, device: str, seeds: Sequence[int] = range(3), task: Task = TASK
) -> Training:
    members = [Member(c, seed) for c, seed in zip(configurations_of(seeds), seeds, strict=True)]
    return Training(task, gates.get(gate), members, RECIPE, device)


def losses(found: Training, epochs: int) -> torch.Tensor:
    return torch.tensor(
        [[evaluation.loss for _, evaluation in found.run_epoch().values()] for _ in range(epochs)]
    )


@pytest.fixture
def exact() -> Iterator[None]:
    """A default of float64, in which two devices agree."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("gate", gates.names())
def test_a_gpu_learns_what_a_cpu_learns(gate: str, exact: None) -> None:
    on_cpu, on_gpu = losses(training(gate, "cpu"), 2), losses(training(gate, "cuda"), 2)
    torch.testing.assert_close(on_gpu, on_cpu, rtol=1e-6, atol=0)


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


def test_a_gpu_learns_tables_of_sparse_gradients_as_a_cpu_does(exact: None) -> None:
    """Fused and recorded, where a CPU has them apart."""
    found = training("softmax", "cuda", task=Films())
    on_cpu = losses(training("softmax", "cpu", task=Films()), 3)
    torch.testing.assert_close(losses(found, 3), on_cpu, rtol=1e-6, atol=0)
    assert found.notes == [] and found.loop.replays[64].graph is not None


@pytest.mark.parametrize("task", [TASK, Films()], ids=["dense", "tables"])
@pytest.mark.parametrize("gate", gates.names())
def test_a_step_waits_for_nothing_and_is_recorded(gate: str, task: Task) -> None:
    found = training(gate, "cuda", task=task)
    found.loop.begin_pass(1)
    found.model.train()
    found.loop.step(64)  # what is put there once
    torch.cuda.set_sync_debug_mode("error")
    try:
        found.loop.eager_step(64)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    losses(found, 2)
    assert found.notes == [] and found.loop.replays[64].graph is not None


@pytest.mark.parametrize("gate", gates.names())
def test_a_replayed_step_is_the_eager_one(gate: str) -> None:
    """Over epochs with a smaller last batch, in which a member leaves: bit for bit."""
    courses = []
    for eager in (10**9, 2):
        replay.EAGER = eager
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


@pytest.mark.parametrize("gate", ["softmax", "dselect_k", "noisy_top_k"])
def test_scores_are_those_of_a_cpu(gate: str, exact: None) -> None:
    """Of an epoch and of the end, of all kinds of targets, with what is unknown left out."""
    found: list[dict[str, float]] = []
    for device in ("cpu", "cuda"):
        members = [Member(c, seed) for seed, c in enumerate(configurations_of(range(3)))]
        jobs = [Job("search", "a", gate, (member,), member.seed) for member in members]
        work = Work(Mixed(), jobs, Recipe(64, 3), device=device)
        steps = work.step()
        assert all(step.endings for step in steps) and len(steps[0].epochs) == 3
        own = {
            f"{i}/{e}/{k}": v
            for i, s in enumerate(steps)
            for _, e, m in s.epochs
            for k, v in m.items()
        }
        own |= {f"{i}/{k}": v for i, s in enumerate(steps) for k, v in s.endings[0].metrics.items()}
        found.append({k: v for k, v in own.items() if "time/" not in k})
    assert {"0/3/val/a/auroc", "1/3/gate/support_flips", "2/val/c/r2"} <= set(found[0])
    assert found[1] == pytest.approx(found[0], rel=1e-6, abs=1e-9, nan_ok=True)


class Mixed(SyntheticGroups):
    """A target of each kind, of which some rows are unknown."""

    def __init__(self) -> None:
        super().__init__(num_targets=3, num_groups=1, train_rows=200, val_rows=64, test_rows=64)
        self.targets = (
            Target("a", "binary"),
            Target("b", "multiclass", 3),
            Target("c", "regression"),
        )
        self.truth = None

    def split(self, name: SplitName) -> Split:
        inputs, values, _, _ = super().split(name)
        ranks = values.argsort(0).argsort(0) / len(values)
        targets = torch.stack([ranks[:, 0] > 0.5, (ranks[:, 1] * 3).floor(), values[:, 2]], dim=1)
        known = torch.rand(len(values), 3, generator=torch.Generator().manual_seed(1)) > 0.2
        return Split(inputs, targets.to(values.dtype), known)


def test_a_seed_draws_on_a_gpu_as_torchs_own() -> None:
    device = torch.device("cuda", 0)
    torch.manual_seed(5)
    expected, after = torch.rand(3, device=device), torch.rand(3, device=device)
    torch.manual_seed(5)
    torch.rand(3, device=device)
    with drawing_from(5, device):
        assert torch.equal(torch.rand(3, device=device), expected)
    assert torch.equal(torch.rand(3, device=device), after)
