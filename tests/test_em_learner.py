"""The learner `em`: one expert is ridge regression, no epoch lowers the likelihood, all exactly."""

from __future__ import annotations

import io
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from torch import Tensor, nn

from gatelab.gates import Gate, SoftmaxGate, TopKGate, make_gate
from gatelab.tasks import BrainEncoding, Network, Split, SplitName, Target, Task
from gatelab.training.configuration import Configuration
from gatelab.training.em import log_likelihood
from gatelab.training.em_experts import LinearExperts
from gatelab.training.learners.em import Em
from gatelab.training.member import Member, Recipe
from gatelab.training.train import Training

BRAIN = BrainEncoding(words=120, voxels=12, noise=2)
STEP: dict[str, Any] = {"name": "adam", "learning_rate": 0.01, "weight_decay": 0.0}
SLOW = {"restarts": 1, "ridge": 5.0}
"""Of a training that epochs still improve."""


def member(
    seed: int = 0, experts: int = 4, step: dict[str, Any] = STEP, static: bool = False, **own: Any
) -> Member:
    gate = {"static": True} if static else {}
    values = Configuration.of(gate, {"num_experts": experts}, step).values
    options = {f"learner.{name}": value for name, value in Em.completed(own).items()}
    return Member(Configuration({**values, "learner": "em", **options}), seed)


def begun(*members: Member, task: Task = BRAIN, epochs: int = 6) -> Training:
    return Training(task, SoftmaxGate, members, Recipe(16, epochs))


def trained(*members: Member, task: Task = BRAIN, epochs: int = 6) -> Training:
    training = begun(*members, task=task)
    while training.epoch < epochs:
        training.run_epoch()
    return training


def tensors(training: Training, row: int = 0) -> dict[str, Tensor]:
    return training.members.state(row)


def assert_same(one: Any, other: Any) -> None:
    """Check that states are equal bit for bit."""
    assert type(one) is type(other)
    if isinstance(one, Tensor):
        assert one.dtype == other.dtype and torch.equal(one, other)
    elif isinstance(one, dict):
        assert one.keys() == other.keys()
        for name in one:
            assert_same(one[name], other[name])
    else:
        assert one == other


def linear() -> nn.Module:
    return nn.Linear(3, 1)


def frozen() -> nn.Module:
    return nn.Linear(3, 1).requires_grad_(False)


def network(expert: Any = linear, tower: Any = nn.Identity, **others: Any) -> Network:
    named = {"bottom": nn.Identity, "gate_input": nn.Identity, "gate_features": 3, **others}
    return Network(expert=expert, tower=lambda target: tower(), **named)


class Biased(Task):
    """Two columns of three features, of which some values are unknown and rows weigh otherwise."""

    targets = (Target("a", "regression", width=2),)

    def split(self, name: SplitName) -> Split:
        """Return rows."""
        drawn = torch.Generator().manual_seed(len(name))
        inputs, values = (torch.randn(40, size, generator=drawn) for size in (3, 2))
        mask = (torch.arange(40) % 4 > 0)[:, None]
        return Split(inputs, values, mask, 1.0 + torch.arange(40) % 3)

    def network(self) -> Network:
        """Return experts with a bias."""
        return network(expert=lambda: nn.Linear(3, 2))


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("ridge", [0.01, 1.0, 30.0])
def test_one_expert_is_ridge_regression(ridge: float) -> None:
    training = trained(member(experts=1, ridge=ridge), epochs=2)
    inputs, values = (it.double().numpy() for it in BRAIN.split("train")[:2])
    other = Ridge(alpha=ridge, fit_intercept=False).fit(inputs, values)
    (weight,) = tensors(training)["mixture.experts.each.weight"]
    np.testing.assert_allclose(weight, other.coef_, rtol=0, atol=1e-10)
    (found,) = training.evaluate_best("test")
    expected = other.predict(BRAIN.split("test").inputs.double())
    np.testing.assert_allclose(found.outputs[0], expected, rtol=0, atol=1e-10)


