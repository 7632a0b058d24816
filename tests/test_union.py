"""The union of experts as a cost: by hand, in training, and none of it where its weight is 0."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gatelab.gates import Gate, Mixture, Routing, SoftmaxGate, TopKGate, gates, make_gate
from gatelab.gates import mixture as mixtures
from gatelab.gates.union import product, union_cost
from gatelab.sweeps.export.predictor import Predictor
from gatelab.tasks import Split, SplitName, SyntheticGroups
from gatelab.training.configuration import Configuration
from gatelab.training.goal import BY_LOSS
from gatelab.training.jobs import Job
from gatelab.training.member import Member, Recipe
from gatelab.training.model import Model
from gatelab.training.steps import Ending
from gatelab.training.train import Training
from gatelab.training.work import Work
from tests.bad_specs import run, spec
from tests.in_process import gatelab
from tests.launched import read

YES, NO = True, False
FIRST = [[0.5, 0.5, 0.0], [0.25, 0.75, 0.0]]
"""Of one target the weights of three experts, for two rows."""
SECOND = [[0.5, 0.0, 0.5], [0.0, 0.0, 1.0]]
KNOWN = torch.tensor([[YES, YES], [YES, NO]])


@pytest.fixture
def double() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def weights() -> Tensor:
    return torch.tensor([FIRST, SECOND], dtype=torch.float64, requires_grad=True)


@pytest.mark.parametrize(
    ("known", "cost", "gradient"),
    [
        # Rows cost 0.75 + 0.5 + 0.5 and 0.25 + 0.75 + 1.
        (None, 3.75 / 2, [[[0.5, 1, 0.5], [1, 1, 0]], [[0.5, 0.5, 1], [0.75, 0.25, 1]]]),
        # Of the second row the first target alone is known.
        (KNOWN, 2.75 / 2, [[[0.5, 1, 0.5], [1, 1, 1]], [[0.5, 0.5, 1], [0, 0, 0]]]),
    ],
)
def test_the_cost_and_its_gradient_by_hand(known: Any, cost: float, gradient: Any) -> None:
    """By a target's weight the gradient is the product of what the others do not use."""
    of = weights()
    found = union_cost(of, known)
    found.backward()
    assert found.item() == pytest.approx(cost, abs=1e-15)
    assert of.grad is not None
    torch.testing.assert_close(
        of.grad, torch.tensor(gradient, dtype=torch.float64) / 2, rtol=0, atol=1e-15
    )


def test_a_row_that_no_target_is_known_of_does_not_count() -> None:
    known = torch.tensor([[YES, NO], [YES, NO]])
    assert union_cost(weights(), known).item() == pytest.approx(1.75)
    assert union_cost(weights(), known & False).item() == 0


def test_it_counts_experts_where_weights_are_whole() -> None:
    """Five targets, of which each uses one expert of four: three different ones, then one."""
    used = torch.eye(4)[torch.tensor([[0, 2], [0, 2], [1, 2], [3, 2], [3, 2]])]
    assert union_cost(used).item() == (3 + 1) / 2


def test_a_weight_above_one_counts_as_one() -> None:
    """As of a gate that does not normalise: two factors below 0 would be paid for."""
    of = torch.tensor([[[3.0, 0.5]], [[3.0, 0.5]]], requires_grad=True)
    found = union_cost(of)
    found.backward()
    assert found.item() == pytest.approx(1.75)
    assert of.grad is not None and of.grad.tolist() == [[[0, 0.5]], [[0, 0.5]]]


@pytest.mark.parametrize("count", range(1, 10))
@pytest.mark.parametrize("zeros", [0, 1, 2])
def test_the_product_is_torchs_with_its_gradient(count: int, zeros: int) -> None:
    made = torch.rand(count, 5, generator=torch.Generator().manual_seed(count)).double()
    made[:zeros, 2] = 0
    ours, theirs = made.clone().requires_grad_(), made.clone().requires_grad_()
    product(ours).sum().backward()
    theirs.prod(0).sum().backward()
    torch.testing.assert_close(product(ours), theirs.prod(0), rtol=1e-14, atol=0)
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-13, atol=1e-16)


