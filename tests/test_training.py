"""Training: members as if alone, early stopping, exact save and load."""

from __future__ import annotations

import io
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gatelab.gates import DSelectKGate, SoftmaxGate, TopKGate
from gatelab.gates.entmax15 import Entmax15Gate
from gatelab.gates.gate import Gate, Routing
from gatelab.gates.sparsemax import SparsemaxGate
from gatelab.tasks import DigitsPairs, Network, Split, SplitName, SyntheticGroups, Target, Task
from gatelab.training.configuration import Configuration
from gatelab.training.member import Member, Recipe
from gatelab.training.model import Model
from gatelab.training.train import Training
from tests.orders import row_order

TASK = SyntheticGroups(num_targets=4, train_rows=200, val_rows=100, test_rows=100)
RECIPE = Recipe(batch_size=64, max_epochs=4)


def member(
    seed: int = 0,
    *,
    gate: dict[str, Any] | None = None,
    learning_rate: float = 3e-3,
    weight_decay: float = 0.0,
    name: str = "adam",
    **model: Any,
) -> Member:
    optimizer = {"name": name, "learning_rate": learning_rate, "weight_decay": weight_decay}
    configuration = Configuration.of(gate or {}, {"num_experts": 4, **model}, optimizer)
    return Member(configuration, seed)


def course(training: Training) -> list[list[float]]:
    """Train to the end; return each member's validation losses by epoch."""
    losses: list[list[float]] = [[] for _ in training.courses]
    while not training.done:
        for index, (_, evaluation) in training.run_epoch().items():
            losses[index].append(evaluation.loss)
    return losses


class Pictures(Task):
    """CNN experts, and targets of two kinds, one of them known for some rows only."""

    targets = (Target("class", "multiclass", 3), Target("value", "regression", weight=0.5))

    def split(self, name: SplitName) -> Split:
        generator = torch.Generator().manual_seed({"train": 1, "val": 2, "test": 3}[name])
        inputs = torch.rand(96, 1, 8, 8, generator=generator)
        value = inputs.mean((1, 2, 3))
        classes = (inputs[:, 0, 0, 0] * 3).floor()
        mask = torch.rand(96, 2, generator=generator) < 0.8
        targets = torch.stack([classes, value], dim=1)
        return Split(inputs, torch.where(mask, targets, torch.nan), mask)

    def network(self, *, channels: int = 3) -> Network:
        def expert() -> nn.Module:
            return nn.Sequential(nn.Conv2d(1, channels, 3), nn.ReLU(), nn.Flatten())

        return Network(
            nn.Identity,
            nn.Flatten,
            64,
            expert,
            lambda target: nn.Linear(36 * channels, target.out_features),
        )


