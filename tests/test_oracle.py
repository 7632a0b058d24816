"""The oracle and the regimes of `synthetic_groups`: the planted truth, as data and as a gate."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pytest
import torch

from gatelab.gates import OracleGate, Planted, UniformGate, gates, make_gate
from gatelab.gates.stack import Stack
from gatelab.tasks import DigitsPairs, Regimes, SyntheticGroups, Task, Truth
from gatelab.training.evaluation import Evaluation
from gatelab.training.model import Model
from gatelab.training.scores import gate_scores, usages

SMALL: dict[str, Any] = {"train_rows": 256, "val_rows": 16, "test_rows": 16}


def weights(task: Task, num_experts: int, **options: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Return inputs, and what the oracle weighs for them, ``(targets, rows, num_experts)``."""
    model = Model(task, OracleGate, options, {"num_experts": num_experts})
    x = task.data("train").inputs
    return x, model(x).routing.weights


def test_the_oracle_weighs_the_planted_experts_equally() -> None:
    task = SyntheticGroups(num_targets=5, num_groups=2, experts_per_group=2, **SMALL)
    _, found = weights(task, 6)
    first, second = [0.5, 0.5, 0, 0, 0, 0], [0, 0, 0.5, 0.5, 0, 0]
    expected = torch.tensor([first, first, first, second, second])
    assert torch.equal(found, expected.unsqueeze(1).expand(-1, 256, -1))
    _, balanced = weights(task, 6, balance_weight=0.1)
    assert torch.equal(balanced, found)


def test_the_oracle_follows_the_regimes_of_each_row() -> None:
    task = SyntheticGroups(num_targets=4, num_groups=4, experts_per_group=1, regimes=4, **SMALL)
    assert task.truth.regimes is not None
    directions = torch.tensor(task.truth.regimes.directions)
    torch.testing.assert_close(directions @ directions.mT, torch.eye(2))
    x, found = weights(task, 4)
    sides = (x.double() @ directions.double().mT > 0).long()
    regime = sides[:, 0] + 2 * sides[:, 1]
    assert regime.bincount().min() > 30
    for target in range(4):  # of group `target`, whose teacher in regime r is target + r
        assert torch.equal(found[target].argmax(1), (target + regime) % 4)
    assert torch.equal(found.sum(2), torch.ones(4, 256))


def test_targets_are_made_from_the_teachers_of_their_regime() -> None:
    """As if the whole were made of two tasks of one regime, with groups that have moved."""
    options: dict[str, Any] = {"num_targets": 4, "num_groups": 4, "experts_per_group": 1}
    task = SyntheticGroups(**options, regimes=2, noise=0.0, **SMALL)
    plain = SyntheticGroups(**options, noise=0.0, **SMALL)
    x = task.split("train").inputs.double().numpy()
    ours, theirs = task.signals(x), plain.signals(x)
    moved = task.regime(x) == 1
    np.testing.assert_array_equal(ours[~moved], theirs[~moved])
    teachers, mixings, _ = task._planted
    for target in range(4):
        made = teachers[(target + 1) % 4](x[moved]) @ mixings[target][0]
        np.testing.assert_allclose(ours[moved, target], made)
    assert abs(np.corrcoef(ours[moved].ravel(), theirs[moved].ravel())[0, 1]) < 0.3


def test_truth_by_regime() -> None:
    truth = SyntheticGroups(num_targets=4, num_groups=4, experts_per_group=2, regimes=2).truth
    assert truth.groups == (0, 1, 2, 3)
    assert truth.experts[0] == {0, 1, 2, 3} and truth.experts[3] == {6, 7, 0, 1}
    assert isinstance(truth.regimes, Regimes)
    assert [sets[3] for sets in truth.regimes.experts] == [{6, 7}, {0, 1}]
    assert len(truth.regimes.directions) == 1 and len(truth.regimes.directions[0]) == 16
    assert SyntheticGroups().truth.regimes is None


