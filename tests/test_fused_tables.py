"""Embedding tables with sparse gradients, fused as on a GPU: here on a CPU, in float64."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call

from gatelab.gates import SoftmaxGate
from gatelab.gates.stack import Stack
from gatelab.tasks import Network, Split, SplitName
from gatelab.training import members as members_module
from gatelab.training.fused_tables import FusedTables
from gatelab.training.lookups import Lookups
from gatelab.training.members import Members
from gatelab.training.optimizer import MemberOptimizer
from gatelab.training.optimizers.catalogue import optimizer_defaults
from gatelab.training.schedule import Schedule
from gatelab.training.train import Training
from tests.test_training import Recipe, Tables, course, member

pytestmark = pytest.mark.usefixtures("float64")
ROWS, STEPS = 7, 6


class TwoTables(nn.Module):
    """Two tables, of which one has a row that is only padding; rows of mask 0 reach no loss."""

    def __init__(self) -> None:
        super().__init__()
        self.users = nn.Embedding(ROWS, 3, sparse=True)
        self.items = nn.Embedding(ROWS, 2, padding_idx=0, sparse=True)
        self.head = nn.Linear(5, 1)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        both = torch.cat([self.users(ids[:, 0]), self.items(ids[:, 1:]).sum(1)], dim=1)
        return (self.head(both.tanh()).squeeze(1).square() * mask).mean()


@contextmanager
def fused(whether: bool) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(members_module, "fuses_tables", lambda *_: whether)
        yield


def made(count: int, whether: bool, name: str, **options: Any) -> tuple[Members, MemberOptimizer]:
    models = []
    for seed in range(count):
        torch.manual_seed(seed)
        models.append(TwoTables())
    with fused(whether):
        members = Members(models)
    rates = [0.1 * (1 + n) for n in range(count)]
    given = [optimizer_defaults(name) | {"name": name, "learning_rate": r} for r in rates]
    return members, MemberOptimizer(members, given, **options)


def batches(count: int) -> list[tuple[Tensor, Tensor]]:
    """Ids that meet some rows twice, some never, and some only where the loss is masked."""
    draw = torch.Generator().manual_seed(3)
    found = []
    for _ in range(STEPS):
        ids = torch.randint(0, ROWS - 1, (count, 4, 3), generator=draw)
        found.append((ids, (torch.rand(count, 4, generator=draw) < 0.6).double()))
    return found


def train(
    members: Members, optimizer: MemberOptimizer, given: list[tuple[Tensor, Tensor]], first: int = 0
) -> None:
    optimizer.ready(first, len(given))
    for ids, mask in given:
        loss = members.call(
            lambda tensors, *own: functional_call(members.skeleton, tensors, own), [ids, mask]
        )
        loss.sum().backward()
        optimizer.step()


def assert_alike(one: Members, other: Members) -> None:
    for number in range(len(one)):
        found, expected = one.state(number), other.state(number)
        assert found.keys() == expected.keys()
        for name, tensor in expected.items():
            assert torch.allclose(found[name], tensor, rtol=0, atol=1e-12), name


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("name", ["adam", "adamw", "sgd"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"clips": [0.05, None, 1e-3]},
        {"schedules": [Schedule("cosine", 0.3, STEPS), Schedule("step", 0.0, STEPS)] * 2},
    ],
    ids=["plain", "clipped", "scheduled"],
)
def test_fused_tables_move_as_apart(count: int, name: str, options: dict[str, Any]) -> None:
    """Torch's SparseAdam and SGD of each member alone, step by step."""
    options = {key: values[:count] for key, values in options.items()}
    apart, fused_ones = (made(count, whether, name, **options) for whether in (False, True))
    assert apart[0].has_sparse_gradients and not fused_ones[0].has_sparse_gradients
    assert fused_ones[0].one_by_one is (count == 1)
    start = apart[0].state(0)
    for members, optimizer in (apart, fused_ones):
        train(members, optimizer, batches(count))
    assert_alike(fused_ones[0], apart[0])
    moved = (apart[0].state(0)["users.weight"] != start["users.weight"]).any(1)
    met = torch.cat([ids[0, :, 0] for ids, _ in batches(count)])
    assert (
        moved.any() and not moved[-1] and {*moved.nonzero().flatten().tolist()} <= {*met.tolist()}
    )
    for number in range(count):
        padding = fused_ones[0].state(number)["items.weight"][0]
        assert torch.equal(padding, torch.zeros(2)), "padding stays"


