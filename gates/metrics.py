"""Expert selection: which experts each target's gate uses, in numbers."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import combinations

import numpy as np
import numpy.typing as npt

from gatelab.gates.recovery import Array, group_agreement, recovery_metrics
from gatelab.gates.usage import Usage

REGULAR = 0.05
"""A target uses the experts that carry more than this share of its weight.

Between targets, supports of single examples say little where gates read their input: every target
would use every expert for some example. What a target relies on is what carries its weight.
"""

KEPT_DECIMALS = 12
"""Of a metric: what is 0 or equal in truth differs by rounding, and would be shown as a number."""


def usage_metrics(
    usage: Usage,
    truth_groups: Sequence[int] | None = None,
    truth_experts: Sequence[Collection[int]] | None = None,
    targets: Sequence[str] | None = None,
) -> dict[str, float]:
    """Return the expert-selection metrics by name.

    Args:
        usage: Of one member.
        truth_groups: The planted group of each target, if known.
        truth_experts: The planted experts of each target, if known.
        targets: Names, for ``<target>/<metric>`` beside the means over targets.
    """
    means, load = usage.importance.numpy(), usage.load.numpy()
    by_target = {name: values.numpy() for name, values in usage.by_target.items()}
    by_target |= {"importance_cv2": _cv2(means), "load_cv2": _cv2(load)}
    scores = {name: float(values.mean()) for name, values in by_target.items()}
    scores |= _over_all_targets(usage)
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
    return {name: round(value, KEPT_DECIMALS) for name, value in scores.items()}


def _over_all_targets(usage: Usage) -> dict[str, float]:
    """Return what the targets do together: what runs for a row, and how evenly experts are used."""
    importance, load, counts = (t.numpy() for t in (usage.importance, usage.load, usage.counts))
    return {
        "experts_per_row": float(usage.experts_per_row),
        "pooled_importance_cv2": float(_cv2(np.average(importance, 0, counts)[None])[0]),
        "pooled_load_cv2": float(_cv2(np.average(load, 0, counts)[None])[0]),
        "dead_experts": float((load.max(0) == 0).sum()),
    }


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