def test_one_regime_has_the_data_of_before_there_were_any() -> None:
    """The sum of an old version's numbers; signs and sizes are the same on every machine."""
    task = SyntheticGroups(num_targets=5, num_groups=2, experts_per_group=3, seed=3, in_features=4)
    targets = task.split("val").targets
    assert float(targets[0, 0]) == pytest.approx(1.8882824182510376, rel=1e-5)
    assert float(targets[-1, -1]) == pytest.approx(-0.27196842432022095, rel=1e-5)
    inputs = hashlib.sha256(task.split("val").inputs.numpy().tobytes()).hexdigest()
    assert inputs.startswith("30be838568a1086f")


@pytest.mark.parametrize(
    ("options", "fragment"),
    [
        ({"regimes": 3, "num_groups": 4}, "(regimes=3, num_groups=4)"),
        ({"regimes": 4, "num_groups": 2}, "(regimes=4, num_groups=2)"),
        ({"regimes": 0}, "(regimes=0, num_groups=2)"),
        ({"regimes": 4, "num_groups": 4, "in_features": 1}, "(regimes=4, in_features=1)"),
    ],
)
def test_regimes_out_of_range(options: dict[str, Any], fragment: str) -> None:
    with pytest.raises(ValueError) as caught:
        SyntheticGroups(**options)
    assert fragment in str(caught.value)


class Grouped(DigitsPairs):
    """Knows which targets belong together, but no one has made them from experts."""

    truth = Truth((0, 0))


def test_of_a_truth_without_experts_what_groups_tell_is_scored() -> None:
    even = Evaluation((), torch.full((2, 3, 4), 0.25), torch.zeros(2), 0.0, {})
    tasks = (Grouped(**SMALL), DigitsPairs(**SMALL), SyntheticGroups(num_targets=2, **SMALL))
    (usage,) = usages(None, [even])
    grouped, plain, planted = (gate_scores(task, usage, even).keys() for task in tasks)
    assert "gate/group_agreement" in grouped - plain
    recovery = {"gate/precision", "gate/recall", "gate/f1"}
    assert recovery <= planted and not recovery & grouped


def test_the_oracle_refuses_what_it_cannot_know() -> None:
    with pytest.raises(ValueError) as caught:
        weights(DigitsPairs(**SMALL), 4)
    assert str(caught.value) == (
        "`oracle` needs a task that knows its truth, but this one has none."
    )
    with pytest.raises(ValueError, match="knows its truth, but this one has none"):
        weights(Grouped(**SMALL), 4)
    with pytest.raises(ValueError) as caught:
        weights(SyntheticGroups(num_groups=4, **SMALL), 7)
    assert str(caught.value) == (
        "`planted experts <= num_experts` must hold for `oracle`, but got (8, num_experts=7)."
    )
    with pytest.raises(ValueError) as caught:
        OracleGate(6, 4).reveal(Planted((frozenset({0}), frozenset({1})), ((1.0, 0.0),)))
    assert "2 numbers, but got (in_features=6)" in str(caught.value)


def test_gates_that_do_not_ask_are_told_nothing() -> None:
    gate = make_gate(UniformGate, 6, 4)
    gate.reveal(None)
    assert type(gate).reveal is gates.get("softmax").reveal


def test_the_oracle_stacks_with_members_of_its_own_truth() -> None:
    made = [OracleGate(2, 3) for _ in range(2)]
    made[0].reveal(Planted((frozenset({0}), frozenset({1, 2})), ((1.0, 0.0),)))
    made[1].reveal(Planted((frozenset({2}), frozenset({0})), ((0.0, -1.0),)))
    x = torch.tensor([[1.0, 1.0], [-1.0, -1.0]])
    found = Stack(made)(x).weights.tolist()
    assert found == [[[0, 0.5, 0.5], [1, 0, 0]], [[0, 0, 1], [1, 0, 0]]]