def test_a_row_that_is_met_moves_on_without_a_gradient() -> None:
    """By what Adam remembers; one that is not met stays where it is."""
    members, optimizer = made(1, True, "adam")
    ids, mask = torch.tensor([[[1, 1, 1], [2, 2, 2]]]), torch.ones(1, 2)
    train(members, optimizer, [(ids, mask)])
    before = members.state(0)["users.weight"]
    masked = torch.tensor([[[1, 1, 1], [3, 3, 3]]]), torch.tensor([[0.0, 1.0]])
    train(members, optimizer, [masked], first=1)
    after = members.state(0)["users.weight"]
    changed = (after != before).any(1)
    assert changed.tolist() == [False, True, False, True, False, False, False]


@pytest.mark.parametrize("first", [False, True], ids=["then fused", "then apart"])
def test_a_past_goes_on_in_the_other_form(first: bool) -> None:
    """So that a state that a GPU has saved opens on a CPU, and the other way round."""
    whole, given = made(3, first, "adam"), batches(3)
    train(*whole, given)
    begun, other = made(3, first, "adam"), made(3, not first, "adam")
    train(*begun, given[:4])
    for number in range(3):
        state = begun[1].state(number)
        other[0].load(number, begun[0].state(number))
        other[1].load(number, state)
        assert state["tables"]["users.weight"]["step"] == 4
    train(*other, given[4:], first=4)
    assert_alike(other[0], whole[0])
    assert other[1].state(1)["tables"]["items.weight"]["step"] == STEPS


def test_those_who_stay_keep_their_past() -> None:
    whole, left = made(3, True, "adam"), made(3, True, "adam")
    given = batches(3)
    train(*whole, given)
    train(*left, given[:2])
    kept = torch.tensor([2, 0])
    left[0].keep([2, 0])
    left[1].keep([2, 0])
    train(*left, [(ids[kept], mask[kept]) for ids, mask in given[2:]], first=2)
    whole[0].keep([2, 0])
    assert_alike(left[0], whole[0])


def test_rows_of_a_lookup_are_those_of_any_gradient_or_mark() -> None:
    """Of four rows one has half a gradient, one a mark alone, one both, and the last neither."""
    tables = FusedTables({"a": torch.zeros(1, 4, 2)})
    tables.tables["a"].grad = torch.tensor([[[0.0, 1.0], [0.0, 0.0], [2.0, 3.0], [0.0, 0.0]]])
    assert tables.looked_up("a").tolist() == [[True, False, True, False]]
    tables.marks["a"].grad = torch.tensor([[0.0, 2.0, 1.0, 0.0]])
    assert tables.looked_up("a").tolist() == [[True, True, True, False]]


@pytest.mark.parametrize("name", ["adam", "sgd"])
def test_a_table_that_a_step_leaves_out_stays(name: str) -> None:
    members, optimizer = made(2, True, name)
    train(members, optimizer, batches(2))
    before = [members.state(number) for number in range(2)]
    ids, mask = batches(2)[0]
    loss = members.call(
        lambda tensors, *own: functional_call(members.skeleton, tensors, own), [ids, mask]
    )
    loss.sum().backward()
    optimizer.ready(STEPS, 1)
    assert members.fused_tables is not None
    members.fused_tables.tables["users.weight"].grad = None
    assert len(members.fused_tables.gradients()) == 1
    optimizer.step()
    for number, state in enumerate(before):
        after = members.state(number)
        assert torch.equal(after["users.weight"], state["users.weight"])
        assert not torch.equal(after["items.weight"], state["items.weight"])


class Padded(nn.Module):
    """Tables with dense gradients and a row of padding: of layers, and of none."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(ROWS, 3, padding_idx=-ROWS)
        self.experts = Stack([nn.Embedding(ROWS, 2, padding_idx=1) for _ in range(2)])
        self.own = nn.Parameter(torch.randn(ROWS, 2))

    def forward(self, ids: Tensor) -> Tensor:
        own = nn.functional.embedding(ids, self.own, padding_idx=0)
        found = (self.table(ids), self.experts(ids), own)
        return torch.stack([(it + 1).square().sum() for it in found]).sum()


def test_padding_is_not_learnt_by_any_member() -> None:
    """Torch's own leaves out that of the first of several that are called together."""
    members = Members([Padded(), Padded(), Padded()])
    ids = torch.tensor([[0, 1, 2], [0, 0, 1], [3, 1, 0]])
    found = {}
    for together in (True, False):
        members.fused = together
        assert members.one_by_one is not together
        loss = members.call(
            lambda tensors, own: functional_call(members.skeleton, tensors, own), [ids]
        )
        loss.sum().backward()
        assert members.flat.grad is not None
        found[together] = members.flat.grad
        members.clear_gradients()
    assert torch.allclose(found[True], found[False], rtol=0, atol=1e-12)
    named = members.unflatten(found[True][2])
    assert named["table.weight"][0].eq(0).all() and named["table.weight"][3].ne(0).all()
    assert named["experts.each.weight"][:, 1].eq(0).all()
    assert named["own"][0].eq(0).all() and named["own"][3].ne(0).all()


