"""Our metrics, and the losses of one target by its kind.

They are a few lines of torch each, in float64: a library's metrics cost a worker seconds to import.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from gatelab.tasks.metric import Metric, register_metric
from gatelab.tasks.task import Kind

BINARY: tuple[Kind, ...] = ("binary",)
CLASSES: tuple[Kind, ...] = ("binary", "multiclass")
VALUES: tuple[Kind, ...] = ("regression",)


def _classes(outputs: Tensor) -> Tensor:
    """Return the most likely class of each row: of a single logit, whether it is positive."""
    return outputs.argmax(1) if outputs.shape[1] > 1 else (outputs[:, 0] > 0).long()


def _errors(outputs: Tensor, target: Tensor) -> Tensor:
    """Return the residuals in float64: squares of large values far from 0 need it."""
    return target.double() - outputs[:, 0].double()


@register_metric("accuracy")
class Accuracy(Metric):
    """Share of rows whose most likely class is theirs."""

    kinds = CLASSES
    higher_is_better = True

    def compute(self, outputs: Tensor, target: Tensor) -> Tensor:
        """Return the score."""
        return (_classes(outputs) == target).double().mean()


@register_metric("f1")
class F1(Metric):
    """Harmonic mean of precision and recall of class 1, or its mean over classes that occur."""

    kinds = CLASSES
    higher_is_better = True

    def compute(self, outputs: Tensor, target: Tensor) -> Tensor:
        """Return the score."""
        found, wanted = _classes(outputs), target.long()
        size = max(outputs.shape[1], 2)
        hits = wanted[found == wanted].bincount(minlength=size)
        occurrences = found.bincount(minlength=size) + wanted.bincount(minlength=size)
        scores = 2 * hits.double() / occurrences.clamp_min(1)
        return scores[1] if outputs.shape[1] == 1 else scores[occurrences > 0].mean()


@register_metric("auroc")
class AUROC(Metric):
    """Share of pairs of both classes that the outputs put in order, of equal ones half.

    Mann and Whitney, On a Test of Whether One of Two Random Variables Is Stochastically Larger,
    1947: their U by the positive rows' ranks, of equal logits the mean rank.
    """

    kinds = BINARY
    higher_is_better = True

    def compute(self, outputs: Tensor, target: Tensor) -> Tensor:
        """Return the score."""
        positive = target > 0
        pairs = positive.sum() * (~positive).sum()
        if pairs == 0:  # one class only: there is nothing to rank
            return torch.tensor(torch.nan)
        _, place, counts = outputs[:, 0].unique(return_inverse=True, return_counts=True)
        ranks = (counts.cumsum(0) - (counts - 1) / 2.0)[place][positive].double()
        share: Tensor = (ranks.sum() - len(ranks) * (len(ranks) + 1) / 2) / pairs
        return share


@register_metric("r2")
class R2(Metric):
    """Share of the variance that is explained: 1 - residuals / total."""

    kinds = VALUES
    higher_is_better = True
    min_rows = 2

    def compute(self, outputs: Tensor, target: Tensor) -> Tensor:
        """Return the score."""
        if target.min() == target.max():  # no variance to explain
            return torch.tensor(torch.nan)
        wanted = target.double()
        return 1 - _errors(outputs, target).square().sum() / (wanted - wanted.mean()).square().sum()


@register_metric("mse")
class MSE(Metric):
    """Mean squared error."""

    kinds = VALUES
    higher_is_better = False

    def compute(self, outputs: Tensor, target: Tensor) -> Tensor:
        """Return the score."""
        return _errors(outputs, target).square().mean()


@register_metric("rmse")
class RMSE(Metric):
    """Root of the mean squared error, in the unit of the target."""

    kinds = VALUES
    higher_is_better = False

    def compute(self, outputs: Tensor, target: Tensor) -> Tensor:
        """Return the score."""
        return _errors(outputs, target).square().mean().sqrt()


@register_metric("mae")
class MAE(Metric):
    """Mean absolute error, in the unit of the target."""

    kinds = VALUES
    higher_is_better = False

    def compute(self, outputs: Tensor, target: Tensor) -> Tensor:
        """Return the score."""
        return _errors(outputs, target).abs().mean()


def loss(kind: Kind, outputs: Tensor, target: Tensor) -> Tensor:
    """Return every row's loss ``(rows,)``: cross-entropy in nats, or the squared error.

    Args:
        kind: The target's kind.
        outputs: Logits or values, ``(rows, out_features)``.
        target: Class indices, 0/1 or values, ``(rows,)``, of any dtype.
    """
    if kind == "multiclass":
        return F.cross_entropy(outputs, target.long(), reduction="none")
    values = outputs.squeeze(-1)
    if kind == "binary":
        return F.binary_cross_entropy_with_logits(values, target.to(values.dtype), reduction="none")
    return (values - target.to(values.dtype)).square()
