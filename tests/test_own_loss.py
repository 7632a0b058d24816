"""A loss of one's own: by hand, in training, in the constant prediction, and refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gatelab import Loss, Network, Split, Target, Task, register_loss
from gatelab.gates import SoftmaxGate
from gatelab.tasks import tasks
from gatelab.tasks.check import run_checks
from gatelab.tasks.check.data import check_data
from gatelab.tasks.loss import check_loss, check_loss_values, loss_of
from gatelab.training.constant import constant_outputs, evaluate_constant
from gatelab.training.model import Model
from tests.in_process import gatelab, modules_of
from tests.launched import read


@register_loss("test_pinball")
class Pinball(Loss):
    """The loss of which the quantile 0.75 is the least."""

    kinds = ("regression",)

    def compute(self, outputs: Tensor, target: Tensor) -> Tensor:
        error = target - outputs[:, 0]
        return torch.maximum(0.75 * error, -0.25 * error)


@register_loss("test_square")
class Square(Loss):
    """The squared error again, and of class 1 the squared error of its chance."""

    kinds = ("regression", "binary")

    def compute(self, outputs: Tensor, target: Tensor) -> Tensor:
        return (outputs[:, 0].sigmoid() - target).square()


@register_loss("test_single")
class Single(Loss):
    """The squared error of numbers of single precision, as networks have them."""

    kinds = ("regression",)

    def compute(self, outputs: Tensor, target: Tensor) -> Tensor:
        return nn.functional.huber_loss(outputs[:, 0], target.float(), reduction="none", delta=9)


@register_loss("test_matrix")
class Matrix(Loss):
    """Half the squared error, by a product that takes single precision alone."""

    kinds = ("regression",)

    def compute(self, outputs: Tensor, target: Tensor) -> Tensor:
        return ((outputs @ torch.ones(1, 1))[:, 0] - target).square() / 2


@register_loss("test_mean")
class Mean(Loss):
    """Forgets the rows."""

    kinds = ("regression",)

    def compute(self, outputs: Tensor, target: Tensor) -> Tensor:
        return (outputs[:, 0] - target).mean()


@register_loss("test_greatest")
class Greatest(Loss):
    """The error beside the greatest target, of which there is none without rows."""

    kinds = ("regression",)

    def compute(self, outputs: Tensor, target: Tensor) -> Tensor:
        return (outputs[:, 0] - target).abs() / target.max()


@register_loss("test_numb")
class Numb(Square):
    """Leaves torch."""

    def compute(self, outputs: Tensor, target: Tensor) -> Tensor:
        return super().compute(outputs.detach(), target)


@register_loss("test_raising")
class Raising(Square):
    """Looks for a class that is not there."""

    def compute(self, outputs: Tensor, target: Tensor) -> Tensor:
        return outputs[:, 1]


@register_loss("test_bcast")
class Broadcast(Loss):
    """Compares each row's output with every row's target."""

    kinds = ("regression", "binary")

    def compute(self, outputs: Tensor, target: Tensor) -> Tensor:
        return (outputs - target).square().mean(1)


@register_loss("test_ranking")
class Ranking(Loss):
    """Is of pairs of rows, of which one has the higher target."""

    kinds = ("multiclass",)

    def compute(self, outputs: Tensor, target: Tensor) -> Tensor:
        score, higher = outputs[:, 1], target[:, None] > target
        return (higher * nn.functional.softplus(score - score[:, None])).mean(1)


@register_loss("test_share")
class Share(Loss):
    """Is the less of a row the more there are."""

    kinds = ("regression",)

    def compute(self, outputs: Tensor, target: Tensor) -> Tensor:
        return (outputs[:, 0] - target).square() / len(target)


@register_loss("test_squeezed")
class Squeezed(Loss):
    """Forgets the rows where there is one."""

    kinds = ("binary",)

    def compute(self, outputs: Tensor, target: Tensor) -> Tensor:
        return nn.functional.binary_cross_entropy_with_logits(
            outputs.squeeze(), target, reduction="none"
        )


@register_loss("test_chance")
class Chance(Loss):
    """Is of chances, for which a tower ends in a sigmoid."""

    kinds = ("binary",)

    def compute(self, outputs: Tensor, target: Tensor) -> Tensor:
        return nn.functional.binary_cross_entropy(outputs[:, 0], target, reduction="none")


class Two(Task):
    """The same column twice, one of which has a loss of its own."""

    targets = (Target("plain", "regression"), Target("own", "regression", loss="test_pinball"))

    def split(self, name: Any) -> Split:
        y = torch.tensor([0.0, 1.0, 2.0, 10.0, 3.0])
        return Split(torch.arange(10.0).view(5, 2), torch.stack([y, y], 1))

    def network(self) -> Network:
        return Network(
            nn.Identity, nn.Identity, 2, lambda: nn.Linear(2, 3), lambda _: nn.Linear(3, 1)
        )


def test_rows_by_hand() -> None:
    """Of 1 too few 0.75, of 4 too many 0.25 each; the kind's own is 1 and 16."""
    outputs, target = torch.tensor([[1.0], [5.0]]).double(), torch.tensor([2.0, 1.0]).double()
    assert loss_of(Two.targets[1])(outputs, target).tolist() == [0.75, 1.0]
    assert loss_of(Two.targets[0])(outputs, target).tolist() == [1.0, 16.0]


