"""Targets of several columns: losses, metrics, masks, weights and constants by hand; one gate."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gatelab import Loss, Metric, Network, Split, Target, Task, register_loss, register_metric
from gatelab.gates import SoftmaxGate
from gatelab.tasks import MAE, MSE, R2, RMSE, Truth
from gatelab.tasks.check import run_checks
from gatelab.tasks.check.data import check_data
from gatelab.tasks.check.scales import uneven_losses
from gatelab.tasks.columns import by_target, mask_of_columns, num_columns
from gatelab.tasks.loss import loss_of
from gatelab.training.configuration import Configuration
from gatelab.training.constant import constant_outputs, evaluate_constant
from gatelab.training.member import Member, Recipe
from gatelab.training.model import Model
from gatelab.training.scores import target_scores
from gatelab.training.train import Training

NAN = math.nan
PLACE = Target("place", "regression", width=2, scale=(2.0, 10.0), offset=(0.0, 1.0))
TARGETS = (Target("on", "binary"), PLACE, Target("size", "regression", weight=0.5))
VALUES = torch.tensor([[1, 2, 3, 4], [0, 6, 5, 8], [1, NAN, 7, 0.0]])
"""On, the place's two columns, and the size."""
KNOWN = torch.tensor([[1, 1, 1], [1, 1, 0], [1, 0, 1]], dtype=torch.bool)


class Places(Task):
    """Three rows of three targets, of which the second has two columns."""

    targets = TARGETS
    mask: Tensor | None = KNOWN
    weights: Tensor | None = None

    def split(self, name: Any) -> Split:
        return Split(torch.eye(3), VALUES.clone(), self.mask, self.weights)

    def network(self) -> Network:
        return Network(
            bottom=nn.Identity,
            gate_input=nn.Identity,
            gate_features=3,
            expert=lambda: nn.Linear(3, 4),
            tower=lambda target: nn.Linear(4, target.out_features),
        )


def model_of(task: Task) -> Model:
    torch.manual_seed(0)
    return Model(task, SoftmaxGate, {}, {"num_experts": 2})


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"width": 0}, "`width >= 1` must hold, a whole number, but got (width=0)"),
        ({"width": True}, "`width >= 1` must hold"),
        ({"width": 2.0}, "`width >= 1` must hold"),
        ({"width": 3, "kind": "binary"}, "only regression has several columns, but binary got 3"),
        ({"width": 2, "columns": ("x",)}, "has 2 columns to name, each otherwise, but got ('x',)"),
        ({"width": 2, "columns": ("x", "x")}, "each otherwise, but got ('x', 'x')"),
        ({"width": 2, "scale": (1.0, 2.0, 3.0)}, "`scale` must be one number for all 2 columns"),
        ({"width": 2, "offset": (1.0,)}, "`offset` must be one number for all 2 columns"),
        ({"scale": (1.0,)}, "`scale` must be one number, but got (1.0,)."),
        ({"width": 2, "scale": (1.0, 0.0)}, "`0 < scale < inf`"),
        ({"width": 2, "offset": (1.0, NAN)}, "a finite offset must hold"),
    ],
)
def test_widths_that_cannot_be(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError) as error:
        Target("a", **{"kind": "regression", **options})
    assert said in str(error.value) and "\n" not in str(error.value)


def test_columns_are_taken_in_order() -> None:
    assert num_columns(TARGETS) == 4
    on, place, size = by_target(TARGETS, VALUES)
    assert (on.tolist(), size.tolist()) == ([1, 0, 1], [4, 8, 0])
    assert place[:2].tolist() == [[2, 3], [6, 5]]
    assert mask_of_columns(TARGETS, KNOWN).int().tolist() == [
        [1, 1, 1, 1],
        [1, 1, 1, 0],
        [1, 0, 0, 1],
    ]
    plain = TARGETS[::2]
    assert [it.tolist() for it in by_target(plain, KNOWN[:, :2])] == [[1, 1, 1], [1, 1, 0]]
    assert mask_of_columns(plain, KNOWN[:, :2]).tolist() == KNOWN[:, :2].tolist()


