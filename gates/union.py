"""The union of the experts that targets use for a row, as a cost that their gates can lower."""

from __future__ import annotations

import torch
from torch import Tensor


def union_cost(weights: Tensor, known: Tensor | None = None) -> Tensor:
    """Return how many experts all targets use together for a row, a mean over rows, ``()``.

    Softly: sum_e (1 - prod_t (1 - w_te)), the expected size of the union if target t used expert e
    with chance w_te, whatever else is used. It is ours. Lowest, 1, where all targets give all of
    their weight to one and the same expert. A weight above 1, of a gate that does not normalise,
    counts as 1.

    Args:
        weights: ``(targets, batch, num_experts)``, non-negative.
        known: The rows that count for each target, ``(targets, batch)``; by default all.
    """
    chances = weights.clamp(max=1)
    if known is None:
        return (1 - product(1 - chances)).sum(-1).mean()
    size = (1 - product(1 - chances * known[..., None])).sum(-1)
    return size.sum() / known.any(0).sum().clamp_min(1)


def product(factors: Tensor) -> Tensor:
    """Return the product over the first dimension, in halves.

    The gradient of ``torch.prod`` looks for zeros, for which a GPU would wait.
    """
    while (count := len(factors)) > 1:
        half = count // 2
        pairs = factors[:half] * factors[half : 2 * half]
        factors = torch.cat([pairs, factors[2 * half :]]) if count % 2 else pairs
    return factors[0]