def test_targets_of_other_losses_are_groups_of_their_own() -> None:
    model = Model(Two(), SoftmaxGate, {}, {"num_experts": 2})
    assert model.groups == [[0], [1]]
    outputs = (torch.zeros(1, 5, 1), torch.zeros(1, 5, 1))
    rows = model.row_losses(outputs, Two().data("train").targets)
    assert rows.tolist() == [[0, 1, 4, 100, 9], [0, 0.75, 1.5, 7.5, 2.25]]


def test_the_constant_prediction_is_that_of_the_loss() -> None:
    """The quantile 0.75 of 0, 1, 2, 3, 10 is 3, and the mean 3.2; losses at these by hand."""
    task = Two()
    plain, own = constant_outputs(task)
    assert (float(plain), float(own)) == (pytest.approx(3.2), pytest.approx(3, abs=1e-3))
    found = evaluate_constant(task, [plain, own], "test")
    assert float(found.losses[1]) == pytest.approx((0.75 + 0.5 + 0.25 + 0 + 5.25) / 5, abs=1e-3)


@pytest.mark.parametrize("key", ["test_single", "test_matrix"])
def test_losses_of_single_precision_alone_have_a_constant_prediction_too(key: str) -> None:
    """Of 0, 1, 2, 3, 10 the mean, 3.2, as no error is above 9; half the squared errors at it."""

    class One(Two):
        targets = (Target("plain", "regression"), Target("own", "regression", loss=key))

    outputs = constant_outputs(One())
    assert float(outputs[1]) == pytest.approx(3.2, abs=1e-3)
    found = evaluate_constant(One(), outputs, "test")
    assert float(found.losses[1]) == pytest.approx(float(found.losses[0]) / 2, abs=1e-3)


REFUSED = [
    ("test_pinbal", "regression", "unknown loss 'test_pinbal'; did you mean 'test_pinball'"),
    ("test_pinball", "binary", "'test_pinball' is for regression, but its kind is binary"),
    ("test_numb", "binary", "'test_numb' gives numbers without a gradient"),
    ("test_raising", "binary", "'test_raising' raises IndexError: index 1 is out of bounds"),
    (
        "test_bcast",
        "regression",
        "loss 'test_bcast' of a row depends on other rows (0.277 among 3, 0.01 alone): a loss is "
        "of one row; is `outputs[:, 0]` meant?",
    ),
    ("test_bcast", "binary", "depends on other rows"),
    ("test_share", "regression", "depends on other rows (0.00333 among 3, 0.01 alone)"),
    ("test_squeezed", "binary", "line 139) for a row alone."),
    ("test_mean", "regression", "must give a loss of each row, (3,), but gives ()"),
]


@pytest.mark.parametrize(("key", "kind", "said"), REFUSED)
def test_losses_that_cannot_be(key: str, kind: Any, said: str) -> None:
    task = Two()
    task.targets = (Target("plain", "regression"), Target("own", kind, loss=key))
    with pytest.raises(ValueError) as error:
        check_data(task)
    assert said in str(error.value) and "\n" not in str(error.value)


def test_a_loss_of_pairs_of_rows_is_refused() -> None:
    """Several outputs a row leave no doubt of which is meant."""
    with pytest.raises(ValueError, match=r"depends on .* alone\): a loss is of one row\.$"):
        check_loss(Target("own", "multiclass", 3, loss="test_ranking"))


@pytest.mark.parametrize("key", ["test_pinball", "test_single", "test_matrix", "test_writing"])
def test_losses_of_single_rows_are_taken(key: str) -> None:
    check_loss(Target("own", "regression", loss=key))
    check_loss(Target("own", "binary", loss="test_chance"))