class Table(Gate):
    """Reads its weights of a table, by the row's number."""

    def __init__(self, in_features: int, num_experts: int, *, table: Any = FIRST) -> None:
        super().__init__(in_features, num_experts)
        self.rows = nn.Parameter(torch.tensor(table))

    def forward(self, x: Tensor) -> Routing:
        """Route ``(batch, in_features)``."""
        return Routing(x @ self.rows, x.new_ones(()))


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("fused", [True, False])
def test_a_mixture_adds_it_to_the_aux_losses(fused: bool) -> None:
    """A gate reads known rows in place of others, and what it says of them is not counted."""
    made = [make_gate(Table, 2, 3, table=t, union_weight=0.1) for t in (FIRST, SECOND)]
    mixture = Mixture(made, [nn.Identity() for _ in range(3)])
    mixture.gates.fused = fused
    x = torch.eye(2)
    losses = mixture(x, x, KNOWN)[1].aux_loss
    assert losses.tolist() == pytest.approx([1 + 0.1 * 2.75 / 4] * 2, abs=1e-15)
    losses.sum().backward()
    gradient = mixture.gates.each.get_parameter("rows").grad
    expected = torch.tensor([[[0.5, 1, 0.5], [1, 1, 1]], [[0.5, 0.5, 1], [0, 0, 0]]]) * 0.1 / 2
    torch.testing.assert_close(gradient, expected, rtol=0, atol=1e-15)
    assert mixture(x, x)[1].aux_loss.sum().item() == pytest.approx(2 + 0.1 * 3.75 / 2)
    assert mixture.eval()(x, x, KNOWN)[1].aux_loss.tolist() == [1, 1], "it is of the training"


def test_a_gate_keeps_its_weight_and_nothing_else() -> None:
    plain, kept = make_gate(SoftmaxGate, 6, 8), make_gate(SoftmaxGate, 6, 8, union_weight=0.25)
    assert type(kept) is SoftmaxGate and dict(kept.named_buffers())["union_weight"] == 0.25
    assert not dict(plain.named_buffers())
    both = make_gate(TopKGate, 6, 8, k=3, union_weight=0.25, balance_weight=0.1)
    assert both.k == 3 and Mixture([both], [nn.Identity()] * 8).union_weights is not None
    assert Mixture([plain], [nn.Identity()] * 8).union_weights is None


@pytest.mark.parametrize("value", [-1.0, float("inf"), float("nan")])
def test_its_range(value: float) -> None:
    with pytest.raises(ValueError, match=r"`0 <= union_weight < inf` must hold, but got \(union"):
        make_gate(SoftmaxGate, 6, 8, union_weight=value)


class Own(SoftmaxGate):
    """Means something else by the name."""

    def __init__(self, in_features: int, num_experts: int, *, union_weight: float = 1.0) -> None:
        super().__init__(in_features, num_experts)
        self.register_hyperparameters(union_weight=union_weight)


def test_a_gate_must_call_its_own_otherwise() -> None:
    with pytest.raises(ValueError, match="Own must call its own `union_weight` otherwise"):
        make_gate(Own, 6, 8)


class Masked(SyntheticGroups):
    """Every third target of a row is not known."""

    def split(self, name: SplitName) -> Split:
        inputs, targets, *_ = super().split(name)
        kind = torch.get_default_dtype()
        places = torch.arange(len(inputs))[:, None] + torch.arange(targets.shape[1])
        return Split(inputs.to(kind), targets.to(kind), places % 3 > 0)


ROWS = {"train_rows": 96, "val_rows": 32, "test_rows": 32}
RECIPE = Recipe(32, 3)


def member(seed: int = 0, **gate: Any) -> Member:
    optimizer = {"name": "adam", "learning_rate": 0.02, "weight_decay": 0.0}
    return Member(Configuration.of(gate, {"num_experts": 4}, optimizer), seed)


def trained(*members: Member, gate: type[Gate] = TopKGate) -> Training:
    training = Training(Masked(num_targets=5, num_groups=2, **ROWS), gate, members, RECIPE)
    assert training.notes == []
    for _ in range(RECIPE.max_epochs):
        training.run_epoch()
    return training


def tensors(training: Training, index: int = 0) -> dict[str, Tensor]:
    return {n: t for n, t in training.best[index].items() if "union_weight" not in n}