@pytest.mark.usefixtures("float64")
def test_a_bias_weights_and_unknown_values_are_ridge_regressions() -> None:
    """Weights are of mean 1 over known rows; a bias is a weight of 1 like any other."""
    training = trained(member(experts=1, ridge=0.5), task=Biased(), epochs=1)
    inputs, values, mask, weights = Biased().split("train")
    assert mask is not None and weights is not None
    known = mask[:, 0].numpy()
    rows = np.hstack([inputs.numpy(), np.ones((40, 1))])[known]
    counts = weights.numpy()[known] / weights.numpy()[known].mean()
    other = Ridge(alpha=0.5, fit_intercept=False).fit(rows, values.numpy()[known], counts)
    state = tensors(training)
    (weight,), (bias,) = (state[f"mixture.experts.each.{name}"] for name in ("weight", "bias"))
    np.testing.assert_allclose(weight, other.coef_[:, :-1], rtol=0, atol=1e-10)
    np.testing.assert_allclose(bias, other.coef_[:, -1], rtol=0, atol=1e-10)


def test_a_row_that_counts_twice_is_two_rows() -> None:
    drawn = torch.Generator().manual_seed(0)
    x, y, answers = (
        torch.randn(30, size, generator=drawn, dtype=torch.float64) for size in (4, 2, 3)
    )
    counts = 1.0 + torch.arange(30, dtype=torch.float64) % 2
    twice = torch.arange(30).repeat_interleave(counts.long())
    start = answers.softmax(1)
    one = LinearExperts.start(x, y, start, counts=counts)
    other = LinearExperts.start(x[twice], y[twice], start[twice])
    for _ in range(3):
        for name in ("maps", "variances", "gate"):
            torch.testing.assert_close(getattr(one, name), getattr(other, name))
        one = one.refit(one.joint().softmax(1))
        other = other.refit(other.joint().softmax(1))


@pytest.mark.parametrize("static", [False, True])
@pytest.mark.parametrize("own", [SLOW, {"start": "kmeans"}, {"temperature": 1.0, "ridge": 0.1}])
def test_no_epoch_lowers_the_likelihood(own: dict[str, Any], static: bool) -> None:
    """In single precision too: the mixture is kept in double beside the tensors that are served."""
    training = begun(*(member(seed, static=static, **own) for seed in range(3)), epochs=12)
    told = []
    while not training.done:
        found = training.run_epoch()
        told.append([each.learner["log_likelihood"] for _, each in found.values()])
    for before, after in pairwise(told):
        assert all(b - a <= 1e-9 * abs(a) for a, b in zip(after, before, strict=True))
    if own is SLOW and not static:
        assert all(last > first + 1 for first, last in zip(told[0], told[-1], strict=True))


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("static", [False, True])
def test_what_is_scored_is_the_mixture(static: bool) -> None:
    training = trained(member(static=static), task=Biased())
    kept, inputs = training.best[0], Biased().split("val").inputs
    read, with_one = torch.ones(40, 1), torch.cat([inputs, torch.ones(40, 1)], 1)
    weights = ((read if static else inputs) @ kept["learner.gate"]).softmax(1)
    expected = torch.einsum("rk,rf,kfc->rc", weights, with_one, kept["learner.maps"])
    (found,) = training.evaluate_best("val")
    torch.testing.assert_close(found.outputs[0], expected, rtol=0, atol=1e-12)
    assert found.learner["log_likelihood"] == kept["learner.log_likelihood"]
    assert {name for name in kept if name not in training.served(0)} == {
        f"learner.{name}" for name in ("maps", "gate", "variances", "log_likelihood")
    }


@pytest.mark.parametrize("epoch", range(1, 6))
def test_a_stopped_training_goes_on_exactly(epoch: int) -> None:
    """As from a rung, after one of three has left."""
    members = [member(seed, **SLOW) for seed in range(3)]
    whole, halted = begun(*members), begun(*members)
    for training in (whole, halted):
        training.run_epoch()
        training.drop([1])
        while training.epoch < epoch:
            training.run_epoch()
    kept = io.BytesIO()
    torch.save([halted.state(index) for index in range(3)], kept)
    kept.seek(0)
    again = begun(*members)
    again.load(torch.load(kept, weights_only=True))
    for training in (whole, again):
        while training.epoch < 6:
            training.run_epoch()
    for index in range(3):
        assert_same(again.state(index), whole.state(index))


def test_members_are_as_if_alone() -> None:
    """Of other ridges and temperatures, which are no part of a structure."""
    given = [{"ridge": 0.1}, {"ridge": 5.0, "gate_ridge": 3.0}, {"ridge": 1.0}]
    members = [member(seed, **own) for seed, own in enumerate(given)]
    together = trained(*members)
    for row, one in enumerate(members):
        assert_same(tensors(trained(one)), tensors(together, row))


