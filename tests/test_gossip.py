"""Gossip: a step by hand, what it equals without a graph or with all, and members as wholes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gatelab.gates import Gate, SoftmaxGate, TopKGate
from gatelab.tasks import Network, Split, SyntheticGroups, Target, Task
from gatelab.training.configuration import Configuration
from gatelab.training.jobs import Job
from gatelab.training.learners.gossip import Gossip
from gatelab.training.member import Member, Recipe
from gatelab.training.states import read_state
from gatelab.training.train import Training
from gatelab.training.work import Work
from tests.test_raising import DIVERGES, ChoosyGate

SGD = {"name": "sgd", "learning_rate": 0.1, "weight_decay": 0.0}
GROUPS = SyntheticGroups(num_targets=3, train_rows=96, val_rows=64, test_rows=64)
SHARED = ("bottom.", "gate_input.", "mixture.experts.")


class Plus(nn.Module):
    """Adds one number, from 0 on."""

    def __init__(self) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.value


class Sums(Task):
    """Two numbers, 1 and 3, each the sum of the expert's number and its tower's."""

    targets = (Target("one", "regression"), Target("three", "regression"))

    def split(self, name: Any) -> Split:
        return Split(torch.zeros(4, 1), torch.tensor([[1.0, 3.0]] * 4))

    def network(self) -> Network:
        return Network(nn.Identity, nn.Identity, 1, Plus, lambda _: Plus())


def member(
    seed: int = 0, weights: Sequence[float] = (), learner: str = "gossip", **options: Any
) -> Member:
    """Return a member, whose options of the learner or the optimiser, ``rate``, are given."""
    rate, experts = options.pop("rate", 0.1), options.pop("experts", 1)
    optimizer = {**SGD, "name": options.pop("optimizer", "sgd"), "learning_rate": rate}
    optimizer |= {n: options.pop(n) for n in ("momentum", "weight_decay") if n in options}
    values = Configuration.of({}, {"num_experts": experts}, optimizer).values
    own = {f"training.target_weights.t{n:03}": w for n, w in enumerate(weights)}
    said = {"learner": learner, **{f"learner.{n}": v for n, v in options.items()}}
    return Member(Configuration({**values, **own, **(said if learner else {})}), seed)


def numbers(training: Training) -> list[list[float]]:
    """Return the expert's number of both agents, and each one's own tower's."""
    state = training.copies.state(training.members, 0)
    towers = state["towers.0.each.value"][:, :, 0]
    return [state["mixture.experts.each.value"].flatten().tolist(), towers.diagonal().tolist()]


@pytest.mark.parametrize(
    ("graph", "experts"),
    [("complete", (0.52, 0.76)), ("0.75 0.25; 0.25 0.75", (0.42, 0.86)), ("none", (0.32, 0.96))],
)
def test_two_steps_by_hand(float64: None, graph: str, experts: tuple[float, float]) -> None:
    """Gradients at 0 are -2 and -6: a tenth of them leads to 0.2 and 0.6, expert and tower alike.

    There outputs are 0.4 and 1.2, and gradients -1.2 and -3.6. Agents average first, to 0.4 and
    0.4, or 0.3 and 0.5, or not, and then step by 0.12 and 0.36 as of where they were before.
    """
    training = Training(Sums(), SoftmaxGate, [member(graph=graph)], Recipe(4, 3))
    ((loss, first),) = training.run_epoch().values()
    assert numbers(training) == [pytest.approx([0.2, 0.6])] * 2
    assert loss == pytest.approx(1 + 9)
    assert first.losses.tolist() == pytest.approx([0.36, 3.24])
    assert first.learner == {"consensus_error": pytest.approx(2 * 0.2**2)}
    ((loss, second),) = training.run_epoch().values()
    assert numbers(training) == [pytest.approx(experts), pytest.approx([0.32, 0.96])]
    assert loss == pytest.approx(0.36 + 3.24)
    one, other = experts
    assert second.learner == {"consensus_error": pytest.approx((one - other) ** 2 / 2)}
    assert [float(o[0, 0]) for o in second.outputs] == pytest.approx([one + 0.32, other + 0.96])


def test_weights_decay_where_the_step_begins(float64: None) -> None:
    """Of the second step above experts begin at 0.4 both, of which 0.2 is added to -1.2 and -3.6.

    To the towers' gradients 0.1 and 0.3 are, of where they are: 0.2 and 0.6.
    """
    training = Training(Sums(), SoftmaxGate, [member(weight_decay=0.5)], Recipe(4, 2))
    while not training.done:
        training.run_epoch()
    assert numbers(training) == [pytest.approx([0.5, 0.74]), pytest.approx([0.31, 0.93])]