def same(some: dict[str, Tensor], others: dict[str, Tensor]) -> bool:
    return some.keys() == others.keys() and all(torch.equal(t, others[n]) for n, t in some.items())


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How often the union is counted."""
    calls: list[int] = []

    def watched(weights: Tensor, known: Tensor | None = None) -> Tensor:
        calls.append(len(weights))
        return union_cost(weights, known)

    monkeypatch.setattr(mixtures, "union_cost", watched)
    return calls


@pytest.mark.slow
@pytest.mark.parametrize("cls", [TopKGate, SoftmaxGate])
def test_a_weight_of_zero_is_no_operation(cls: type[Gate], counted: list[int]) -> None:
    unnamed, zero = trained(member(), gate=cls), trained(member(union_weight=0.0), gate=cls)
    assert same(tensors(unnamed), tensors(zero)) and counted == []
    assert not same(tensors(unnamed), tensors(trained(member(union_weight=1.0), gate=cls)))
    assert counted


def test_who_has_none_is_as_beside_another_who_has_none() -> None:
    """To the bit, though in one of the two the union is counted, times 0."""
    without = trained(member(union_weight=0.0), member(1, union_weight=0.0))
    beside = trained(member(union_weight=0.0), member(1, union_weight=3.0))
    assert same(tensors(without), tensors(beside))
    assert not same(tensors(without, 1), tensors(beside, 1))


@pytest.mark.usefixtures("double")
def test_members_of_different_weights_are_each_as_alone() -> None:
    members = [
        member(0, union_weight=0.0),
        member(0, union_weight=0.3),
        member(1, union_weight=3.0),
    ]
    together = trained(*members)
    assert not together.members.one_by_one
    for index, one in enumerate(members):
        alone = trained(one)
        for name, tensor in alone.best[0].items():
            torch.testing.assert_close(together.best[index][name], tensor, rtol=1e-10, atol=1e-10)


def test_a_training_goes_on_from_its_state() -> None:
    members = [member(0, union_weight=0.3), member(1, union_weight=3.0)]
    straight, task = trained(*members), Masked(num_targets=5, num_groups=2, **ROWS)
    begun = Training(task, TopKGate, members, RECIPE)
    begun.run_epoch()
    going = Training(task, TopKGate, members, RECIPE)
    going.load([begun.state(0), begun.state(1)])
    for _ in range(RECIPE.max_epochs - 1):
        going.run_epoch()
    assert all(same(tensors(straight, i), tensors(going, i)) for i in range(2))


def ended(*weights: float | None, epochs: int = 30, targets: int = 8) -> list[Ending]:
    """Return how members of two seeds a weight end."""
    task = SyntheticGroups(
        num_targets=targets, num_groups=4, train_rows=1024, val_rows=512, test_rows=256
    )
    optimizer = {"name": "adam", "learning_rate": 0.01, "weight_decay": 0.0}
    found = []
    for weight in weights:
        gate = {"k": 2, "static": True, **({} if weight is None else {"union_weight": weight})}
        made = Configuration.of(gate, {"num_experts": 8}, optimizer)
        job = Job("evaluate", "top_k", "top_k", (Member(made, 0), Member(made, 1)))
        work = Work(task, [job], Recipe(64, epochs), goal=BY_LOSS)
        while (step := work.step()[0]).endings is None:
            pass
        found += step.endings
    return found


@pytest.mark.slow
def test_the_more_it_weighs_the_fewer_experts_run_and_k_is_kept() -> None:
    endings = ended(0.0, 0.1, 0.3)
    rows = [ending.metrics["gate/experts_per_row"] for ending in endings]
    means = [sum(rows[at : at + 2]) / 2 for at in (0, 2, 4)]
    assert means[0] > means[1] > means[2], means
    assert means[0] > 6 and means[2] < 4
    assert all(ending.metrics["gate/exactly_k"] == 1 for ending in endings)


def test_sizes_are_those_without_it() -> None:
    plain, costly = ended(None, 0.3, epochs=1, targets=4)[::2]
    sizes = [n for n in plain.metrics if n.startswith("model/") and "active" not in n]
    assert len(sizes) == 2 and {n: plain.metrics[n] for n in sizes} == {
        n: costly.metrics[n] for n in sizes
    }
    assert plain.metrics.keys() == costly.metrics.keys()


@pytest.mark.parametrize("dense", [False, True])
@pytest.mark.parametrize("name", ["top_k", "relu", "dselect_k"])
def test_the_predictor_is_the_model(name: str, dense: bool) -> None:
    task = SyntheticGroups(num_targets=3, train_rows=8, val_rows=64)
    inputs, found = task.split("val").inputs, []
    for options in ({}, {"union_weight": 0.5}):
        torch.manual_seed(0)
        model = Model(task, gates.get(name), options, {"num_experts": 4}).eval()
        with torch.no_grad():
            found += [model(inputs).groups[0], Predictor(model, dense=dense)(inputs)]
    assert torch.equal(found[0], found[2]) and torch.equal(found[1], found[3])


# MLflow warns of its own type hints when its pyfunc is first imported.
WARNED = "ignore:.*Any type hint is inferred as AnyType"
SMALL = "{name: synthetic_groups, num_targets: 4, train_rows: 64, val_rows: 32, test_rows: 32}"
BAD = [
    ("{top_k: {union_weight: -1}}", "gates.top_k.union_weight: `0 <= union_weight < inf` must"),
    ("{top_k: {union_weight: [0, -1]}}", "(union_weight=-1.0)"),
    ("{top_k: {union_weight: .inf}}", "gates.top_k.union_weight: must be finite"),
    ("{top_k: {union_weight: much}}", "gates.top_k.union_weight: must be a number"),
    ("{top_k: {union_weight: true}}", "gates.top_k.union_weight: must be a number"),
    ("{top_k: {union_weigth: 1}}", "did you mean 'union_weight'"),
    (
        "{top_k: {union_weight: 0.1, learner: gossip}}",
        "gates.top_k.union_weight: `union_weight = 0` must hold where each target has a copy of",
    ),
    (
        "{top_k: {union_weight: {low: 0, high: 0.3}, learner: mean_regularized}}",
        "(union_weight=0.3)",
    ),
]


@pytest.mark.parametrize(("said", "words"), BAD, ids=[said for said, _ in BAD])
def test_a_spec_that_cannot_be_is_one_line(said: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(spec(task=SMALL, gates=said))
    code, text = run("launch", str(path), "--folder", str(tmp_path / "runs"))
    assert (code, text.count("\n")) == (2, 1), text
    assert words in text, text
    assert [each.name for each in tmp_path.iterdir()] == ["bad.yaml"]


def test_a_training_of_copies_refuses_it() -> None:
    """Who trains without a spec is told the same; a weight of 0 says nothing."""
    task = SyntheticGroups(num_targets=2, **ROWS)
    for weight in (0.0, 0.1):
        made = member(union_weight=weight).configuration.values | {"learner": "gossip"}
        members = [Member(Configuration(made), 0)]
        if not weight:
            Training(task, TopKGate, members, RECIPE).run_epoch()
            continue
        with pytest.raises(ValueError, match=r"union_weight: .* copy of the experts.*=0\.1\)"):
            Training(task, TopKGate, members, RECIPE)


@pytest.mark.slow
@pytest.mark.filterwarnings(WARNED)
def test_a_sweep_that_searches_it(place: Path) -> None:
    """And is exported; each trial has the weight that was drawn."""
    text = spec(
        name="searched",
        task=SMALL,
        gates="{top_k: {k: 2, union_weight: [0, 3]}}",
        training="{max_epochs: 12, batch_size: 16}",
        optimizer="{learning_rate: 0.03}",
        model="{num_experts: 8}",
        search="{trials: 4, early_stopping: false}",
        evaluation="{seeds: 2}",
        baselines="false",
    )
    (place / "searched.yaml").write_text(text)
    gatelab(place, "launch", "searched.yaml")
    gatelab(place, "export", "searched")
    runs = [run for run in read(place, "searched").runs if run.stage == "search"]
    rows = {float(r.params["gate.union_weight"]): r.metrics["gate/experts_per_row"] for r in runs}
    assert rows.keys() == {0, 3} and rows[3] < rows[0]
