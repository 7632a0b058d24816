"""Weights of rows and classes in training, in numbers worked out by hand, in float64.

The task is that of ``tests.scaled``: one number w is learned, and both targets are w times x.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from gatelab.gates import SingleGate, SoftmaxGate
from gatelab.sweeps.cluster.provenance import fingerprint
from gatelab.tasks import Network, Split, SplitName, Target, Task
from gatelab.tasks.check.data import check_data
from gatelab.tasks.check.scales import uneven_losses
from gatelab.training.jobs import Job
from gatelab.training.member import Recipe
from gatelab.training.states import read_state
from gatelab.training.train import Training
from gatelab.training.weighting import loss_factors, told_weighting
from gatelab.training.work import Work
from tests.orders import row_order
from tests.scaled import BATCH, START, TRAIN, UNKNOWN, VAL, Row, Scaled, member, one_weight

WEIGHTS: dict[SplitName, list[float]] = {
    "train": [1, 2, 0.5, 3, 0, 4, 1, 1, 2.5, 0.25, 6],
    "val": [1, 3, 2],
    "test": [2, 1, 1],
}


@pytest.fixture(autouse=True)
def float64() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


class WeightedScaled(Scaled):
    """The same with weighted rows."""

    def __init__(self, weights: dict[SplitName, list[float]] = WEIGHTS, **rows: Any) -> None:
        super().__init__(**rows)
        self.weights = weights

    def split(self, name: SplitName) -> Split:
        return super().split(name)._replace(weights=torch.tensor(self.weights[name]))


Weighed = Sequence[tuple[float, Row]]


def known(rows: Weighed, column: int) -> list[tuple[float, float, float]]:
    """Return weight, input and value of the rows that know a target and weigh something."""
    return [(v, row[0], row[column]) for v, row in rows if v and not math.isnan(row[column])]


def batch_loss(w: float, rows: Weighed, split: Weighed) -> tuple[float, float, float]:
    """Return a batch's loss, its derivative by w, and the unweighted loss.

    A row's error counts as often as it weighs more than the mean of its split's known rows.
    """
    loss = slope = unweighted = 0.0
    for share, column in ((0.1, 1), (0.9, 2)):
        here, everywhere = known(rows, column), known(split, column)
        mean = sum(v for v, *_ in everywhere) / len(everywhere)
        for v, x, y in here:
            loss += share * v / mean * (w * x - y) ** 2 / len(here)
            slope += share * v / mean * 2 * x * (w * x - y) / len(here)
            unweighted += share * (w * x - y) ** 2 / len(here)
    return loss, slope, unweighted


def zipped(name: SplitName, rows: Sequence[Row]) -> Weighed:
    return list(zip(WEIGHTS[name], rows, strict=True))


def test_a_splits_loss_is_the_weighted_mean() -> None:
    """Estimates are 4, 8 and 12: light errs by 3 and 7, heavy by 2, 3 and 7; weights 1, 3 and 2."""
    training = Training(WeightedScaled(), SingleGate, [member()], Recipe(BATCH, 1))
    evaluation = training.run_epoch()[0][1]
    light, heavy = (9 + 3 * 49) / 4, (4 + 3 * 9 + 2 * 49) / 6
    assert evaluation.losses.tolist() == pytest.approx([light, heavy])
    assert evaluation.loss == pytest.approx(0.1 * light + 0.9 * heavy)
    assert evaluation.unweighted_losses is not None
    assert evaluation.unweighted_losses.tolist() == pytest.approx([(9 + 49) / 2, (4 + 9 + 49) / 3])
    assert evaluation.unweighted_loss == pytest.approx(21.5)


def test_epochs_of_weighted_batches() -> None:
    """Three batches an epoch; a row of weight 0 and unknown targets fall where they may."""
    rate, w, m, v, step = 0.05, START, 0.0, 0.0, 0
    training = Training(WeightedScaled(), SingleGate, [member(3, rate)], Recipe(BATCH, 4))
    rows = zipped("train", TRAIN)
    for epoch in range(4):
        order, total, plain = row_order(3, epoch, 11).tolist(), 0.0, 0.0
        for start in (0, 4, 8):
            batch = [rows[row] for row in order[start : start + BATCH]]
            loss, gradient, unweighted = batch_loss(w, batch, rows)
            total, plain = total + len(batch) * loss, plain + len(batch) * unweighted
            step += 1
            m, v = 0.9 * m + 0.1 * gradient, 0.999 * v + 0.001 * gradient**2
            w -= rate * (m / (1 - 0.9**step)) / (math.sqrt(v / (1 - 0.999**step)) + 1e-8)
        ((train_loss, evaluation),) = training.run_epoch().values()
        assert train_loss == pytest.approx(total / 11, rel=1e-12)
        assert training.courses[0].unweighted == pytest.approx(plain / 11, rel=1e-12)
        val = zipped("val", VAL)
        assert evaluation.loss == pytest.approx(batch_loss(w, val, val)[0], rel=1e-12)


def test_gradients_of_batches_are_those_of_the_split_on_average() -> None:
    """Over all batches of two rows of four, their slopes have the mean of the split's."""
    rows = [(v, (x, y, y)) for v, x, y in [(5, 1, 0), (1, 2, 1), (0.5, -1, 3), (9, 3, 2)]]
    pairs = [(a, b) for a in rows for b in rows if a is not b]
    slopes = [batch_loss(START, pair, rows)[1] for pair in pairs]
    assert np.mean(slopes) == pytest.approx(batch_loss(START, rows, rows)[1])


