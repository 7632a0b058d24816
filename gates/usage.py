"""How gates use experts: means over the rows that count, of many members at once, anywhere."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

SUPPORT = 1e-5
"""An example uses the experts that it weighs above this."""


class Usage(NamedTuple):
    """How the gates of one member, or of several, use the experts."""

    by_target: dict[str, Tensor]
    """Means over each target's rows by the name of the metric, ``(..., targets)`` float64."""
    importance: Tensor
    """The mean weight of every expert, ``(..., targets, num_experts)`` float64."""
    load: Tensor
    """The share of examples that use every expert, of the same shape."""
    runs: Tensor
    """For how many rows every expert runs, for any target, ``(..., num_experts)`` float64; where
    targets have experts of their own, that of each."""
    rows: Tensor
    """How many rows count for any target, ``()``."""
    counts: Tensor
    """How many rows count for each target, ``(targets,)``."""

    @property
    def experts_per_row(self) -> Tensor:
        """How many experts run for a row, for any target: its mean, ``(...)``."""
        return self.runs.sum(-1) / self.rows

    def members(self) -> list[Usage]:
        """Return each member's, on the CPU, of what has one leading dimension for members."""
        by_target = {name: values.cpu() for name, values in self.by_target.items()}
        importance, load, runs, rows, counts = (each.cpu() for each in self[1:])
        return [
            Usage(
                {name: values[member] for name, values in by_target.items()},
                *(importance[member], load[member], runs[member], rows, counts),
            )
            for member in range(len(importance))
        ]


def usage_of(
    weights: Tensor, k: int | None, known: Tensor | None = None, *, apart: bool = False
) -> Usage:
    """Return how experts are used.

    Args:
        weights: ``(..., targets, rows, num_experts)``, non-negative.
        k: How many experts an example is meant to use, if the gate says so.
        known: The rows that count for each target, ``(targets, rows)``; by default all.
        apart: Whether targets have experts of their own, so that what two use is never the same.
    """
    used = weights > SUPPORT
    number, total = used.sum(-1), weights.sum(-1)
    rows = {
        "experts_per_example": number,
        "entropy": _entropy(weights),
        "weight_sum": total,
        "weight_sum_below_one": total < 1 - SUPPORT,
    }
    if k is not None:
        rows |= {"at_most_k": number <= k, "exactly_k": number == k}
    each = known if known is None else known[..., None]
    counted = used if each is None else used & each
    running = counted if apart else counted.any(-3, keepdim=True)
    return Usage(
        {name: _over_rows(values, known) for name, values in rows.items()},
        _over_rows(weights.mT, None if known is None else known[:, None]),
        _over_rows(used.mT, None if known is None else known[:, None]),
        running.sum((-3, -2), dtype=torch.float64),
        _counts(None if known is None else known.any(0, keepdim=True), weights)[0],
        _counts(known, weights),
    )


def weight_change(before: Tensor, after: Tensor, known: Tensor | None = None) -> Tensor:
    """Return the mean over targets and rows of the L1 change of the weights, ``(...)``.

    Args:
        before: ``(..., targets, rows, num_experts)``
        after: Of the same shape.
        known: The rows that count for each target, ``(targets, rows)``; by default all.
    """
    return _over_rows((after - before).abs().sum(-1), known).mean(-1)


def support_flips(before: Tensor, after: Tensor, known: Tensor | None = None) -> Tensor:
    """Return how many experts an example takes up or drops on average, ``(...)``.

    Args:
        before: ``(..., targets, rows, num_experts)``
        after: Of the same shape.
        known: The rows that count for each target, ``(targets, rows)``; by default all.
    """
    return _over_rows(((before > SUPPORT) != (after > SUPPORT)).sum(-1), known).mean(-1)


def _entropy(weights: Tensor) -> Tensor:
    """Return the entropy in nats of the weights of every example, ``(..., targets, rows)``."""
    logs = weights.clamp_min(torch.finfo(weights.dtype).tiny).log()
    return -(weights * logs).sum(-1)


def _over_rows(values: Tensor, known: Tensor | None) -> Tensor:
    """Return the means of ``(..., rows)`` over the rows that count, ``(...)`` float64.

    Where no row counts it is measured on all rows, for want of others.
    """
    if known is None:
        return values.sum(-1, dtype=torch.float64) / values.shape[-1]
    counted = known | ~known.any(-1, keepdim=True)
    return (values * counted).sum(-1, dtype=torch.float64) / counted.sum(-1)


def _counts(known: Tensor | None, weights: Tensor) -> Tensor:
    if known is None:
        return torch.full((weights.shape[-3],), float(weights.shape[-2]), dtype=torch.float64)
    counts = known.sum(1).double()
    return torch.where(counts > 0, counts, known.shape[1])
