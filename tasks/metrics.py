"""Metrics and losses of one target, by its kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F
from torchmetrics.functional import classification as classify
from torchmetrics.functional import regression as regress

from gatelab.tasks.task import Kind


@dataclass(frozen=True)
class Metric:
    """A score of a target's outputs."""

    name: str
    kinds: frozenset[Kind]
    """The kinds of target that it fits."""
    higher_is_better: bool
    compute: Callable[[Tensor, Tensor], Tensor]
    """Takes outputs ``(rows, out_features)``, logits or values, and the target ``(rows,)``; returns
    a scalar, NaN where the metric is not defined."""


def _metric(
    name: str,
    kinds: set[Kind],
    compute: Callable[[Tensor, Tensor], Tensor],
    *,
    higher_is_better: bool = True,
    min_rows: int = 1,
) -> Metric:
    def defined(outputs: Tensor, target: Tensor) -> Tensor:
        if len(target) < min_rows:
            return torch.tensor(torch.nan)
        return compute(outputs, target)

    return Metric(name, frozenset(kinds), higher_is_better, defined)


def _accuracy(outputs: Tensor, target: Tensor) -> Tensor:
    if outputs.shape[1] == 1:
        return classify.binary_accuracy(_positive(outputs), target.long())
    return classify.multiclass_accuracy(
        outputs, target.long(), num_classes=outputs.shape[1], average="micro"
    )


def _f1(outputs: Tensor, target: Tensor) -> Tensor:
    if outputs.shape[1] == 1:
        return classify.binary_f1_score(_positive(outputs), target.long())
    return classify.multiclass_f1_score(
        outputs, target.long(), num_classes=outputs.shape[1], average="macro"
    )


def _positive(outputs: Tensor) -> Tensor:
    """Return 1 where a logit is positive; torchmetrics takes those in [0, 1] for chances."""
    return (outputs[:, 0] > 0).long()


def _auroc(outputs: Tensor, target: Tensor) -> Tensor:
    if target.min() == target.max():  # one class only: there is nothing to rank
        return torch.tensor(torch.nan)
    # Ranks for logits: torchmetrics takes the sigmoid, in which large ones are all the same.
    ranks = outputs[:, 0].unique(return_inverse=True)[1].double()
    return classify.binary_auroc(ranks / ranks.max().clamp_min(1), target.long())


def _r2(outputs: Tensor, target: Tensor) -> Tensor:
    """Return 1 - residuals / total, in float64; torchmetrics calls sums of squares below 1e-4 0."""
    if target.min() == target.max():  # no variance to explain
        return torch.tensor(torch.nan)
    found, wanted = outputs[:, 0].double(), target.double()
    return 1 - (wanted - found).square().sum() / (wanted - wanted.mean()).square().sum()


def _mse(outputs: Tensor, target: Tensor) -> Tensor:
    return regress.mean_squared_error(outputs[:, 0], target.to(outputs.dtype))


def _rmse(outputs: Tensor, target: Tensor) -> Tensor:
    return regress.mean_squared_error(outputs[:, 0], target.to(outputs.dtype), squared=False)


def _mae(outputs: Tensor, target: Tensor) -> Tensor:
    return regress.mean_absolute_error(outputs[:, 0], target.to(outputs.dtype))


_CLASSES: set[Kind] = {"binary", "multiclass"}
METRICS: Mapping[str, Metric] = {
    metric.name: metric
    for metric in (
        _metric("accuracy", _CLASSES, _accuracy),
        _metric("f1", _CLASSES, _f1),
        _metric("auroc", {"binary"}, _auroc),
        _metric("mse", {"regression"}, _mse, higher_is_better=False),
        _metric("rmse", {"regression"}, _rmse, higher_is_better=False),
        _metric("mae", {"regression"}, _mae, higher_is_better=False),
        _metric("r2", {"regression"}, _r2, min_rows=2),
    )
}
"""Every metric by name."""

_DEFAULTS: Mapping[Kind, tuple[str, ...]] = {
    "regression": ("rmse", "r2"),
    "binary": ("accuracy", "auroc"),
    "multiclass": ("accuracy",),
}


def default_metrics(kind: Kind) -> tuple[str, ...]:
    """Return the names of the metrics that are recorded where a spec chooses none."""
    return _DEFAULTS[kind]


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