def test_the_loss_of_the_mean_by_hand(float64: None) -> None:
    """The experts' mean is 0.64: outputs are 0.96 and 1.6, of 1 and 3."""
    training = Training(Sums(), SoftmaxGate, [member(graph="complete")], Recipe(4, 2))
    while not training.done:
        training.run_epoch()
    (found,) = training.evaluate_best("test")
    assert found.learner == {
        "consensus_error": pytest.approx(0.24**2 / 2),
        "mean_loss": pytest.approx(0.04**2 + 1.4**2),
    }
    assert found.loss == pytest.approx((0.84 - 1) ** 2 + (1.72 - 3) ** 2)


def trained(gate: type[Gate], members: Sequence[Member], recipe: Recipe) -> Training:
    training = Training(GROUPS, gate, members, recipe)
    while not training.done:
        training.run_epoch()
    return training


@pytest.mark.parametrize("gate", [SoftmaxGate, TopKGate])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_without_a_graph_targets_are_trained_apart(gate: type[Gate], optimizer: str) -> None:
    """Bit for bit as members that minimise the loss of one target alone."""
    options = {"optimizer": optimizer, "rate": 0.01, "experts": 4}
    agents = [member(seed, graph="none", rows="shared", **options) for seed in (3, 8)]
    ones = [[float(t == own) for t in range(3)] for own in range(3)]
    apart = [member(seed, one, "", **options) for seed in (3, 8) for one in ones]
    together, alone = (trained(gate, found, Recipe(20, 3)) for found in (agents, apart))
    assert torch.equal(together.members.flat, alone.members.flat)
    evaluations, others = (each.evaluate_best("val") for each in (together, alone))
    for place, found in enumerate(evaluations):
        for target in range(3):
            other = others[3 * place + target]
            assert torch.equal(found.outputs[target], other.outputs[target])
            assert torch.equal(found.weights[target], other.weights[target])


def test_with_all_the_mean_of_agents_goes_as_a_joint_model(float64: None) -> None:
    """A step from one start on the same rows: the mean of the gradients is that of the mean."""
    whole = Recipe(96, 1)
    agents = trained(SoftmaxGate, [member(3, graph="complete", rows="shared", experts=4)], whole)
    joint = trained(SoftmaxGate, [member(3, [1 / 3] * 3, "", experts=4)], whole)
    copies, model = agents.copies.state(agents.members, 0), joint.members.state(0)
    names = [name for name in model if name.startswith(SHARED)]
    assert names
    for name in names:
        assert torch.allclose(copies[name].mean(0), model[name], rtol=0, atol=1e-14)


@pytest.mark.parametrize("graph", ["complete", "ring", "torus"])
def test_agents_at_rest_come_together(float64: None, graph: str) -> None:
    """Their mean stays, and with all of them one round is enough."""
    resting = [member(1, graph=graph, rate=0.0, experts=4)]
    training = Training(GROUPS, SoftmaxGate, resting, Recipe(96, 9))
    with torch.no_grad():
        training.members.flat.add_(torch.randn(training.members.flat.shape))
    flat, shared = training.members.flat.detach().clone(), training.group.learner.shared
    (before,) = shared.spread(training.members).tolist()
    training.run_epoch()
    after = training.members.flat.detach()
    (left,) = shared.spread(training.members).tolist()
    assert left < 1e-20 * before if graph == "complete" else left < before / 2
    (part,), (then,) = shared.parts(after), shared.parts(flat)
    assert torch.allclose(part.mean(1), then.mean(1), rtol=0, atol=1e-14)
    own = torch.ones(flat.shape[1], dtype=torch.bool)
    for start, end in shared._runs:
        own[start:end] = False
    assert torch.equal(after[:, own], flat[:, own]), "gates and towers are each agent's own"


def test_agents_read_rows_in_orders_of_their_own_or_one() -> None:
    for rows, differ in (("own", 3), ("shared", 1)):
        training = Training(GROUPS, SoftmaxGate, [member(rows=rows)], Recipe(96, 1))
        training.loop.begin_pass(0)
        orders = {tuple(order) for order in training.loop.passage._order.tolist()}
        assert len(orders) == differ
        assert {tuple(sorted(order)) for order in orders} == {tuple(range(96))}
    chained = Training(GROUPS, SoftmaxGate, [member(correlation=0.9), member()], Recipe(96, 1))
    chained.loop.begin_pass(0)
    seen = [len(set(order)) for order in chained.loop.passage._order.tolist()]
    assert max(seen[:3]) < 30 and seen[3:] == [96] * 3


class Costly(SoftmaxGate):
    """Wants its first expert to count less."""

    def forward(self, x: Tensor) -> Any:
        found = super().forward(x)
        return found._replace(aux_loss=found.weights[:, 0].mean())


def test_an_agent_pays_for_its_own_gate_alone() -> None:
    """The others' gates in its copy stay as they began."""
    training = Training(GROUPS, Costly, [member(experts=4, graph="ring")], Recipe(96, 1))
    name = "mixture.gates.each.logits.kernel"
    before = training.copies.state(training.members, 0)[name]
    training.run_epoch()
    moved = (training.copies.state(training.members, 0)[name] != before).flatten(2).any(2)
    assert torch.equal(moved, torch.eye(3, dtype=torch.bool))


