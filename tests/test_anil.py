"""ANIL: a step by hand, what it equals, members as wholes, and what is scored."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.func import functional_call

from gatelab.gates import Routing, SoftmaxGate, gates
from gatelab.tasks import Split, SyntheticGroups
from gatelab.training.jobs import Job
from gatelab.training.learners.anil import Anil
from gatelab.training.member import Member, Recipe
from gatelab.training.member_loss import MemberLoss
from gatelab.training.states import read_state
from gatelab.training.train import Training
from gatelab.training.work import Work
from tests.test_gossip import GROUPS, SHARED, Sums, member, trained, val_losses

pytestmark = pytest.mark.usefixtures("float64")
Tensors = dict[str, Tensor]


def meta(seed: int = 0, **options: Any) -> Member:
    return member(seed, learner="anil", **options)


def numbers(training: Training) -> list[float]:
    """Return the expert's number and both towers'."""
    state = training.members.state(0)
    towers = state["towers.0.each.value"]
    return [*state["mixture.experts.each.value"].flatten().tolist(), *towers.flatten().tolist()]


@pytest.mark.parametrize(
    ("options", "steps", "slope"),
    [
        ({"inner_steps": 0, "shots": 4}, 0, 1.0),
        ({"inner_steps": 1}, 1, 0.8**2),
        ({"inner_steps": 3}, 3, 0.8**6),
        ({"inner_steps": 3, "first_order": True}, 3, 0.8**3),
    ],
)
def test_a_step_by_hand(options: dict[str, Any], steps: int, slope: float) -> None:
    """An inner step of a tenth shortens what is missing, 1 and 3, by 0.2 of it.

    The loss after N of them is 0.8^2N times its square, and its gradient 2 times 0.8^2N times what
    is missing; of the first order 0.8^N, as only the end counts. So expert and towers move.
    """
    training = Training(
        Sums(), SoftmaxGate, [meta(inner_rate=0.1, **{"shots": 3, **options})], Recipe(4, 1)
    )
    ((loss, found),) = training.run_epoch().values()
    assert loss == pytest.approx(0.8 ** (2 * steps) * (1 + 9))
    expert, towers = 0.2 * slope * 4, [0.2 * slope * 1, 0.2 * slope * 3]
    assert numbers(training) == [pytest.approx(n) for n in (expert, *towers)]
    missing = [value - expert - tower for value, tower in zip((1, 3), towers, strict=True)]
    left = [0.8 ** (2 * steps) * each**2 for each in missing]
    assert found.losses.tolist() == pytest.approx(left), "what is scored is adapted"
    (ended,) = training.evaluate_best("test")
    assert ended.loss == pytest.approx(sum(left))
    told = {"unadapted_loss": pytest.approx(sum(each**2 for each in missing))}
    assert ended.learner == (told if steps else {})


@pytest.mark.parametrize("gate", ["softmax", "noisy_top_k", "bias_balanced_top_k", "dselect_k"])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_without_inner_steps_it_is_joint_training(gate: str, optimizer: str) -> None:
    """Bit for bit, with gates that draw or change buffers too; what is scored is the same."""
    options = {"optimizer": optimizer, "rate": 0.01, "experts": 4}
    cls = gates.get(gate)
    none = trained(cls, [meta(s, inner_steps=0, **options) for s in (3, 8)], Recipe(20, 3))
    joint = trained(cls, [member(s, (), "", **options) for s in (3, 8)], Recipe(20, 3))
    assert torch.equal(none.members.flat, joint.members.flat)
    for name, buffer in joint.members.buffers.items():
        assert torch.equal(none.members.buffers[name], buffer)
    for ours, theirs in zip(none.evaluate_best("val"), joint.evaluate_best("val"), strict=True):
        assert ours.loss == theirs.loss and torch.equal(ours.weights, theirs.weights)
        assert ours.learner == {}


def test_each_member_has_a_rate_of_its_own() -> None:
    """Beside each other as each alone, also when the first has left; what is scored too."""
    rates = (0.05, 0.1, 0.4)
    members = [meta(2, inner_rate=rate, experts=4) for rate in rates]
    assert len({one.configuration.structure() for one in members}) == 1
    together = Training(GROUPS, SoftmaxGate, members, Recipe(32, 3))
    alone = [trained(SoftmaxGate, [one], Recipe(32, 3)) for one in members]
    together.run_epoch()
    together.drop([0])
    while not together.done:
        together.run_epoch()
    for place in (0, 1):
        assert torch.allclose(
            together.members.flat[place], alone[place + 1].members.flat[0], rtol=0, atol=1e-12
        )
    losses = [found.loss for found in together.evaluate_best("test")]
    assert losses[1:] == pytest.approx([each.evaluate_best("test")[0].loss for each in alone[1:]])
    assert len(set(losses)) == 3


def test_a_state_is_gone_on_from_exactly(tmp_path: Path) -> None:
    jobs = [
        Job("search", "one", "softmax", (meta(n, rate=0.01, inner_rate=rate, experts=4),), n)
        for n, rate in ((0, 0.1), (1, 0.3))
    ]
    straight, halted, again = (
        Work(GROUPS, jobs, Recipe(16, 4), step_seconds=s) for s in (1000, 0, 1000)
    )
    (whole, _) = straight.step()
    halted.step()
    halted.save(tmp_path)
    assert again.restore(read_state(tmp_path))
    (rest, _) = again.step()
    assert val_losses(rest) == val_losses(whole)[1:]
    assert torch.equal(again.training.members.flat, straight.training.members.flat)


class Uneven(SyntheticGroups):
    """With weights of rows, and values that are not known."""

    def split(self, name: Any) -> Split:
        found = super().split(name)
        mask = torch.arange(found.targets.numel()).view_as(found.targets) % 5 > 0
        return found._replace(mask=mask, weights=1.0 + torch.arange(len(mask)) % 3)


def test_rows_that_are_weighted_or_unknown() -> None:
    """Halves of a batch take their own of both."""
    task = Uneven(num_targets=3, train_rows=96, val_rows=64, test_rows=64)
    own = ({"inner_steps": 0}, {"inner_steps": 2})
    members = [meta(3, rate=0.05, experts=4, **each) for each in own]
    none, some, joint = (
        Training(task, SoftmaxGate, [one], Recipe(32, 2))
        for one in (*members, member(3, (), "", rate=0.05, experts=4))
    )
    losses = [[training.run_epoch()[0][0] for _ in range(2)] for training in (none, some, joint)]
    assert torch.equal(none.members.flat, joint.members.flat) and losses[0] == losses[2]
    assert some.members.flat.isfinite().all() and losses[1] != losses[0]
    assert some.courses[0].unweighted not in (None, losses[1][1])


def test_inner_steps_draw_apart() -> None:
    """The query draws as the whole batch would, and each inner step otherwise."""
    training = Training(GROUPS, gates.get("noisy_top_k"), [meta(experts=4)], Recipe(96, 1))
    given, progress = training.loop._given(torch.arange(96)[None])

    def losses(loss: MemberLoss, tensors: Tensors, taught: Tensor | None) -> list[Tensor]:
        parts = (loss, *(loss.part(slice(None), draw) for draw in (None, 0, 1, 1)))
        return [part(tensors).objective for part in parts]

    found = training.loop.train.call(losses, training.members, given, progress)
    whole, query, *inner = (float(loss.detach()) for loss in found)
    assert whole == query and inner[1] == inner[2]
    assert len({whole, *inner}) == 3


class Choosing(SoftmaxGate):
    """Cannot do with five rows in training."""

    def forward(self, x: Tensor) -> Routing:
        if self.training and len(x) == 5:
            raise ValueError("five are too few")
        return super().forward(x)


def test_what_is_scored_is_rehearsed() -> None:
    Training(GROUPS, Choosing, [meta(shots=6)], Recipe(96, 1))
    with pytest.raises(ValueError, match="five are too few"):
        Training(GROUPS, Choosing, [meta(shots=5)], Recipe(96, 1))


def test_a_batch_of_one_row_is_both_halves() -> None:
    training = Training(GROUPS, SoftmaxGate, [meta(experts=4)], Recipe(95, 1))
    ((loss, _),) = training.run_epoch().values()
    assert loss < 100 and training.members.flat.isfinite().all()
    one = Training(Sums(), SoftmaxGate, [meta(inner_steps=1, shots=1)], Recipe(4, 1))
    losses, *_ = one.loop.rehearse(1)
    assert losses.tolist() == [pytest.approx(0.8**2 * (1 + 9))]


def test_shots_are_train_rows_of_the_members_seed() -> None:
    """What is scored has moved in gates and towers alone, and with all rows as with any order."""
    training = Training(GROUPS, SoftmaxGate, [meta(5, shots=96, experts=4)], Recipe(96, 1))
    course = training.members.state(0)
    served = training.served(0)
    moved = {name for name in course if not torch.equal(course[name], served[name])}
    assert moved == {name for name in training.members.shapes if not name.startswith(SHARED)}
    split = training.split("train")

    def loss(tensors: Tensors) -> Tensor:
        output = functional_call(training.model.train(), {**course, **tensors}, (split.inputs,))
        return (torch.cat(output.groups)[..., 0] - split.targets.mT).square().mean(1).sum()

    now = {name: course[name] for name in moved}
    for _ in range(3):
        slopes = torch.func.grad(loss)(now)
        now = {name: now[name] - 0.1 * slopes[name] for name in now}
    assert all(torch.allclose(served[n], now[n], rtol=0, atol=1e-12) for n in moved)
    few, again, other = (
        Training(GROUPS, SoftmaxGate, [meta(seed, shots=4, experts=4)], Recipe(96, 1)).group.learner
        for seed in (5, 5, 6)
    )
    assert isinstance(few, Anil) and isinstance(again, Anil) and isinstance(other, Anil)
    orders = [each._rows_of([0], 96)[0].tolist() for each in (few, again, other)]
    assert orders[0] == orders[1] != orders[2] and sorted(orders[0]) != orders[0]
    assert [len(set(order)) for order in orders] == [4, 4, 4]


def test_the_saved_model_is_what_was_scored(tmp_path: Path) -> None:
    job = Job("evaluate", "one", "softmax", (meta(7, experts=4),))
    work = Work(GROUPS, [job], Recipe(32, 3))
    (step,) = work.step()
    (ending,) = step.endings or ()
    work.save_model(tmp_path / "one.pt")
    saved = torch.load(tmp_path / "one.pt", weights_only=True)
    test = work.training.split("test")
    output = functional_call(work.training.model.eval(), saved["state"], (test.inputs,))
    loss = (torch.cat(output.groups)[..., 0] - test.targets.mT).square().mean(1).sum()
    assert float(loss.detach()) == pytest.approx(ending.metrics["test/loss"], rel=1e-12)
    assert ending.metrics["learner/unadapted_loss"] != ending.metrics["test/loss"]


def test_more_shots_than_rows_are_a_line() -> None:
    with pytest.raises(ValueError, match=r"`shots <= train rows` .* \(shots=97, train rows=96\)"):
        Training(GROUPS, SoftmaxGate, [meta(shots=97)], Recipe(96, 1))


def test_what_is_told_follows_from_options() -> None:
    told = [Anil.tells(Anil.completed(own)) for own in ({}, {"inner_steps": 0}, {"held_out": 1})]
    assert told == [["unadapted_loss"], [], ["unadapted_loss", "held_out_loss"]]