def test_a_rows_loss_is_the_mean_over_columns() -> None:
    """((3-1)^2 + (2-5)^2) / 2 = 6.5, and 0."""
    outputs, target = torch.tensor([[3.0, 2.0], [1.0, 1.0]]), torch.tensor([[1.0, 5.0], [1, 1]])
    assert loss_of(PLACE)(outputs, target).tolist() == [6.5, 0]


def test_a_model_has_one_gate_and_one_tower_for_all_columns() -> None:
    model = model_of(Places())
    assert model.groups == [[0], [1], [2]]
    assert model.mixture.gates.size == 3
    output = model(torch.eye(3))
    assert [tuple(it.shape) for it in output.groups] == [(1, 3, 1), (1, 3, 2), (1, 3, 1)]
    zeros = [torch.zeros_like(it) for it in output.groups]
    rows = model.row_losses(zeros, VALUES.nan_to_num())
    expected = [[math.log(2)] * 3, [(4 + 9) / 2, (36 + 25) / 2, 49 / 2], [16, 64, 0]]
    torch.testing.assert_close(rows, torch.tensor(expected))


def test_like_targets_of_several_columns_run_at_once() -> None:
    """Of 0 the losses are the means of squares: (1 + 4) / 2 and (9 + 16) / 2."""

    class Alike(Places):
        targets = (Target("a", "regression", width=2), Target("b", "regression", width=2))

    model = model_of(Alike())
    assert model.groups == [[0, 1]]
    rows = model.row_losses([torch.zeros(2, 1, 2)], torch.tensor([[1.0, 2, 3, 4]]))
    assert rows.tolist() == [[2.5], [12.5]]


PAIR = torch.tensor([[0.0, 1], [2, 1], [4, 1]])
FOUND = torch.tensor([[1.0, 1], [2, 3], [4, 0]])
"""Errors are 1, 0, 0 and 0, 2, 1; of the first column the total is 8, of the second 0."""


@pytest.mark.parametrize(
    ("metric", "score", "weighted"),
    [
        (MSE, (1 / 3 + 5 / 3) / 2, (1 / 4 + (2 * 4 + 1) / 4) / 2),
        (RMSE, (math.sqrt(1 / 3) + math.sqrt(5 / 3)) / 2, (0.5 + 1.5) / 2),
        (MAE, (1 / 3 + 3 / 3) / 2, (1 / 4 + 5 / 4) / 2),
        (R2, 1 - 1 / 8, 1 - 1 / 8),
    ],
)
def test_metrics_average_over_columns(metric: type[Metric], score: float, weighted: float) -> None:
    """Weights are 1, 2, 1; a column that does not vary has no r2."""
    assert metric().score(FOUND, PAIR) == pytest.approx(score, abs=1e-15)
    weights = torch.tensor([1.0, 2, 1])
    assert metric().score(FOUND, PAIR, weights) == pytest.approx(weighted, abs=1e-15)
    assert metric().scores(torch.stack([FOUND, PAIR]), PAIR)[0] == pytest.approx(score)


@pytest.mark.parametrize("metric", [MSE, RMSE, MAE, R2])
def test_members_are_scored_at_once_where_a_gpu_does_so(metric: type[Metric]) -> None:
    outputs, weights = torch.stack([FOUND, FOUND / 2, PAIR]), torch.tensor([1.0, 2, 1])
    for some in (None, weights):
        alone = [metric().score(each, PAIR, some) for each in outputs]
        assert metric()._scores_at_once(outputs, PAIR, some) == pytest.approx(alone)


def test_r2_of_no_column_that_varies_is_not_defined() -> None:
    assert math.isnan(R2().score(FOUND, torch.ones(3, 2)))


@register_metric("test_largest")
class Largest(Metric):
    """The largest error, of one column."""

    kinds = ("regression",)
    higher_is_better = False

    def compute(self, outputs: Tensor, target: Tensor) -> Tensor:
        assert outputs.shape == (3, 1) and target.shape == (3,)
        if target[0] == 1:
            return torch.tensor(NAN)
        return (outputs[:, 0] - target).abs().max()


