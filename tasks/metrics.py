"""Our metrics, and the losses of one target by its kind.

They are a few lines of torch each, in float64: a library's metrics cost a worker seconds to import.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from gatelab.nn.short_rows import log_softmax
from gatelab.tasks.metric import Metric, register_metric
from gatelab.tasks.target import Kind

BINARY: tuple[Kind, ...] = ("binary",)
CLASSES: tuple[Kind, ...] = ("binary", "multiclass")
VALUES: tuple[Kind, ...] = ("regression",)


def _classes(outputs: Tensor) -> Tensor:
    """Return the most likely class of each row: of a single logit, whether it is positive."""
    return outputs.argmax(1) if outputs.shape[1] > 1 else (outputs[:, 0] > 0).long()


def _errors(outputs: Tensor, target: Tensor) -> Tensor:
    """Return the residuals in float64, of the target's shape: squares of large values need it."""
    values = outputs[:, 0] if target.dim() == 1 else outputs
    return target.double() - values.double()


def _mean(values: Tensor, weights: Tensor | None) -> Tensor:
    """Return the mean over rows ``(rows, ...)``, of a row as often as it weighs."""
    return values.mean(0) if weights is None else _times(values, weights).sum(0) / weights.sum()


def _times(values: Tensor, weights: Tensor) -> Tensor:
    """Return values ``(rows, ...)`` times what each row weighs."""
    return values * (weights if values.dim() == 1 else weights[:, None])


@register_metric("accuracy")
class Accuracy(Metric):
    """Share of rows whose most likely class is theirs."""

    kinds = CLASSES
    higher_is_better = True

    def compute(self, outputs: Tensor, target: Tensor, weights: Tensor | None = None) -> Tensor:
        """Return the score."""
        return _mean((_classes(outputs) == target).double(), weights)


@register_metric("f1")
class F1(Metric):
    """Harmonic mean of precision and recall of class 1, or its mean over classes that occur."""

    kinds = CLASSES
    higher_is_better = True

    def compute(self, outputs: Tensor, target: Tensor, weights: Tensor | None = None) -> Tensor:
        """Return the score."""
        found, wanted = _classes(outputs), target.long()
        size = max(outputs.shape[1], 2)
        hit = found == wanted
        hits = _counts(wanted[hit], None if weights is None else weights[hit], size)
        occurrences = _counts(found, weights, size) + _counts(wanted, weights, size)
        scores = 2 * hits / torch.where(occurrences > 0, occurrences, 1)
        return scores[1] if outputs.shape[1] == 1 else scores[occurrences > 0].mean()


def _counts(classes: Tensor, weights: Tensor | None, size: int) -> Tensor:
    """Return how often each class occurs, or what its rows weigh, ``(size,)`` float64."""
    return classes.bincount(weights, minlength=size).double()


@register_metric("auroc")
class AUROC(Metric):
    """Share of pairs of both classes that the outputs put in order, of equal ones half.

    Mann and Whitney, On a Test of Whether One of Two Random Variables Is Stochastically Larger,
    1947: their U, by each logit's positive rows and the negative ones below it. A pair weighs what
    its rows do, multiplied.
    """

    kinds = BINARY
    higher_is_better = True

    def compute(self, outputs: Tensor, target: Tensor, weights: Tensor | None = None) -> Tensor:
        """Return the score."""
        positive = (target > 0).double()
        weighs = torch.ones_like(positive) if weights is None else weights
        pairs = (weighs * positive).sum() * (weighs * (1 - positive)).sum()
        if pairs == 0:  # one class only: there is nothing to rank
            return torch.tensor(torch.nan)
        values, order = outputs[:, 0].sort()
        above, below = ((weighs * part)[order] for part in (positive, 1 - positive))
        below = torch.cat([below.new_zeros(1), below.cumsum(0)])
        first = torch.searchsorted(values, values)
        last = torch.searchsorted(values, values, right=True)
        share: Tensor = (above * (below[first] + below[last]) / 2).sum() / pairs
        return share


@register_metric("r2")
class R2(Metric):
    """Share of the variance that is explained: 1 - residuals / total."""

    kinds = VALUES
    higher_is_better = True
    min_rows = 2
    takes_columns = True

    def compute(self, outputs: Tensor, target: Tensor, weights: Tensor | None = None) -> Tensor:
        """Return the score, of several columns the mean over those that vary."""
        wanted = target.double()
        residuals = _errors(outputs, target).square()
        total = (wanted - _mean(wanted, weights)).square()
        if weights is not None:
            residuals, total = _times(residuals, weights), _times(total, weights)
        scores = 1 - residuals.sum(0) / total.sum(0)
        lowest, highest = wanted.aminmax(dim=0)  # where equal there is no variance to explain
        return torch.where(lowest == highest, torch.nan, scores).nanmean()


@register_metric("mse")
class MSE(Metric):
    """Mean squared error."""

    kinds = VALUES
    higher_is_better = False
    takes_columns = True

    def compute(self, outputs: Tensor, target: Tensor, weights: Tensor | None = None) -> Tensor:
        """Return the score, of several columns their mean."""
        return _mean(_errors(outputs, target).square(), weights).mean()


@register_metric("rmse")
class RMSE(Metric):
    """Root of the mean squared error, in the unit of the target."""

    kinds = VALUES
    higher_is_better = False
    takes_columns = True

    def compute(self, outputs: Tensor, target: Tensor, weights: Tensor | None = None) -> Tensor:
        """Return the score, of several columns the mean of their roots."""
        return _mean(_errors(outputs, target).square(), weights).sqrt().mean()


@register_metric("mae")
class MAE(Metric):
    """Mean absolute error, in the unit of the target."""

    kinds = VALUES
    higher_is_better = False
    takes_columns = True

    def compute(self, outputs: Tensor, target: Tensor, weights: Tensor | None = None) -> Tensor:
        """Return the score, of several columns their mean."""
        return _mean(_errors(outputs, target).abs(), weights).mean()


def loss(kind: Kind, outputs: Tensor, target: Tensor) -> Tensor:
    """Return every row's loss ``(rows,)``: cross-entropy in nats, or the squared error.

    That of several columns is the mean over them.

    Args:
        kind: The target's kind.
        outputs: Logits or values, ``(rows, out_features)``.
        target: Class indices, 0/1 or values, ``(rows,)``, of any dtype; of several columns
            ``(rows, width)``.
    """
    if kind == "multiclass":
        return F.nll_loss(log_softmax(outputs), target.long(), reduction="none")
    values = outputs.squeeze(-1)
    if kind == "binary":
        return F.binary_cross_entropy_with_logits(values, target.to(values.dtype), reduction="none")
    errors = (values - target.to(values.dtype)).square()
    return errors if target.dim() == 1 else errors.mean(1)