class Tabled(Sums):
    """With a sparse table of one row below the expert, which agents share too."""

    def split(self, name: Any) -> Split:
        return Split(torch.zeros(4, 1, dtype=torch.int64), torch.tensor([[1.0, 3.0]] * 4))

    def network(self) -> Network:
        def bottom() -> nn.Module:
            table = nn.Embedding(1, 1, sparse=True)
            nn.init.zeros_(table.weight)
            return nn.Sequential(table, nn.Flatten())

        return Network(bottom, nn.Identity, 1, nn.Identity, lambda _: Plus())


def test_sparse_tables_are_shared_too(float64: None) -> None:
    """As the expert's number in two steps by hand."""
    training = Training(Tabled(), SoftmaxGate, [member(graph="complete")], Recipe(4, 3))
    training.run_epoch()
    ((_, second),) = training.run_epoch().values()
    table = training.copies.state(training.members, 0)["bottom.0.weight"]
    assert table.flatten().tolist() == pytest.approx([0.52, 0.76])
    assert second.learner == {"consensus_error": pytest.approx(0.24**2 / 2)}


def job(number: int, rate: float, **options: Any) -> Job:
    one = member(100 + number, rate=rate, optimizer="adam", experts=4, graph="ring", **options)
    return Job("search", "one", "softmax", (one,), number)


def val_losses(step: Any) -> list[float]:
    return [metrics["val/loss"] for _, _, metrics in step.epochs]


def test_members_are_wholes_whoever_is_beside() -> None:
    """One stops early, one diverges; the third is the same to the last bit."""
    recipe = Recipe(16, 5, patience=1)
    own = job(0, 0.01, correlation=0.5)
    first = Work(GROUPS, [own, job(1, 0.0), job(2, 0.02)], recipe, step_seconds=1000).step()
    second = Work(GROUPS, [job(3, 1e30), job(4, 0.03), own], recipe, step_seconds=1000).step()
    assert len(val_losses(first[0])) >= 3 and len(val_losses(first[1])) == 2
    assert val_losses(first[0]) == val_losses(second[2])
    (ending,) = second[0].endings or ()
    assert ending.end == "failed" and "loss is" in ending.reason


def test_one_copy_that_raises_ends_its_member_alone() -> None:
    sound = [member(seed, rate=1e-3, optimizer="adam", experts=4) for seed in (0, 2)]
    poisoned = member(1, rate=DIVERGES, optimizer="adam", experts=4)
    training = Training(GROUPS, ChoosyGate, [sound[0], poisoned, sound[1]], Recipe(32, 3))
    others = trained(SoftmaxGate, sound, Recipe(32, 3))
    while not training.done:
        training.run_epoch()
    assert [course.end for course in training.courses] == ["finished", "failed", "finished"]
    found, expected = training.evaluate_best("val", [0, 2]), others.evaluate_best("val")
    assert [each.loss for each in found] == pytest.approx([e.loss for e in expected], rel=1e-5)


def test_a_state_is_gone_on_from_exactly(tmp_path: Path) -> None:
    jobs = [job(0, 0.01, correlation=0.5), job(1, 0.03)]
    recipe = Recipe(16, 4)
    straight = Work(GROUPS, jobs, recipe, step_seconds=1000)
    (whole, _) = straight.step()
    halted = Work(GROUPS, jobs, recipe, step_seconds=0)
    halted.step()
    halted.save(tmp_path)
    again = Work(GROUPS, jobs, recipe, step_seconds=1000)
    assert again.restore(read_state(tmp_path))
    (rest, _) = again.step()
    assert val_losses(rest) == val_losses(whole)[1:]
    assert torch.equal(again.training.members.flat, straight.training.members.flat)
    (ending,), (expected,) = rest.endings or (), whole.endings or ()
    seconds = "time/train_seconds"
    assert {**ending.metrics, seconds: 0} == {**expected.metrics, seconds: 0}


def test_what_is_recorded() -> None:
    work = Work(GROUPS, [job(0, 0.01)], Recipe(16, 2), step_seconds=1000)
    (step,) = work.step()
    for _, _, metrics in step.epochs:
        assert metrics["learner/consensus_error"] > 0
    (ending,) = step.endings or ()
    own = {n for n in ending.metrics if n.startswith("learner/")}
    assert own == {f"learner/{name}" for name in Gossip.diagnostics}
    assert {f"val/t{n:03}/loss" for n in range(3)} <= ending.metrics.keys(), "of each agent"


def test_graphs_are_of_the_structure_and_correlations_are_not() -> None:
    """Members that train together have one matrix in common, and each a correlation of its own."""
    ring, none, chained = (
        member(**options).configuration.structure()
        for options in ({"graph": "ring"}, {"graph": "none"}, {"graph": "ring", "correlation": 0.5})
    )
    assert ring == chained != none
    assert member(learner="").configuration.structure() not in (ring, none)
