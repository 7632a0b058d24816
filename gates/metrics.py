"""Expert selection: which experts each target's gate uses, in numbers."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from gatelab.gates.recovery import Array, group_agreement, recovery_metrics

Known = npt.NDArray[np.bool_]
"""Which rows count for each target, ``(targets, rows)``: those of which its value is known."""

SUPPORT = 1e-5
"""An example uses the experts that it weighs above this."""
REGULAR = 0.05
"""A target uses the experts that carry more than this share of its weight.

Between targets, supports of single examples say little where gates read their input: every target
would use every expert for some example. What a target relies on is what carries its weight.
"""


def selection_metrics(
    weights: Array,
    *,
    k: int | None,
    truth_groups: Sequence[int] | None = None,
    truth_experts: Sequence[Collection[int]] | None = None,
    targets: Sequence[str] | None = None,
    known: Known | None = None,
) -> dict[str, float]:
    """Return the expert-selection metrics by name.

    Args:
        weights: ``(targets, rows, num_experts)``, non-negative.
        k: How many experts an example is meant to use, if the gate says so.
        truth_groups: The planted group of each target, if known.
        truth_experts: The planted experts of each target, if known.
        targets: Names, for ``<target>/<metric>`` beside the means over targets.
        known: The rows that count for each target, ``(targets, rows)``; by default all.
    """
    by_target = _by_target(weights, k, known)
    scores = {name: float(values.mean()) for name, values in by_target.items()}
    scores |= _over_all_targets(weights, known)
    means = mean_weights(weights, known)
    supports = regular_supports(means)
    if len(supports) > 1:
        scores |= overlap_metrics(supports, truth_groups)
    if truth_experts is not None:
        scores |= recovery_metrics(means, supports, truth_experts)
    if truth_groups is not None and len(supports) > 1:
        scores["group_agreement"] = group_agreement(means, truth_groups)
    for name, values in by_target.items():
        pairs = zip(targets or (), values, strict=False)
        scores |= {f"{target}/{name}": float(value) for target, value in pairs}
    return scores


def _by_target(weights: Array, k: int | None, known: Known | None) -> dict[str, Array]:
    """Return the metrics that each target has of its own, ``(targets,)``."""
    used = (weights > SUPPORT).sum(2)
    total = weights.sum(2)
    rows = {
        "experts_per_example": used,
        "entropy": entropy(weights),
        "weight_sum": total,
        "weight_sum_below_one": total < 1 - SUPPORT,
    }
    if k is not None:
        rows |= {"at_most_k": used <= k, "exactly_k": used == k}
    return {name: _over_rows(values, known) for name, values in rows.items()} | {
        "importance_cv2": _cv2(mean_weights(weights, known)),
        "load_cv2": _cv2(expert_load(weights, known)),
    }


def _over_all_targets(weights: Array, known: Known | None) -> dict[str, float]:
    """Return what the targets do together: what runs for a row, and how evenly experts are used."""
    used = weights > SUPPORT
    if known is not None:
        used &= known[:, :, None]
    union = used.any(0).sum(1)
    counted = None if known is None else np.asarray(known.any(0))[None]
    load = expert_load(weights, known)
    return {
        "experts_per_row": float(_over_rows(union[None], counted)[0]),
        "pooled_importance_cv2": float(_cv2(_pooled(mean_weights(weights, known), known))[0]),
        "pooled_load_cv2": float(_cv2(_pooled(load, known))[0]),
        "dead_experts": float((load.max(0) == 0).sum()),
    }


def _pooled(by_target: Array, known: Known | None) -> Array:
    """Return means over the rows of all targets, ``(1, num_experts)``, from those of each."""
    counts = np.ones(len(by_target)) if known is None else _counts(known)
    return np.average(by_target, axis=0, weights=counts)[None]


def _over_rows(values: npt.NDArray[Any], known: Known | None) -> Array:
    """Return the means of ``(targets, rows, ...)`` over the rows that count, ``(targets, ...)``.

    A target that no row is known of is measured on all rows, for want of others.
    """
    if known is None:
        mean: Array = values.mean(1)
        return mean
    counted = known | ~known.any(1, keepdims=True)
    extra = (1,) * (values.ndim - 2)
    total = (values * counted.reshape(*counted.shape, *extra)).sum(1)
    return np.asarray(total / _counts(known).reshape(-1, *extra))


def _counts(known: Known) -> Array:
    """Return how many rows count for each target, ``(targets,)``."""
    counts = known.sum(1)
    found: Array = np.where(counts > 0, counts, known.shape[1]).astype(float)
    return found


def mean_weights(weights: Array, known: Known | None = None) -> Array:
    """Return the mean weight of every expert, ``(targets, num_experts)``."""
    return _over_rows(weights, known)


def expert_load(weights: Array, known: Known | None = None) -> Array:
    """Return the share of examples that use every expert, ``(targets, num_experts)``."""
    return _over_rows(weights > SUPPORT, known)


def entropy(weights: Array) -> Array:
    """Return the entropy in nats of the weights of every example, ``(targets, rows)``."""
    logs = np.log(np.maximum(weights, np.finfo(weights.dtype).tiny))
    total: Array = -(weights * logs).sum(2)
    return total


def _cv2(values: Array) -> Array:
    """Return the squared coefficient of variation over experts; 0 where nothing is used."""
    mean = values.mean(1)
    cv2: Array = np.divide(values.var(1), mean**2, out=np.zeros_like(mean), where=mean > 0)
    return cv2


def regular_supports(mean: Array) -> npt.NDArray[np.bool_]:
    """Return which experts carry more than ``REGULAR`` of a target's mean weight."""
    total = mean.sum(1, keepdims=True)
    return mean > REGULAR * np.where(total > 0, total, 1)