class PaddedTask(Tables):
    """Learns from padding, which stands in none of the first rows."""

    def split(self, name: SplitName) -> Split:
        split = super().split(name)
        split.inputs[:32].clamp_(min=1)
        return split

    def network(self, *, pads: bool = True) -> Network:
        def table() -> nn.Module:
            layer = nn.Embedding(20, 4, padding_idx=0 if pads else None)
            return nn.Sequential(layer, nn.Flatten())

        return Network(table, nn.Identity, 8, lambda: nn.Linear(8, 8), lambda _: nn.Linear(8, 1))


@pytest.mark.parametrize("pads", [True, False])
def test_a_rehearsal_finds_padding_out(pads: bool) -> None:
    """Where there is none, a step of it asks no lookup; where there is, no member learns it."""
    recipe = Recipe(batch_size=32, max_epochs=3)
    training = Training(PaddedTask(), SoftmaxGate, [member(s, pads=pads) for s in (1, 2)], recipe)
    asked = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Lookups, "embedding", _noting(asked))
        course(training)
    assert bool(asked) is pads
    for state in training.best:
        assert state["bottom.0.weight"][0].eq(0).all() or not pads


def _noting(asked: list[bool]) -> Any:
    embedding = Lookups.embedding

    def noting(*args: Any, **kwargs: Any) -> Tensor:
        asked.append(True)
        return embedding(*args, **kwargs)

    return noting


class Scaled(TwoTables):
    """Looks up in what is computed of a table, which no lookup can leave a mark in."""

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        users = nn.functional.embedding(ids[:, 0], 2 * self.users.weight, sparse=True)
        both = torch.cat([users, self.items(ids[:, 1:]).sum(1)], dim=1)
        return (self.head(both.tanh()).squeeze(1).square() * mask).mean()


def test_what_is_computed_of_a_table_moves_its_rows_too() -> None:
    torch.manual_seed(0)
    with fused(True):
        members = Members([Scaled(), Scaled()])
    option = optimizer_defaults("adam") | {"name": "adam"}
    optimizer = MemberOptimizer(members, [option] * 2)
    before = [members.state(number) for number in range(2)]
    train(members, optimizer, batches(2))
    for number in range(2):
        moved = (members.state(number)["users.weight"] != before[number]["users.weight"]).any(1)
        assert moved[:-1].any() and not moved[-1]


def test_a_training_with_fused_tables_is_one_with_tables_apart() -> None:
    """Early stopping, scores and saved states included; a member that leaves changes nobody."""
    found = []
    for whether in (False, True):
        with fused(whether):
            rated = [member(seed, learning_rate=rate) for seed, rate in ((0, 0.01), (1, 0.3))]
            recipe = Recipe(batch_size=48, max_epochs=8, patience=2)
            training = Training(Tables(), SoftmaxGate, [*rated, member(2)], recipe)
            losses = course(training)
            found.append((losses, [it.loss for it in training.evaluate_best("val")]))
    (apart, best_apart), (one, best_one) = found
    assert len({len(history) for history in apart}) > 1
    for history, expected in zip(one, apart, strict=True):
        assert history == pytest.approx(expected, rel=1e-9)
    assert best_one == pytest.approx(best_apart, rel=1e-9)


class Shares(nn.Module):
    """Ids as numbers that a gate can read."""

    def forward(self, ids: Tensor) -> Tensor:
        return ids / 20


class InExperts(Tables):
    """Each expert has a table of its own."""

    def network(self, *, sparse: bool = True) -> Network:
        def expert() -> nn.Module:
            return nn.Sequential(nn.Embedding(20, 4, sparse=sparse), nn.Flatten(), nn.Linear(8, 8))

        return Network(nn.Identity, Shares, 2, expert, lambda target: nn.Linear(8, 1))


def test_experts_have_tables_of_sparse_gradients() -> None:
    """All ids are in every batch, so that they train as dense ones do; on a CPU too."""
    recipe = Recipe(batch_size=128, max_epochs=4)
    given = [[member(seed, sparse=sparse) for seed in (1, 2)] for sparse in (True, False)]
    trainings = [Training(InExperts(), SoftmaxGate, it, recipe) for it in given]
    sparse, dense = map(course, trainings)
    for one, other in zip(sparse, dense, strict=True):
        assert one == pytest.approx(other, rel=1e-4)