def test_a_loss_says_which_kinds_it_fits() -> None:
    with pytest.raises(ValueError, match="loss 'test_none': `kinds` must be some of"):

        @register_loss("test_none")
        class Nothing(Loss):
            pass


MODULE = '''
import torch
from torch import nn
from gatelab import Loss, Network, Split, Target, Task, register_loss, register_task

@register_loss("own_brier")
class Brier(Loss):
    """The squared error of the chance of class 1."""
    kinds = ("binary",)
    def compute(self, outputs, target):
        return (outputs[:, 0].sigmoid() - target).square()

@register_task("own_lossy")
class Lossy(Task):
    """Whether a sum is positive."""
    targets = (
        Target("own", "binary", loss="lossy:own_brier"),
        Target("plain", "binary"),
        Target("weighted", "binary", class_weights=(1.0, 3.0), loss="lossy:own_brier"),
    )
    def __init__(self, *, rows=96, seed=0):
        self.rows, self.seed = rows, seed
    def split(self, name):
        number = 3 * self.seed + ("train", "val", "test").index(name)
        x = torch.randn(self.rows, 4, generator=torch.Generator().manual_seed(number))
        y = (x.sum(1) > 0).float()
        return Split(x, torch.stack([y, y, y], 1))
    def network(self, *, width=8):
        return Network(
            bottom=nn.Identity, gate_input=nn.Identity, gate_features=4,
            expert=lambda: nn.Linear(4, width), tower=lambda t: nn.Linear(width, t.out_features),
        )
'''
SPEC = """
name: lossy
task: "lossy:own_lossy"
gates: [softmax]
model: {num_experts: 2}
training: {max_epochs: 3, batch_size: 32}
search: {trials: 2, early_stopping: false}
evaluation: {seeds: 2}
baselines: false
"""


def test_a_task_with_losses_of_its_own_passes_every_check(tmp_path: Path) -> None:
    (tmp_path / "lossy.py").write_text(MODULE)
    with modules_of(tmp_path):
        found = run_checks(tasks.get("lossy:own_lossy"))
    assert {outcome.check: outcome.reason for outcome in found if not outcome.ok} == {}


@pytest.mark.slow
def test_a_sweep_of_it(place: Path) -> None:
    """A Brier score is below 1 whatever is predicted; the log loss stands beside as it is."""
    (place / "lossy.py").write_text(MODULE)
    (place / "lossy.yaml").write_text(SPEC)
    gatelab(place, "launch", "lossy.yaml")
    runs = read(place, "lossy").of("evaluate")
    assert len(runs) == 2
    for run in runs:
        assert 0 < run.metrics["test/own/loss"] < run.metrics["test/plain/loss"]
        assert run.metrics["test/weighted/loss"] != run.metrics["test/weighted/unweighted_loss"]


def test_a_target_of_which_no_row_is_known_yet_is_no_fault_of_its_loss() -> None:
    target = Target("size", "regression", loss="test_greatest")
    check_loss_values(target, torch.zeros(0, 1), torch.zeros(0))
    with pytest.raises(ValueError, match="gives NaN or inf for 2 of the first 2 known rows"):
        check_loss_values(target, torch.zeros(2, 1), torch.zeros(2))


@register_loss("test_writing")
class Writing(Loss):
    """The squared error of what is not negative, written where it is read."""

    kinds = ("regression",)

    def compute(self, outputs: Tensor, target: Tensor) -> Tensor:
        return (outputs.clamp_(min=1)[:, 0] - target.clamp_(min=2)).square()


def test_a_loss_that_writes_where_it_reads_spoils_nothing() -> None:
    """2 is the least target that it sees, so that the mean is (2 + 2 + 2 + 10 + 3) / 5."""

    class One(Two):
        targets = (Target("own", "regression", loss="test_writing"),)

        def split(self, name: Any) -> Split:
            made = super().split(name)
            return made._replace(targets=made.targets[:, :1])

    task = One()
    check_data(task)
    (output,) = constant_outputs(task)
    assert float(output) == pytest.approx(3.8, abs=1e-3)
    evaluate_constant(task, [output], "train")
    model, given = Model(task, SoftmaxGate, {}, {"num_experts": 2}), torch.zeros(1, 5, 1)
    model.row_losses((given,), task.data("train").targets)
    assert not given.any()
    assert task.data("train").targets.flatten().tolist() == [0, 1, 2, 10, 3]