@register_metric("test_cosine")
class Cosine(Metric):
    """The mean cosine of rows."""

    kinds = ("regression",)
    higher_is_better = True
    takes_columns = True

    def compute(self, outputs: Tensor, target: Tensor) -> Tensor:
        return torch.cosine_similarity(outputs, target, dim=1).mean()


def test_metrics_of_ones_own_know_one_column_or_take_all() -> None:
    """Errors of the columns are 1 and 2 at most; cosines with (1, 0) are 0.6 and 1."""
    wanted = torch.tensor([[0.0, 2], [2, 1], [4, 1]])
    assert Largest().score(FOUND, wanted) == 1.5
    assert Largest().score(FOUND, PAIR) == 1, "the second column is not defined"
    outputs, target = torch.tensor([[3.0, 4], [2, 0]]), torch.tensor([[1.0, 0], [1, 0]])
    assert Cosine().score(outputs, target) == pytest.approx(0.8)


@register_loss("test_vector_fourth")
class Fourth(Loss):
    """The fourth power of the error."""

    kinds = ("regression",)

    def compute(self, outputs: Tensor, target: Tensor) -> Tensor:
        assert outputs.dim() == 2 and outputs.shape[1] == 1 and target.dim() == 1
        return (outputs[:, 0] - target) ** 4


def test_a_loss_of_ones_own_is_of_one_column() -> None:
    """(16 + 81) / 2; of 0, 0 and 3 the least is at 2 c^3 = (3 - c)^3."""

    class Steep(Places):
        targets = (Target("v", "regression", width=2, loss="test_vector_fourth"),)
        mask = None

        def split(self, name: Any) -> Split:
            return Split(torch.eye(3), torch.tensor([[0.0, 2], [0, 4], [3, 6]]))

    found = loss_of(Steep.targets[0])(torch.tensor([[3.0, 2]]), torch.tensor([[1.0, 5]]))
    assert found.tolist() == [48.5]
    check_data(Steep())
    (constants,) = constant_outputs(Steep())
    assert constants.tolist() == pytest.approx([3 / (1 + 2 ** (1 / 3)), 4], abs=1e-3)


def test_the_constant_prediction_of_each_column() -> None:
    """Known are rows 0 and 1 of the place, 0 and 2 of the size."""
    outputs = constant_outputs(Places())
    assert outputs[0].tolist() == pytest.approx([math.log(2)])
    assert outputs[1].tolist() == [4, 4]
    assert outputs[2].tolist() == [2]
    found = evaluate_constant(Places(), outputs, "val")
    assert found.losses[1:].tolist() == [(4 + 1 + 4 + 1) / 2 / 2, 4]
    assert found.outputs[1].shape == (3, 2)


def test_weights_of_rows_are_for_all_columns() -> None:
    """Of weights 3 and 1 the means are (6 + 6) / 4 and (9 + 5) / 4; the row of weight 0 is none."""

    class Weighed(Places):
        mask = None
        weights = torch.tensor([3.0, 1, 0])

    assert Weighed().data("train").mask is not None
    _, place, size = constant_outputs(Weighed())
    assert (place.tolist(), size.tolist()) == ([3, 3.5], [5])
    found = evaluate_constant(Weighed(), constant_outputs(Weighed()), "val")
    one, other = (1 + 0.25) / 2, (9 + 2.25) / 2
    assert float(found.losses[1]) == pytest.approx((3 * one + other) / 4)
    assert found.unweighted_losses is not None
    assert float(found.unweighted_losses[1]) == pytest.approx((one + other) / 2)