def one_epoch(task: Task, *seeds: int, epochs: int = 3) -> list[list[float]]:
    training = Training(
        task,
        SoftmaxGate,
        [member(seed, 0.05, static=True) for seed in seeds],
        Recipe(BATCH, epochs),
    )
    found: list[list[float]] = [[] for _ in seeds]
    for _ in range(epochs):
        for index, (loss, evaluation) in training.run_epoch().items():
            found[index] += [loss, evaluation.loss]
    return found


def test_a_member_is_weighted_as_alone() -> None:
    both, alone = one_epoch(WeightedScaled(), 1, 2), one_epoch(WeightedScaled(), 2)
    assert both[1] == pytest.approx(alone[0], rel=1e-12)


def test_a_common_factor_of_all_weights_changes_nothing() -> None:
    heavier = {name: [8 * weight for weight in weights] for name, weights in WEIGHTS.items()}
    assert one_epoch(WeightedScaled(heavier), 1) == one_epoch(WeightedScaled(), 1)


@pytest.mark.parametrize("weight", [1.0, 0.25])
def test_equal_weights_are_none(weight: float) -> None:
    equal = {name: [weight] * len(weights) for name, weights in WEIGHTS.items()}
    assert one_epoch(WeightedScaled(equal), 1) == one_epoch(Scaled(), 1)


def test_a_row_of_weight_0_counts_nowhere() -> None:
    """Row 4 of train, and another of val: whatever they hold."""
    weights = {**WEIGHTS, "val": [1, 0, 2]}
    kept = one_epoch(WeightedScaled(weights), 1)
    train, val = list(TRAIN), list(VAL)
    train[4], val[1] = (3, 1e3, -1e3), (2, 77, -77)
    assert one_epoch(WeightedScaled(weights, train=train, val=val), 1) == kept
    mask = WeightedScaled(weights).data("train").mask
    assert mask is not None and not mask[4].any() and mask[0, 0]


