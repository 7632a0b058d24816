"""Predictive metrics against scikit-learn, losses against torch."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import sklearn.metrics as sk
import torch
from torch.nn import functional as F

from gatelab.tasks.metric import Metric, default_metrics, metrics
from gatelab.tasks.metrics import loss
from gatelab.tasks.target import Kind

GENERATOR = torch.Generator().manual_seed(0)
LOGITS = torch.randn(500, 10, generator=GENERATOR)
CLASSES = torch.randint(0, 10, (500,), generator=GENERATOR)
LOGIT = torch.randn(500, 1, generator=GENERATOR)
BITS = (LOGIT[:, 0] + torch.randn(500, generator=GENERATOR) > 0).float()
VALUES = LOGIT[:, 0] + 0.3 * torch.randn(500, generator=GENERATOR)
PREDICTED = LOGITS.argmax(1)
OURS = ("accuracy", "f1", "auroc", "mse", "rmse", "mae", "r2")


@pytest.mark.parametrize(
    ("name", "outputs", "target", "expected"),
    [
        ("accuracy", LOGITS, CLASSES, sk.accuracy_score(CLASSES, PREDICTED)),
        ("accuracy", LOGIT, BITS, sk.accuracy_score(BITS, LOGIT[:, 0] > 0)),
        ("f1", LOGITS, CLASSES, sk.f1_score(CLASSES, PREDICTED, average="macro")),
        ("f1", LOGIT, BITS, sk.f1_score(BITS, LOGIT[:, 0] > 0)),
        ("auroc", LOGIT, BITS, sk.roc_auc_score(BITS, LOGIT[:, 0])),
        ("mse", LOGIT, VALUES, sk.mean_squared_error(VALUES, LOGIT[:, 0])),
        ("rmse", LOGIT, VALUES, sk.root_mean_squared_error(VALUES, LOGIT[:, 0])),
        ("mae", LOGIT, VALUES, sk.mean_absolute_error(VALUES, LOGIT[:, 0])),
        ("r2", LOGIT, VALUES, sk.r2_score(VALUES, LOGIT[:, 0])),
    ],
)
def test_metric(name: str, outputs: torch.Tensor, target: torch.Tensor, expected: float) -> None:
    assert metrics.get(name)().score(outputs, target) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("name", "outputs", "target", "expected"),
    [
        # Logits that all lie in [0, 1] are logits still: each of these says 1.
        ("accuracy", [0.2, 0.3, 0.4, 0.9], [1, 1, 0, 1], 3 / 4),
        ("f1", [0.2, 0.3, 0.4, 0.9], [1, 1, 0, 1], 2 * 3 / (2 * 3 + 1)),
        ("auroc", [0.2, 0.3, 0.4, 0.9], [1, 1, 0, 1], 1 / 3),
        # Logits whose sigmoids are all 1 are ranked; of equal ones half counts.
        ("auroc", [20, 30, 25, 40], [0, 1, 0, 1], 1.0),
        ("auroc", [-200, -30, -25, -30], [0, 1, 0, 0], (1 + 0 + 1 / 2) / 3),
        ("auroc", [3, 3, 3, 3], [0, 1, 0, 1], 0.5),
        # Squares 4e-6, 4e-8 and 1e-6 of a total of 2e-6; and 1/4, 0 and 1/4 far from 0.
        ("r2", [1e-3, 1.2e-3, 3e-3], [3e-3, 1e-3, 2e-3], 1 - 5.04 / 2),
        ("r2", [10000, 10001, 10002.5], [10000.5, 10001, 10002], 1 - 0.5 / (7 / 6)),
    ],
)
def test_by_hand(name: str, outputs: list[float], target: list[float], expected: float) -> None:
    column = torch.tensor(outputs).float().unsqueeze(1)
    assert metrics.get(name)().score(column, torch.tensor(target)) == pytest.approx(
        expected, rel=1e-5
    )


def test_f1_leaves_out_a_class_that_does_not_occur() -> None:
    """Of three classes two do: 1 hit of 1 found and 2 wanted, and 1 of 2 and 1."""
    outputs = F.one_hot(torch.tensor([0, 1, 1]), 3).float()
    found = metrics.get("f1")().score(outputs, torch.tensor([0, 0, 1]))
    assert found == pytest.approx((2 / 3 + 2 / 3) / 2)


WEIGHTS = torch.rand(500, generator=GENERATOR) * 4
LEVEL = (LOGIT * 2).round() / 2
"""Logits many of which are equal."""


@pytest.mark.parametrize(
    ("name", "outputs", "target", "function"),
    [
        ("accuracy", LOGITS, CLASSES, lambda y, _, w: sk.accuracy_score(y, PREDICTED, **w)),
        ("accuracy", LOGIT, BITS, lambda y, x, w: sk.accuracy_score(y, x > 0, **w)),
        ("f1", LOGITS, CLASSES, lambda y, _, w: sk.f1_score(y, PREDICTED, average="macro", **w)),
        ("f1", LOGIT, BITS, lambda y, x, w: sk.f1_score(y, x > 0, **w)),
        ("auroc", LOGIT, BITS, lambda y, x, w: sk.roc_auc_score(y, x, **w)),
        ("auroc", LEVEL, BITS, lambda y, x, w: sk.roc_auc_score(y, x, **w)),
        ("mse", LOGIT, VALUES, lambda y, x, w: sk.mean_squared_error(y, x, **w)),
        ("rmse", LOGIT, VALUES, lambda y, x, w: sk.root_mean_squared_error(y, x, **w)),
        ("mae", LOGIT, VALUES, lambda y, x, w: sk.mean_absolute_error(y, x, **w)),
        ("r2", LOGIT, VALUES, lambda y, x, w: sk.r2_score(y, x, **w)),
    ],
)
def test_weighted_metric(
    name: str, outputs: torch.Tensor, target: torch.Tensor, function: Callable[..., float]
) -> None:
    metric = metrics.get(name)()
    expected = function(target, outputs[:, 0], {"sample_weight": WEIGHTS})
    assert metric.score(outputs, target, WEIGHTS) == pytest.approx(expected, rel=1e-6)
    assert metric.score(outputs, target, WEIGHTS * 7) == pytest.approx(expected, rel=1e-6)
    plain = metric.score(outputs, target)
    assert plain != pytest.approx(expected, rel=1e-6)
    assert metric.score(outputs, target, torch.ones(500)) == pytest.approx(plain, rel=1e-12)
    twice = metric.score(*(torch.cat([part, part[:100]]) for part in (outputs, target)))
    doubled = torch.tensor([2.0] * 100 + [1.0] * 400)
    assert metric.score(outputs, target, doubled) == pytest.approx(twice, rel=1e-12)


@pytest.mark.parametrize(
    ("name", "outputs", "target", "expected"),
    [
        # Weights 1, 2, 3 and 6. Each logit says 1: hits weigh 1, 2 and 6; the miss 3.
        ("accuracy", [0.2, 0.3, 0.4, 0.9], [1, 1, 0, 1], 9 / 12),
        ("f1", [0.2, 0.3, 0.4, 0.9], [1, 1, 0, 1], 2 * 9 / (2 * 9 + 3)),
        # Pairs with the 0 weigh 3, 6 and 18, of which the last is in order; half of a level one.
        ("auroc", [0.2, 0.3, 0.4, 0.9], [1, 1, 0, 1], 18 / 27),
        ("auroc", [0.4, 0.3, 0.4, 0.9], [1, 1, 0, 1], (18 + 3 / 2) / 27),
        # Errors 1, 0, 2 and 1; the mean of the values is 7/12.
        ("mae", [0, 0, 2, 2], [1, 0, 0, 1], 13 / 12),
        ("mse", [0, 0, 2, 2], [1, 0, 0, 1], 19 / 12),
        ("r2", [0, 0, 2, 2], [1, 0, 0, 1], 1 - 19 / (7 * (5 / 12) ** 2 + 5 * (7 / 12) ** 2)),
    ],
)
def test_weighted_by_hand(
    name: str, outputs: list[float], target: list[float], expected: float
) -> None:
    column, weights = torch.tensor(outputs).unsqueeze(1), torch.tensor([1, 2, 3, 6.0])
    found = metrics.get(name)().score(column, torch.tensor(target), weights)
    assert found == pytest.approx(expected, rel=1e-6)


def test_weights_below_1_in_all_are_weights_too() -> None:
    """F1 of classes that weigh a hundredth in all, and of one that nobody has."""
    outputs, target = F.one_hot(torch.tensor([0, 1, 1]), 3).float(), torch.tensor([0, 0, 1])
    found = metrics.get("f1")().score(outputs, target, torch.tensor([0.001, 0.004, 0.005]))
    assert found == pytest.approx((2 * 1 / (2 * 1 + 4) + 2 * 5 / (2 * 5 + 4)) / 2)


def test_a_metric_that_takes_no_weights_is_of_no_weighted_rows() -> None:
    class Mine(Metric):
        """Is of rows that count alike."""

        def compute(self, outputs: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
            return outputs.mean()

    assert Mine().score(LOGIT, BITS) == pytest.approx(float(LOGIT.mean()))
    assert [Mine.takes_weights(), metrics.get("rmse").takes_weights()] == [False, True]
    with pytest.raises(ValueError, match="Mine.compute has no argument `weights`"):
        Mine().score(LOGIT, BITS, WEIGHTS)


@pytest.mark.parametrize("name", OURS)
def test_no_rows_give_nan(name: str) -> None:
    assert math.isnan(metrics.get(name)().score(torch.zeros(0, 1), torch.zeros(0)))


def test_what_is_not_defined_is_nan() -> None:
    assert math.isnan(metrics.get("auroc")().score(LOGIT, torch.ones(500)))
    assert math.isnan(metrics.get("r2")().score(LOGIT, torch.ones(500)))


@pytest.mark.parametrize("kind", ["regression", "binary", "multiclass"])
def test_defaults_fit(kind: Kind) -> None:
    assert default_metrics(kind)
    assert all(kind in metrics.get(name).kinds for name in default_metrics(kind))


@pytest.mark.parametrize(
    ("kind", "outputs", "target", "expected"),
    [
        ("multiclass", LOGITS, CLASSES.to(torch.uint8), F.cross_entropy(LOGITS, CLASSES)),
        ("binary", LOGIT, BITS, F.binary_cross_entropy_with_logits(LOGIT[:, 0], BITS)),
        ("regression", LOGIT, VALUES, F.mse_loss(LOGIT[:, 0], VALUES)),
    ],
)
def test_loss(
    kind: Kind, outputs: torch.Tensor, target: torch.Tensor, expected: torch.Tensor
) -> None:
    rows = loss(kind, outputs, target)
    assert rows.shape == (500,)
    torch.testing.assert_close(rows.mean(), expected)
    stacked = torch.vmap(lambda o, t: loss(kind, o, t))(
        outputs.expand(2, -1, -1), target.expand(2, -1)
    )
    torch.testing.assert_close(stacked[1], rows)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", [name for name in OURS if name != "f1"])
def test_members_at_once_are_scored_as_each_alone(name: str, weighted: bool) -> None:
    """As on a GPU; f1 counts by values, which vmap refuses, and goes member by member there."""
    targets = {"multiclass": CLASSES, "binary": BITS, "regression": VALUES}
    weights = torch.rand(500, generator=torch.Generator().manual_seed(2)) if weighted else None
    metric = metrics.get(name)()
    for kind in metric.kinds:
        width = 10 if kind == "multiclass" else 1
        draws = torch.Generator().manual_seed(1)
        outputs = torch.randn(3, 500, width, generator=draws).round(decimals=1)
        together = metric._scores_at_once(outputs, targets[kind], weights)
        alone = metric.scores(outputs, targets[kind], weights)
        assert together == pytest.approx(alone, rel=1e-12)


class Clipping(Metric):
    """Mean absolute error of what is not negative, which it writes where it reads."""

    def compute(
        self, outputs: torch.Tensor, target: torch.Tensor, weights: torch.Tensor | None = None
    ) -> torch.Tensor:
        target[target < 0] = 0
        if weights is not None:
            weights.fill_(1)
        return (outputs.abs_()[:, 0] - target).abs().mean()


class Running(Metric):
    """Mean over all that it has seen, as where a metric is told batch after batch."""

    def __init__(self) -> None:
        self.total, self.rows = torch.zeros(()), 0

    def compute(self, outputs: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        self.total, self.rows = self.total + outputs.sum(), self.rows + len(target)
        return self.total / self.rows


def test_a_metric_that_writes_where_it_reads_spoils_nothing() -> None:
    outputs, target = torch.tensor([[[-2.0], [1]], [[3], [-4]]]), torch.tensor([-1.0, 1])
    weights = torch.tensor([1.0, 3]).double()
    before = [each.clone() for each in (outputs, target, weights)]
    assert Clipping().scores(outputs, target, weights) == [1, 3]
    assert all(torch.equal(*pair) for pair in zip(before, (outputs, target, weights), strict=True))


def test_a_metric_with_state_begins_anew_for_each_score() -> None:
    """Of each member, and of each column: 1 and 2, and the mean of 1 and 5."""
    metric, target = Running(), torch.zeros(2)
    outputs = torch.tensor([[[1.0], [1]], [[2], [2]]])
    for score in (metric.scores, metric._scores_at_once):
        assert score(outputs, target, None) == [1, 2]
    assert metric.score(torch.tensor([[1.0, 5], [1, 5]]), torch.zeros(2, 2)) == 3
