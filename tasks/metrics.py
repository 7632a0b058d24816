"""Metrics and losses of one target, by its kind.

They are a few lines of torch each, in float64: a library's metrics cost a worker seconds to import.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

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


def _classes(outputs: Tensor) -> Tensor:
    """Return the most likely class of each row: of a single logit, whether it is positive."""
    return outputs.argmax(1) if outputs.shape[1] > 1 else (outputs[:, 0] > 0).long()


def _accuracy(outputs: Tensor, target: Tensor) -> Tensor:
    return (_classes(outputs) == target).double().mean()


def _f1(outputs: Tensor, target: Tensor) -> Tensor:
    """Return the F1 score of class 1 of two; of several, its mean over those that occur."""
    found, wanted = _classes(outputs), target.long()
    size = max(outputs.shape[1], 2)
    hits = wanted[found == wanted].bincount(minlength=size)
    occurrences = found.bincount(minlength=size) + wanted.bincount(minlength=size)
    scores = 2 * hits.double() / occurrences.clamp_min(1)
    return scores[1] if outputs.shape[1] == 1 else scores[occurrences > 0].mean()


def _auroc(outputs: Tensor, target: Tensor) -> Tensor:
    """Return the share of pairs of both classes in order, of equal ones half.

    Mann and Whitney, On a Test of Whether One of Two Random Variables Is Stochastically Larger,
    1947: their U by the positive rows' ranks, of equal logits the mean rank.
    """
    positive = target > 0
    pairs = positive.sum() * (~positive).sum()
    if pairs == 0:  # one class only: there is nothing to rank
        return torch.tensor(torch.nan)
    _, place, counts = outputs[:, 0].unique(return_inverse=True, return_counts=True)
    ranks = (counts.cumsum(0) - (counts - 1) / 2.0)[place][positive].double()
    share: Tensor = (ranks.sum() - len(ranks) * (len(ranks) + 1) / 2) / pairs
    return share


def _r2(outputs: Tensor, target: Tensor) -> Tensor:
    """Return 1 - residuals / total."""
    if target.min() == target.max():  # no variance to explain
        return torch.tensor(torch.nan)
    wanted = target.double()
    return 1 - _errors(outputs, target).square().sum() / (wanted - wanted.mean()).square().sum()


def _mse(outputs: Tensor, target: Tensor) -> Tensor:
    return _errors(outputs, target).square().mean()


def _rmse(outputs: Tensor, target: Tensor) -> Tensor:
    return _mse(outputs, target).sqrt()


def _mae(outputs: Tensor, target: Tensor) -> Tensor:
    return _errors(outputs, target).abs().mean()


def _errors(outputs: Tensor, target: Tensor) -> Tensor:
    """Return the residuals in float64: squares of large values far from 0 need it."""
    return target.double() - outputs[:, 0].double()


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