def overlap_metrics(
    supports: npt.NDArray[np.bool_], groups: Sequence[int] | None = None
) -> dict[str, float]:
    """Return how much targets share experts, beside what chance would let them share.

    Chance is two random subsets as large as the two targets' own, A and B of n experts, which
    share |A||B|/n: the mean of the hypergeometric distribution. A gate's k would not do, for a
    gate need not keep it.

    Args:
        supports: ``(targets, num_experts)``.
        groups: The planted group of each target, for the gap between related and unrelated pairs.
    """
    first, second = np.array(list(combinations(range(len(supports)), 2))).T
    shared = (supports[first] & supports[second]).sum(1)
    union = (supports[first] | supports[second]).sum(1)
    jaccard = np.divide(shared, union, out=np.zeros(len(union)), where=union > 0)
    sizes = supports.sum(1)
    scores = {
        "jaccard": float(jaccard.mean()),
        "shared_experts": float(shared.mean()),
        "shared_experts_null": float((sizes[first] * sizes[second]).mean() / supports.shape[1]),
    }
    if groups is not None:
        related = np.equal(np.take(groups, first), np.take(groups, second))
        if related.any() and not related.all():
            inside, outside = jaccard[related].mean(), jaccard[~related].mean()
            scores |= {"jaccard_related": inside, "jaccard_unrelated": outside}
            scores["jaccard_gap"] = inside - outside
    return {name: float(value) for name, value in scores.items()}


def weight_change(before: Array, after: Array, known: Known | None = None) -> float:
    """Return the mean over targets and rows of the L1 change of the weights."""
    return float(_over_rows(np.abs(after - before).sum(2), known).mean())


def support_flips(before: Array, after: Array, known: Known | None = None) -> float:
    """Return how many experts an example takes up or drops, on average."""
    flips = ((before > SUPPORT) != (after > SUPPORT)).sum(2)
    return float(_over_rows(flips, known).mean())


def seed_agreement(means: Sequence[Array]) -> float:
    """Return how alike seeds divide targets among experts, after matching the experts, in [0, 1].

    The mean over pairs of seeds of the weight that two have in common, under the best matching.

    Args:
        means: Each seed's mean weights, ``(targets, num_experts)``.
    """
    from scipy.optimize import linear_sum_assignment  # here: SciPy takes a second to import

    scores = []
    for first, second in combinations(means, 2):
        common = np.minimum(first[:, :, None], second[:, None, :]).sum(0)
        rows, columns = linear_sum_assignment(-common)
        scores.append(common[rows, columns].sum() / max(first.sum(), second.sum(), 1e-12))
    return float(np.mean(scores)) if scores else float("nan")