def test_scores_at_the_end_are_of_the_kept_weights_with_the_unweighted_losses_beside(
    tmp_path: Any,
) -> None:
    """The first epoch is the best: without a rate nothing changes. On test light errs by 3 and 8 in
    rows of weight 2 and 1, heavy by 2 and 4 in rows of weight 1 each; also after a stop."""
    job = Job("evaluate", "one", "single", (member(), member(1)))
    begun = Work(WeightedScaled(), [job], Recipe(BATCH, 2), step_seconds=0)
    begun.step()
    begun.save(tmp_path)
    work = Work(WeightedScaled(), [job], Recipe(BATCH, 2), step_seconds=0)
    work.restore(read_state(tmp_path))
    (step,) = work.step()
    assert step.endings is not None
    light, heavy = (2 * 9 + 64) / 3, (4 + 16) / 2
    val = batch_loss(START, zipped("val", VAL), zipped("val", VAL))
    expected = {
        "val/loss": val[0],
        "val/unweighted_loss": 21.5,
        "objective": val[0],
        "test/loss": 0.1 * light + 0.9 * heavy,
        "test/unweighted_loss": 0.1 * (9 + 64) / 2 + 0.9 * heavy,
        "test/light/loss": light,
        "test/light/unweighted_loss": (9 + 64) / 2,
        "test/light/rmse": math.sqrt(light),
        "test/mean/rmse": (math.sqrt(light) + math.sqrt(heavy)) / 2,
    }
    metrics = step.endings[1].metrics
    assert {key: metrics[key] for key in expected} == pytest.approx(expected)
    ((_, epoch, found),) = [one for one in step.epochs if one[0] == 0]
    assert epoch == 2 and {"train/loss", "train/unweighted_loss", "val/light/r2"} <= found.keys()


def test_an_unweighted_task_has_no_such_keys() -> None:
    job = Job("evaluate", "one", "single", (member(),))
    (step,) = Work(Scaled(), [job], Recipe(BATCH, 1)).step()
    assert step.endings is not None
    keys = {*step.endings[0].metrics, *step.epochs[0][2]}
    assert not [key for key in keys if "unweighted" in key]
    assert loss_factors(Scaled.targets, Scaled().data("train")) is None
    assert told_weighting(Scaled()) == ()


class Classes(Task):
    """A binary target with weighted classes, a multiclass one too, and one of neither.

    Every logit is a learned number times 1, and begins as 0; the third target is estimated as 0.
    """

    targets = (
        Target("two", "binary", class_weights=(1.0, 3.0)),
        Target("three", "multiclass", 3, class_weights=(1.0, 2.0, 0.5), weight=2.0),
        Target("value", "regression"),
    )
    rows = ((0, 0, 1), (1, 1, 2), (0, 2, 3), (0, 2, UNKNOWN))

    def split(self, name: SplitName) -> Split:
        values = torch.tensor(self.rows)
        return Split(torch.ones(len(values), 1), values, ~values.isnan())

    def network(self) -> Network:
        return Network(
            nn.Identity,
            nn.Identity,
            1,
            lambda: one_weight(1.0),
            lambda target: _logits(target.out_features),
        )


def _logits(number: int) -> nn.Module:
    layer = nn.Linear(1, number, bias=False)
    with torch.no_grad():
        layer.weight[:] = torch.arange(number)[:, None] * math.log(2)
    return layer


def test_classes_weigh_in_the_loss_of_their_target_alone() -> None:
    """The logit of two is 0, so that each row loses ln 2 whatever it weighs.

    Three's chances are 1/7, 2/7 and 4/7, of classes met once, once and twice; value's squares are
    1, 4 and 9. Unweighted, three loses the mean of ln 7, ln 3.5 and twice ln 1.75.
    """
    training = Training(Classes(), SingleGate, [member()], Recipe(4, 1))
    ((train_loss, found),) = training.run_epoch().values()
    sevens = [math.log(7), math.log(3.5), math.log(1.75)]
    three = (1 * sevens[0] + 2 * sevens[1] + 2 * 0.5 * sevens[2]) / (1 + 2 + 1)
    assert found.losses.tolist() == pytest.approx([math.log(2), three, 14 / 3])
    assert found.unweighted_losses is not None
    assert found.unweighted_losses[1] == pytest.approx((sevens[0] + sevens[1] + 2 * sevens[2]) / 4)
    assert train_loss == pytest.approx(math.log(2) + 2 * three + 14 / 3)
    work = Work(Classes(), [Job("search", "one", "single", (member(),))], Recipe(4, 1))
    keys = {key for _, _, metrics in work.step()[0].epochs for key in metrics}
    assert {"val/unweighted_loss", "val/three/unweighted_loss"} <= keys
    assert "val/value/unweighted_loss" not in keys, "its loss is not weighted"