class Tables(Task):
    """Ids in embedding tables with sparse gradients."""

    targets = (Target("rating", "regression"),)

    def split(self, name: SplitName) -> Split:
        generator = torch.Generator().manual_seed({"train": 1, "val": 2, "test": 3}[name])
        ids = torch.randint(0, 20, (128, 2), generator=generator)
        return Split(ids, ids.sum(1, keepdim=True) / 20)

    def network(self, *, sparse: bool = True) -> Network:
        class Lookup(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.table = nn.Embedding(20, 4, sparse=sparse)

            def forward(self, ids: Tensor) -> Tensor:
                return self.table(ids).flatten(1)

        expert = lambda: nn.Sequential(nn.Linear(8, 8), nn.ReLU())  # noqa: E731
        return Network(Lookup, nn.Identity, 8, expert, lambda target: nn.Linear(8, 1))


GATES: list[tuple[type[Gate], list[dict[str, Any]]]] = [
    (SoftmaxGate, [{}, {}, {}]),
    (TopKGate, [{"k": 2}, {"k": 2}, {"k": 2}]),
    (
        DSelectKGate,
        [{"gamma": g, "entropy_weight": e} for g, e in ((1.0, 0.0), (0.1, 0.1), (9.0, 1.0))],
    ),
]


@pytest.mark.parametrize("task", [TASK, Pictures(), Tables()], ids=lambda t: type(t).__name__)
@pytest.mark.parametrize(("gate", "options"), GATES, ids=["softmax", "top_k", "dselect_k"])
def test_a_member_trains_as_if_alone(
    task: Task, gate: type[Gate], options: list[dict[str, Any]]
) -> None:
    rates = [1e-3, 3e-3, 1e-2]
    members = [
        member(seed, gate=chosen, learning_rate=rate, weight_decay=decay)
        for seed, (chosen, rate, decay) in enumerate(
            zip(options, rates, [0.0, 1e-3, 0.1], strict=True)
        )
    ]
    together = course(Training(task, gate, members, RECIPE))
    for index, alone in enumerate(members):
        (losses,) = course(Training(task, gate, [alone], RECIPE))
        assert together[index] == pytest.approx(losses, rel=2e-4)
    assert len({tuple(losses) for losses in together}) == 3


@pytest.mark.parametrize("name", ["adam", "adamw"])
def test_optimizer_steps_as_torch_does(name: str) -> None:
    """A member's first epoch is the plain loop over a module with torch's own optimiser."""
    chosen = member(7, gate={"k": 2}, weight_decay=0.1, name=name)
    recipe = Recipe(batch_size=50, max_epochs=1)
    training = Training(TASK, TopKGate, [chosen], recipe)
    with torch.random.fork_rng():
        torch.manual_seed(7)
        model = Model(TASK, TopKGate, {"k": 2}, {"num_experts": 4})
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[name]
    optimizer = kind(model.parameters(), lr=3e-3, weight_decay=0.1)
    train, val = TASK.split("train"), TASK.split("val")
    for rows in row_order(7, 0, len(train.inputs)).split(50):
        output = model(train.inputs[rows])
        losses = model.row_losses(output.groups, train.targets[rows]).mean(1)
        optimizer.zero_grad()
        (losses.sum() + output.routing.aux_loss.sum()).backward()
        optimizer.step()
    model.eval()
    expected = model.row_losses(model(val.inputs).groups, val.targets).mean(1).sum()
    assert training.run_epoch()[0][1].loss == pytest.approx(expected.item(), rel=1e-5)


def test_sparse_tables_train_as_dense_ones_where_every_row_is_met() -> None:
    """With every id in every batch, sparse and dense Adam are the same."""
    recipe = Recipe(batch_size=128, max_epochs=5)
    sparse, dense = (
        course(Training(Tables(), SoftmaxGate, [member(1, sparse=s), member(2, sparse=s)], recipe))
        for s in (True, False)
    )
    for one, other in zip(sparse, dense, strict=True):
        assert one == pytest.approx(other, rel=1e-4)


def test_early_stopping_keeps_the_best_weights() -> None:
    recipe = Recipe(batch_size=64, max_epochs=30, patience=2)
    # Of three rates the largest stops first; the others go on without it.
    members = [member(seed, learning_rate=rate) for seed, rate in enumerate((1e-3, 0.3, 1e-2))]
    training = Training(TASK, SoftmaxGate, members, recipe)
    losses = course(training)
    evaluations = training.evaluate_best("val")
    assert len({len(history) for history in losses}) > 1
    for history, state, evaluation in zip(losses, training.courses, evaluations, strict=True):
        assert state.end == "finished"
        assert state.best_cost == min(history)
        assert state.best_epoch == history.index(min(history)) + 1
        assert evaluation.loss == pytest.approx(min(history), rel=1e-5)
        if len(history) < 30:
            assert len(history) == state.best_epoch + 2
            assert state.reason == "nothing better for 2 epochs"


def test_divergence_ends_a_member_alone() -> None:
    members = [member(0), member(1, learning_rate=1e30), member(2)]
    training = Training(TASK, SoftmaxGate, members, RECIPE)
    losses = course(training)
    assert [c.end for c in training.courses] == ["finished", "failed", "finished"]
    assert "loss is" in training.courses[1].reason
    assert f"epoch {len(losses[1])}" in training.courses[1].reason
    assert len(losses[0]) == len(losses[2]) == 4


@pytest.mark.parametrize("task", [TASK, Tables()], ids=["dense", "sparse"])
def test_save_and_load_are_exact(task: Task) -> None:
    """With dropout and a member that stops early, a restored training goes on bit for bit."""
    options = {"dropout": 0.2} if task is TASK else {}
    members = [member(s, learning_rate=r, **options) for s, r in enumerate((1e-3, 1e30, 1e-2))]
    recipe = Recipe(batch_size=64, max_epochs=6, patience=3)
    whole = Training(task, SoftmaxGate, members, recipe)
    for _ in range(3):
        whole.run_epoch()
    file = io.BytesIO()
    torch.save([whole.state(index) for index in range(len(members))], file)
    file.seek(0)
    torch.manual_seed(99)  # the restored one must not lean on torch's global state
    restored = Training(task, SoftmaxGate, members, recipe)
    restored.load(torch.load(file, weights_only=True))
    assert course(restored) == course(whole)
    assert restored.courses == whole.courses


def test_random_layers_follow_from_the_seeds() -> None:
    members = [member(s, dropout=0.5) for s in (1, 2)]
    first, second = (course(Training(TASK, SoftmaxGate, members, RECIPE)) for _ in range(2))
    assert first == second
    state = torch.random.get_rng_state()
    Training(TASK, SoftmaxGate, members, RECIPE).run_epoch()
    assert torch.equal(state, torch.random.get_rng_state())


def test_the_test_split_is_not_read_in_training() -> None:
    class Watched(SyntheticGroups):
        asked: set[str] = set()

        def split(self, name: SplitName) -> Split:
            self.asked.add(name)
            return super().split(name)

    task = Watched(train_rows=64, val_rows=64, test_rows=64)
    training = Training(task, SoftmaxGate, [member()], RECIPE)
    course(training)
    training.evaluate_best("val")
    assert task.asked == {"train", "val"}


def test_same_seed_gives_all_gates_the_same_network() -> None:
    task = DigitsPairs(train_rows=50, val_rows=20, test_rows=20)
    states = [
        Training(task, gate, [member(5)], RECIPE).members.state(0)
        for gate in (SoftmaxGate, TopKGate, DSelectKGate)
    ]
    names = [n for n in states[0] if "gates" not in n]
    assert len(names) > 4
    for state in states[1:]:
        assert all(torch.equal(state[name], states[0][name]) for name in names)


def test_a_gate_that_updates_its_state() -> None:
    class Annealed(Gate):
        temperature: Tensor

        def __init__(self, in_features: int, num_experts: int) -> None:
            super().__init__(in_features, num_experts)
            self.register_hyperparameters(temperature=1.0)
            self.linear = nn.Linear(in_features, num_experts)

        def forward(self, x: Tensor) -> Routing:
            weights = (self.linear(x) / self.temperature).softmax(-1)
            return Routing(weights, weights.new_zeros(()))

        def update(self, routing: Routing, progress: Tensor) -> dict[str, Tensor]:
            return {"temperature": 1 - 0.9 * progress}

    training = Training(TASK, Annealed, [member(0), member(1)], RECIPE)
    seen = []
    for _ in range(4):
        training.run_epoch()
        seen.append(float(training.members.buffers["mixture.gates.each.temperature"][0, 0]))
    assert seen == sorted(seen, reverse=True)
    last_step = (3 + 192 / 200) / 4
    assert seen[-1] == pytest.approx(1 - 0.9 * last_step, rel=1e-5)


def test_a_gate_that_gives_nan_is_named() -> None:
    class Failing(SoftmaxGate):
        """Works for a while."""

        spoilt: Tensor

        def __init__(self, in_features: int, num_experts: int) -> None:
            super().__init__(in_features, num_experts)
            self.register_buffer("spoilt", torch.tensor(1.0))

        def forward(self, x: Tensor) -> Routing:
            routing = super().forward(x)
            return routing._replace(weights=routing.weights * self.spoilt)

        def update(self, routing: Routing, progress: Tensor) -> dict[str, Tensor]:
            return {"spoilt": torch.where(progress < 0.5, 1.0, torch.nan)}

    training = Training(TASK, Failing, [member(0)], RECIPE)
    course(training)
    (ended,) = training.courses
    assert ended.end == "failed"
    assert ended.reason.startswith("train/loss is nan in epoch 3")
    assert ended.reason.endswith("; weights must be finite, but those of Failing are not")


@pytest.mark.parametrize("gate", [SparsemaxGate, Entmax15Gate, SoftmaxGate, TopKGate])
def test_one_member_that_diverges_fails_alone(gate: type[Gate]) -> None:
    members = [member(0), member(1), member(2)]
    training = Training(TASK, gate, members, RECIPE)
    training.run_epoch()
    with torch.no_grad():
        training.members.flat[1] = torch.nan
    losses = course(training)
    assert [state.end for state in training.courses] == ["finished", "failed", "finished"]
    assert training.courses[1].reason.startswith("train/loss is nan in epoch 2")
    (alone,) = course(Training(TASK, gate, [members[2]], RECIPE))
    assert losses[2] == pytest.approx(alone[1:], rel=2e-4)


def test_members_of_two_structures_are_refused() -> None:
    with pytest.raises(ValueError, match="one structure"):
        Training(TASK, TopKGate, [member(gate={"k": 1}), member(gate={"k": 2})], RECIPE)