def test_those_that_go_on_keep_their_own_options() -> None:
    members = [member(seed, **SLOW | {"ridge": 0.1 + 3 * seed}) for seed in range(3)]
    training = begun(*members)
    for _ in range(2):
        training.run_epoch()
        training.drop([0])
    for row, one in enumerate(members[1:]):
        assert_same(tensors(trained(one, epochs=2)), tensors(training, row))


def test_the_likelihood_is_told_in_double_precision() -> None:
    state = tensors(trained(member(), epochs=2))
    inputs, values = (it.double() for it in BRAIN.split("train")[:2])
    kept = (state[f"learner.{name}"] for name in ("maps", "variances", "gate"))
    mixture = LinearExperts(inputs, values, inputs, torch.ones(len(inputs)), *kept, 1.0, 0.1)
    expected = log_likelihood(mixture)
    assert float(state["learner.log_likelihood"]) == pytest.approx(expected, rel=1e-13)


def test_seeds_are_starts() -> None:
    one, other, same = (tensors(trained(member(seed)))["learner.maps"] for seed in (0, 1, 0))
    assert torch.equal(one, same) and not torch.allclose(one, other)


def test_more_starts_are_at_least_as_likely() -> None:
    """The first of four is the only one of one."""
    found = [
        float(tensors(trained(member(restarts=count, temperature=1.0)))["learner.log_likelihood"])
        for count in (1, 8)
    ]
    assert found[1] > found[0]


def test_the_optimiser_has_no_part_in_it() -> None:
    other = {"name": "adamw", "learning_rate": 0.5, "weight_decay": 0.5}
    assert_same(tensors(trained(member())), tensors(trained(member(step=other))))


def test_a_ridge_too_small_to_solve_with_fails_its_member_alone() -> None:
    """20 rows of 25 features: what is left of 1e-300 beside the rows is 0."""
    task = BrainEncoding(words=30, voxels=8)
    training = begun(member(0, ridge=1e-300), member(1), task=task)
    training.run_epoch()
    lost, other = training.courses
    assert (lost.end, lost.reason) == ("failed", "val/loss is nan in epoch 1")
    assert other.end is None and training.active == [1]


SQUARE = (Target("a", "regression"),)


@pytest.mark.parametrize(
    ("made", "targets", "gate", "said"),
    [
        (network(), SQUARE * 2, SoftmaxGate, "must be one target, of any number of columns, but"),
        (network(), (Target("a", "binary"),), SoftmaxGate, "of regression, but 'a' is binary"),
        (
            network(),
            (Target("a", "regression", loss="absolute"),),
            SoftmaxGate,
            "the squared error, but is 'absolute'",
        ),
        (network(), SQUARE, TopKGate, "gate must be softmax, but is TopKGate"),
        (network(bottom=linear), SQUARE, SoftmaxGate, "but `bottom` has tensors"),
        (network(gate_input=linear), SQUARE, SoftmaxGate, "but `gate_input` has tensors"),
        (network(gate_reads_experts=True), SQUARE, SoftmaxGate, "reads the experts' outputs"),
        (network(expert=nn.Identity), SQUARE, SoftmaxGate, "must be one nn.Linear, as all others"),
        (network(expert=frozen), SQUARE, SoftmaxGate, "but is frozen"),
        (network(other_experts=(frozen,)), SQUARE, SoftmaxGate, "but is of 2 kinds"),
        (network(tower=linear), SQUARE, SoftmaxGate, "a tower must be nn.Identity, but is Linear"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_mixture_of_linear_experts_is_one_line(
    made: Network, targets: tuple[Target, ...], gate: type[Gate], said: str
) -> None:
    why = Em.misfit(made, targets, make_gate(gate, 3, 2))
    assert said in why and "\n" not in why and why.endswith("use `joint` in its place")


def test_what_is_one_fits() -> None:
    for gate in (make_gate(SoftmaxGate, 3, 2), make_gate(SoftmaxGate, 3, 2, balance_weight=0.0)):
        assert Em.misfit(network(), SQUARE, gate) == ""


def test_a_training_refuses_what_does_not_fit_too() -> None:
    with pytest.raises(ValueError, match="gate must be softmax, but is TopKGate"):
        Training(BRAIN, TopKGate, [member()], Recipe(16, 1))