def test_classes_and_rows_weigh_together() -> None:
    """Of two, in rows of weights 1, 2, 3 and 4 and classes 0, 1, 0 and 0: 1, 6, 3 and 4."""

    class Both(Classes):
        def split(self, name: SplitName) -> Split:
            return super().split(name)._replace(weights=torch.tensor([1.0, 2, 3, 4]))

    split = Both().data("train")
    factors = loss_factors(Both.targets, split)
    assert factors is not None
    assert factors[:, 0].tolist() == pytest.approx([value / 3.5 for value in (1, 6, 3, 4)])
    assert factors[:3, 2].tolist() == pytest.approx([1 / 2, 2 / 2, 3 / 2])
    assert factors.mean(0)[:2].tolist() == pytest.approx([1, 1])
    said = told_weighting(Both())
    assert said[0].startswith("rows are weighted in losses and metrics, by 1 to 4 in train;")
    assert said[1].startswith("classes are weighted in the loss of `two`, `three`, of train, val")


@pytest.mark.parametrize(
    ("split", "weights", "said"),
    [
        ("train", [1.0, -2, 1], r"train weights are no .* of 0 or more \(first: row 1, -2\)"),
        ("val", [1.0, 1, math.nan], r"1 of 3 val weights are no finite .*\(first: row 2, nan\)"),
        ("test", [math.inf, 1, 1], r"test weights are no finite .*\(first: row 0, inf\)"),
        ("train", [1e39, 1, 1], r"train weights are no finite .*\(first: row 0, inf\)"),
        ("val", [1.0, 1], r"val weights are of shape \(2,\), not \(rows,\) = \(3,\)"),
        ("val", [[1.0]] * 3, r"val weights are of shape \(3, 1\)"),
        ("test", [0.0, 0, 0], "test has no row of a weight above 0 in which 'light' is known"),
        ("train", [1.0, 0, 0], "train has no row of a weight above 0 in which 'heavy' is known"),
        ("test", None, "train has weights, but test has none"),
        ("val", [True, False, "x"], "val weights must be one dense tensor or array of numbers"),
    ],
)
def test_weights_that_are_refused_before_a_launch(split: str, weights: Any, said: str) -> None:
    torch.set_default_dtype(torch.float32)

    class Wrong(Scaled):
        def split(self, name: SplitName) -> Split:
            rows = torch.tensor([[1, 1, 1], [2, UNKNOWN, 2], [3, 3, 4.0]])
            if name == "train":
                rows[0, 2] = UNKNOWN
            chosen = weights if name == split else [1.0, 2, 3]
            made = chosen if chosen is None or "x" in chosen else np.array(chosen)
            return Split(rows[:, :1], rows[:, 1:], ~rows[:, 1:].isnan(), made)

    with pytest.raises(ValueError, match=said) as error:
        check_data(Wrong())
    assert "\n" not in str(error.value)


def test_the_fingerprint_has_the_weights_and_uneven_losses_heed_them() -> None:
    other = {**WEIGHTS, "val": [1.0, 3, 2.5]}
    prints = [fingerprint(task) for task in (Scaled(), WeightedScaled(), WeightedScaled(other))]
    assert len(set(prints)) == 3
    rows: list[Row] = [(1, 1, 1), (1, 1, 100), (1, 1, 1)]
    assert uneven_losses(WeightedScaled(val=rows)) is not None
    assert uneven_losses(WeightedScaled({**WEIGHTS, "val": [1, 1e-4, 1]}, val=rows)) is None


def test_a_weighted_target_is_as_good_in_a_replaced_one() -> None:
    assert replace(Classes.targets[0], class_weights=None) == Classes.targets[0], (
        "fitted, as a unit"
    )