def test_training_reads_no_unknown_row_and_scores_in_units() -> None:
    """The row with NaN is unknown; 0 is predicted, and scored by column in the user's units."""
    values = {"model.num_experts": 2, "optimizer.name": "sgd", "optimizer.learning_rate": 0.0}
    member = Member(Configuration({**values, "optimizer.weight_decay": 0.0}), 0)
    training = Training(Places(), SoftmaxGate, [member] * 2, Recipe(3, 1))
    with torch.no_grad():
        training.members.flat.zero_()
    ((loss, found), other) = training.run_epoch().values()
    assert found.losses.tolist() == pytest.approx([math.log(2), (6.5 + 30.5) / 2, 8], rel=1e-6)
    assert loss == pytest.approx(math.log(2) + 18.5 + 0.5 * 8, rel=1e-6)
    assert other[1].loss == found.loss
    (scores,) = target_scores(Places(), ["mse", "mae"], [found], training.split("val"))
    errors = [[2 * 2, 10 * 3], [2 * 6, 10 * 5]]
    squares = [it**2 for row in errors for it in row]
    assert scores["place"]["mse"] == pytest.approx(sum(squares) / 4)
    assert scores["place"]["mae"] == pytest.approx((4 + 30 + 12 + 50) / 4)


def test_gradients_are_those_of_plain_torch() -> None:
    """A step of a model with a target of two columns, beside torch's own of the same modules."""
    task, model = Places(), model_of(Places())
    split = task.data("train")
    targets = torch.where(mask_of_columns(TARGETS, KNOWN), split.targets, 0)
    output = model(split.inputs, mask=KNOWN)
    model.task_loss(model.target_losses(model.row_losses(output.groups, targets), KNOWN)).backward()
    tower = model.towers[1].each
    found = tower.get_parameter("weight").grad
    assert found is not None
    found = found.clone()
    model.zero_grad()
    rows = model(split.inputs, mask=KNOWN).groups[1][0][:2]
    nn.functional.mse_loss(rows, targets[:2, 1:3]).backward()
    torch.testing.assert_close(found, tower.get_parameter("weight").grad)


class ColumnShort(Places):
    def split(self, name: Any) -> Split:
        return Split(torch.eye(3), VALUES[:, :3], KNOWN)


class MaskOfColumns(Places):
    mask = mask_of_columns(TARGETS, KNOWN)


class Unmarked(Places):
    mask = None


class Still(Places):
    def split(self, name: Any) -> Split:
        values = VALUES.clone()
        values[:, 1:3] = 5
        return Split(torch.eye(3), values)


@pytest.mark.parametrize(
    ("cls", "said"),
    [
        (ColumnShort, "(3, 3), not (rows, columns of all targets) = (3, 4)"),
        (MaskOfColumns, "mask is of shape (3, 4), not (rows, targets) = (3, 3)"),
        (Unmarked, "1 of 3 rows of train target 'place' hold NaN or inf (first: row 2)"),
    ],
)
def test_splits_that_do_not_fit(cls: type[Task], said: str) -> None:
    with pytest.raises(ValueError) as error:
        check_data(cls())
    assert said in str(error.value)


def test_a_target_that_never_changes_is_found() -> None:
    found = {it.check: it.reason for it in run_checks(Still) if not it.ok}
    assert "'place' but those of one row" in found["every_target_is_known_somewhere"]


def test_uneven_losses_are_of_the_mean_over_columns() -> None:
    class Uneven(Places):
        targets = (Target("a", "regression", width=2), Target("b", "regression", width=2))
        mask = None

        def split(self, name: Any) -> Split:
            return Split(torch.eye(3), torch.tensor([[0, 1, 300.0, 400]] * 3))

    line = uneven_losses(Uneven())
    assert line is not None and "'b' begins at 1.2e+05, that of 'a' at 0.5" in line


def test_a_truth_has_one_group_for_all_columns() -> None:
    """And a gate each, whatever their columns: the oracle's place is the target's."""

    class Planted(Places):
        truth = Truth(groups=(0, 1, 1), experts=(frozenset({0}),) + (frozenset({1}),) * 2)

    class Misplanted(Places):
        truth = Truth(groups=(0, 1, 1, 1))

    failed = {it.check for it in run_checks(Planted) if not it.ok}
    assert "truth_fits" not in failed and "network_fits" not in failed
    failed = {it.check for it in run_checks(Misplanted) if not it.ok}
    assert "truth_fits" in failed
