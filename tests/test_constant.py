"""The constant prediction, worked out by hand and beside scikit-learn's."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.metrics import log_loss, mean_squared_error

from gatelab.gates import ConstantGate
from gatelab.tasks import Kind, Split, SplitName, Target, Task
from gatelab.training.beginning import begin_work
from gatelab.training.constant import ConstantWork, constant_outputs, evaluate_constant
from gatelab.training.goal import Goal
from gatelab.training.jobs import Job, Stage
from gatelab.training.member import Recipe
from gatelab.training.states import read_state
from gatelab.training.steps import Ending
from gatelab.training.work import Work
from tests.scaled import Scaled, member

UNKNOWN = math.nan
Table = dict[SplitName, list[list[float]]]


class Columns(Task):
    """Targets as they are given, of inputs that say nothing; NaN where one is not known."""

    def __init__(self, targets: Sequence[Target], rows: Table, dtype: torch.dtype) -> None:
        self.targets, self.rows, self.dtype = tuple(targets), rows, dtype

    def split(self, name: SplitName) -> Split:
        values = torch.tensor(self.rows[name])
        known = ~values.isnan()
        return Split(torch.zeros(len(values), 1), values.to(self.dtype), known)


TARGETS = (
    Target("size", "regression", weight=2.0),
    Target("old", "binary"),
    Target("shape", "multiclass", 3, weight=0.5),
)
ROWS: Table = {
    "train": [[1, 1, 0], [2, 0, 1], [6, 1, 1], [UNKNOWN, 1, 2], [UNKNOWN, UNKNOWN, UNKNOWN]],
    "val": [[3, 1, 1], [4, UNKNOWN, 0]],
    "test": [[5, 0, 0], [UNKNOWN, 1, 1], [3, 1, UNKNOWN]],
}
"""The mean is 3, the base rate 3/4, the shares are 1/4, 1/2 and 1/4."""
TASK = Columns(TARGETS, ROWS, torch.float32)
LN2, LN3 = math.log(2), math.log(3)


def test_outputs_are_the_mean_and_the_logits_of_the_shares() -> None:
    size, old, shape = constant_outputs(TASK)
    assert size.tolist() == [3.0]
    assert old.tolist() == pytest.approx([LN3], rel=1e-12)
    assert shape.tolist() == pytest.approx([-2 * LN2, -LN2, -2 * LN2], rel=1e-12)


def ending(*, seeds: int = 1, goal: Goal | None = None, task: Task = TASK) -> list[Ending]:
    members = tuple(member(seed) for seed in range(seeds))
    job = Job("evaluate", "floor", "constant", members)
    begun = begin_work(task, [job], Recipe(4, 9), goal=goal or Goal())
    assert isinstance(begun, ConstantWork)
    (step,) = begun.step()
    assert (step.epoch, step.epochs, step.broken) == (0, [], False)
    assert step.endings is not None
    return step.endings


def test_an_evaluation_ends_at_once_with_the_scores_of_every_member() -> None:
    """On test: squares 4 and 0; odds of 3 to 1 missed once and met twice; shares 1/4 and 1/2."""
    first, second = ending(seeds=2)
    assert first == second
    assert (first.end, first.epoch) == ("finished", 0)
    assert first.reason == "a constant prediction is not trained"
    losses = {"size": 2.0, "old": (2 * LN2 + 2 * (2 * LN2 - LN3)) / 3, "shape": 1.5 * LN2}
    val = {"size": 0.5, "old": 2 * LN2 - LN3, "shape": 1.5 * LN2}
    weights = {"size": 2.0, "old": 1.0, "shape": 0.5}
    assert {name: found["loss"] for name, found in first.by_target.items()} == pytest.approx(losses)
    assert first.metrics["test/loss"] == pytest.approx(
        sum(losses[n] * w for n, w in weights.items())
    )
    assert first.metrics["val/loss"] == pytest.approx(sum(val[n] * w for n, w in weights.items()))
    assert first.metrics["objective"] == first.objective == first.metrics["val/loss"]
    assert first.metrics["test/size/rmse"] == pytest.approx(math.sqrt(2))
    assert first.metrics["test/old/accuracy"] == pytest.approx(2 / 3)
    assert first.metrics["test/old/auroc"] == 0.5
    assert first.metrics["test/mean/accuracy"] == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert (first.weights, first.load) == ([], [])
    kinds = {key.partition("/")[0] for key in first.metrics}
    assert kinds == {"test", "val", "objective"}, "nothing of gates, which there are none of"


def test_the_objective_is_the_goals() -> None:
    (found,) = ending(goal=Goal("val/mean/accuracy", higher_is_better=True))
    assert found.objective == found.metrics["objective"] == pytest.approx((1 + 1 / 2) / 2)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64, torch.float64])
@pytest.mark.parametrize("kind", ["binary", "multiclass"])
def test_a_class_that_train_has_not_counts_as_half_a_row(kind: Kind, dtype: torch.dtype) -> None:
    """Of three rows of class 1, the binary odds are 3 to 1/2; shares 3, 1/2 and 1/2 of 4."""
    target = Target("one", kind, 3 if kind == "multiclass" else None)
    rows: Table = {"train": [[1.0]] * 3, "val": [[1.0]], "test": [[0.0]]}
    (output,) = constant_outputs(Columns([target], rows, dtype))
    expected = {"binary": [math.log(6)], "multiclass": [-math.log(8), math.log(0.75), -math.log(8)]}
    assert output.tolist() == pytest.approx(expected[kind])
    (found,) = ending(task=Columns([target], rows, dtype))
    assert found.metrics["test/loss"] == pytest.approx(
        {"binary": math.log(7)}.get(kind, math.log(8))
    )


@pytest.mark.parametrize("kind", ["regression", "binary", "multiclass"])
def test_scores_are_those_of_scikit_learns_dummies(kind: Kind) -> None:
    drawn = np.random.default_rng(0)
    values = {
        "regression": drawn.normal(7, 3, 300),
        "binary": (drawn.random(300) < 0.2).astype(float),
        "multiclass": drawn.choice(3, 300, p=[0.2, 0.5, 0.3]).astype(float),
    }[kind]
    parts = dict(zip(("train", "val", "test"), np.split(values, [200, 250]), strict=True))
    target = Target("one", kind, 3 if kind == "multiclass" else None)
    rows: Table = {name: parts[name][:, None].tolist() for name in ("train", "val", "test")}
    task = Columns([target], rows, torch.float64)
    train, test = (task.data(name).targets[:, 0].numpy() for name in ("train", "test"))
    x, y = np.zeros((200, 1)), np.zeros((50, 1))
    if kind == "regression":
        expected = mean_squared_error(
            test, DummyRegressor(strategy="mean").fit(x, train).predict(y)
        )
    else:
        dummy = DummyClassifier(strategy="prior").fit(x, train)
        expected = log_loss(test, dummy.predict_proba(y), labels=dummy.classes_)
    found = evaluate_constant(task, constant_outputs(task), "test")
    assert found.loss == pytest.approx(expected, rel=1e-9)


def test_a_target_that_a_split_does_not_know_adds_nothing_as_in_a_model() -> None:
    rows = {**ROWS, "test": [[5.0, UNKNOWN, UNKNOWN]]}
    (found,) = ending(task=Columns(TARGETS, rows, torch.float32))
    assert found.metrics["test/loss"] == 2.0 * 4


def test_a_test_split_without_rows_is_a_failure() -> None:
    class Empty(Columns):
        def split(self, name: SplitName) -> Split:
            rows = slice(0 if name == "test" else None)
            parts = super().split(name)
            return Split(*(None if part is None else part[rows] for part in parts))

    (found,) = ending(task=Empty(TARGETS, ROWS, torch.float32))
    assert (found.end, found.reason) == ("failed", "the test split has no rows")


def test_a_search_of_it_is_refused() -> None:
    stage: Stage = "search"
    with pytest.raises(ValueError, match="nothing is searched, but got 'floor/search/0'"):
        begin_work(TASK, [Job(stage, "floor", "constant", (member(),))], Recipe(4, 9))


def test_work_of_a_gate_that_is_trained_trains() -> None:
    job = Job("evaluate", "one", "single", (member(),))
    begun = begin_work(Scaled(), [job], Recipe(4, 1), None, "cpu", 0.0, Goal())
    assert isinstance(begun, Work)


def test_its_state_is_read_like_any(tmp_path: Path) -> None:
    begun = begin_work(TASK, [Job("evaluate", "floor", "constant", (member(),))], Recipe(4, 9))
    before = begun.step()
    begun.save(tmp_path)
    begun.restore(read_state(tmp_path))
    assert begun.step() == before


def test_the_gate_itself_uses_no_expert() -> None:
    routing = ConstantGate(6, 4)(torch.randn(5, 6))
    assert torch.equal(routing.weights, torch.zeros(5, 4))
    assert routing.aux_loss == 0


class Weighed(Columns):
    """The same, whose rows have weights."""

    def __init__(self, targets: Sequence[Target], weights: dict[SplitName, list[float]]) -> None:
        super().__init__(targets, ROWS, torch.float64)
        self.weights = weights

    def split(self, name: SplitName) -> Split:
        return super().split(name)._replace(weights=torch.tensor(self.weights[name]))


WEIGHTS: dict[SplitName, list[float]] = {
    "train": [1, 2, 3, 6, 7],
    "val": [1, 4],
    "test": [2, 3, 6],
}


def test_of_weighted_rows_they_are_the_weighted_mean_and_shares() -> None:
    """Size is 1, 2 and 6 in rows of weight 1, 2 and 3; old 0 in the row of weight 2 of 12.

    On test size errs by 7/6 and 5/6 in rows of weight 2 and 6; old is 0, 1 and 1 in rows of weight
    2, 3 and 6.
    """
    task = Weighed(TARGETS, WEIGHTS)
    size, old, shape = constant_outputs(task)
    assert size.item() == pytest.approx((1 + 4 + 18) / 6, rel=1e-9)
    assert old.item() == pytest.approx(math.log(10 / 2), rel=1e-9)
    shares = [1 / 12, 5 / 12, 6 / 12]
    assert shape.exp().tolist() == pytest.approx(shares, rel=1e-9)
    (found,) = ending(task=task)
    squares = (2 * (5 - 23 / 6) ** 2 + 6 * (3 - 23 / 6) ** 2) / 8
    entropy = -(2 * math.log(1 / 6) + 9 * math.log(5 / 6)) / 11
    third = -(2 * math.log(1 / 12) + 3 * math.log(5 / 12)) / 5
    assert found.by_target["size"]["loss"] == pytest.approx(squares, rel=1e-6)
    assert found.by_target["old"]["loss"] == pytest.approx(entropy, rel=1e-6)
    assert found.by_target["old"]["accuracy"] == pytest.approx(9 / 11)
    assert found.metrics["test/loss"] == pytest.approx(2 * squares + entropy + third / 2, rel=1e-6)
    plain = ((5 - 23 / 6) ** 2 + (3 - 23 / 6) ** 2) / 2
    assert found.by_target["size"]["unweighted_loss"] == pytest.approx(plain, rel=1e-6)
    assert {"val/unweighted_loss", "test/unweighted_loss"} <= found.metrics.keys()


def test_a_class_that_weighs_little_is_not_taken_for_one_that_is_absent() -> None:
    weights = {**WEIGHTS, "train": [1e6, 1e-6, 1e6, 1e6, 1]}
    _, old, _ = constant_outputs(Weighed(TARGETS, weights))
    assert old.item() == pytest.approx(math.log(3e12), rel=1e-6)


@pytest.mark.parametrize("kind", ["binary", "multiclass"])
def test_balanced_classes_are_level_and_no_rounding_decides_on_one(kind: Kind) -> None:
    """Classes 0 and 1 in 3 and 46 of 49 rows, by weights of 49 / 6 and 49 / 92, and so on."""
    for few in range(1, 49):
        balanced = (49 / (2 * few), 49 / (2 * (49 - few)))
        target = Target("one", kind, 2 if kind == "multiclass" else None, class_weights=balanced)
        values = [[0.0]] * few + [[1.0]] * (49 - few)
        rows: Table = {"train": values, "val": values, "test": values}
        task = Columns([target], rows, torch.float64)
        (output,) = constant_outputs(task)
        assert output.tolist() == ([0.0] if kind == "binary" else [-LN2] * 2)
        (found,) = ending(task=task)
        assert found.metrics["test/loss"] == pytest.approx(LN2)
        share = pytest.approx(few / 49)
        assert found.metrics["test/mean/accuracy"] == share, "the first class, always"
