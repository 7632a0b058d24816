"""Expert selection: which experts each target's gate uses, in numbers."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import combinations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.floating]

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
) -> dict[str, float]:
    """Return the expert-selection metrics by name.

    Args:
        weights: ``(targets, rows, num_experts)``, non-negative.
        k: How many experts an example is meant to use, if the gate says so.
        truth_groups: The planted group of each target, if known.
        truth_experts: The planted experts of each target, if known.
        targets: Names, for ``<target>/<metric>`` beside the means over targets.
    """
    by_target = _by_target(weights, k)
    scores = {name: float(values.mean()) for name, values in by_target.items()}
    scores["dead_experts"] = float((expert_load(weights).max(0) == 0).sum())
    supports = regular_supports(weights)
    if len(supports) > 1:
        scores |= overlap_metrics(supports, k, truth_groups)
    if truth_experts is not None:
        scores |= recovery_metrics(weights, truth_experts)
    if truth_groups is not None and len(supports) > 1:
        scores["group_agreement"] = group_agreement(weights, truth_groups)
    for name, values in by_target.items():
        pairs = zip(targets or (), values, strict=False)
        scores |= {f"{target}/{name}": float(value) for target, value in pairs}
    return scores


def _by_target(weights: Array, k: int | None) -> dict[str, Array]:
    """Return the metrics that each target has of its own, ``(targets,)``."""
    used = (weights > SUPPORT).sum(2)
    total = weights.sum(2)
    found = {
        "experts_per_example": used.mean(1),
        "entropy": entropy(weights).mean(1),
        "weight_sum": total.mean(1),
        "weight_sum_below_one": (total < 1 - SUPPORT).mean(1),
        "importance_cv2": _cv2(mean_weights(weights)),
        "load_cv2": _cv2(expert_load(weights)),
    }
    if k is not None:
        found |= {"at_most_k": (used <= k).mean(1), "exactly_k": (used == k).mean(1)}
    return found


def mean_weights(weights: Array) -> Array:
    """Return the mean weight of every expert, ``(targets, num_experts)``."""
    mean: Array = weights.mean(1)
    return mean


def expert_load(weights: Array) -> Array:
    """Return the share of examples that use every expert, ``(targets, num_experts)``."""
    share: Array = (weights > SUPPORT).mean(1)
    return share


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


def regular_supports(weights: Array) -> npt.NDArray[np.bool_]:
    """Return which experts carry more than ``REGULAR`` of a target's weight."""
    mean = mean_weights(weights)
    total = mean.sum(1, keepdims=True)
    return mean > REGULAR * np.where(total > 0, total, 1)


def overlap_metrics(
    supports: npt.NDArray[np.bool_], k: int | None, groups: Sequence[int] | None = None
) -> dict[str, float]:
    """Return how much targets share experts, beside what random choices of k would share.

    Args:
        supports: ``(targets, num_experts)``.
        k: For the null: two random k-subsets of n experts share k²/n.
        groups: The planted group of each target, for the gap between related and unrelated pairs.
    """
    first, second = np.array(list(combinations(range(len(supports)), 2))).T
    shared = (supports[first] & supports[second]).sum(1)
    union = (supports[first] | supports[second]).sum(1)
    jaccard = np.divide(shared, union, out=np.zeros(len(union)), where=union > 0)
    scores = {"jaccard": float(jaccard.mean()), "shared_experts": float(shared.mean())}
    if k is not None:
        scores["shared_experts_null"] = k * k / supports.shape[1]
    if groups is not None:
        related = np.equal(np.take(groups, first), np.take(groups, second))
        if related.any() and not related.all():
            inside, outside = jaccard[related].mean(), jaccard[~related].mean()
            scores |= {"jaccard_related": inside, "jaccard_unrelated": outside}
            scores["jaccard_gap"] = inside - outside
    return {name: float(value) for name, value in scores.items()}


def recovery_metrics(weights: Array, truth: Sequence[Collection[int]]) -> dict[str, float]:
    """Return precision, recall and F1 of the planted experts, after the best matching of experts.

    Experts have no order, so learnt ones are matched to planted ones by the Hungarian method, to
    put as much weight as can be where it belongs. Kuhn, The Hungarian Method, 1955.
    """
    from scipy.optimize import linear_sum_assignment  # here: SciPy takes a second to import

    supports = regular_supports(weights)
    planted = np.zeros((len(truth), max(max(experts) for experts in truth) + 1), dtype=bool)
    for target, experts in enumerate(truth):
        planted[target, list(experts)] = True
    learnt, wanted = linear_sum_assignment(-(mean_weights(weights).T @ planted))
    found = np.zeros_like(planted)
    found[:, wanted] = supports[:, learnt]
    hits, chosen = (found & planted).sum(), supports.sum()
    precision, recall = hits / max(chosen, 1), hits / planted.sum()
    exact = (found == planted).all(1) & (supports.sum(1) == planted.sum(1))
    return {
        "precision": float(precision),
        "recall": float(recall),
        "f1": float(2 * precision * recall / max(precision + recall, 1e-12)),
        "exact_recovery": float(exact.mean()),
    }


def group_agreement(weights: Array, groups: Sequence[int]) -> float:
    """Return how well clusters of targets by their weights agree with the planted groups.

    Average-linkage clusters of the targets' mean weights by cosine distance, as many as there are
    groups; the adjusted Rand index of Hubert and Arabie, 1985: 1 for the same, 0 by chance.
    """
    from scipy.cluster.hierarchy import fcluster, linkage  # here: SciPy takes a second to import

    mean = mean_weights(weights) + 1e-12  # a target without weight has no direction
    tree = linkage(mean, method="average", metric="cosine")
    return adjusted_rand(groups, fcluster(tree, len(set(groups)), criterion="maxclust"))


def adjusted_rand(first: Sequence[int], second: Sequence[int] | npt.NDArray[np.integer]) -> float:
    """Return how well two groupings of the same things agree: 1 where they are equal, 0 by chance.

    It is scikit-learn's, which takes two seconds to import: the share of pairs that both put
    together, between what chance would give and the most that there could be.

    Source: Hubert and Arabie, Comparing Partitions, 1985, equation 5.
    """
    rows, columns = (np.unique(labels, return_inverse=True)[1] for labels in (first, second))
    table = np.zeros((rows.max() + 1, columns.max() + 1))
    np.add.at(table, (rows, columns), 1)
    both, ours, theirs, every = (
        (counts * (counts - 1) / 2).sum()
        for counts in (table, table.sum(1), table.sum(0), table.sum(keepdims=True))
    )
    chance, most = ours * theirs / max(every, 1), (ours + theirs) / 2
    return 1.0 if most == chance else float((both - chance) / (most - chance))


def weight_change(before: Array, after: Array) -> float:
    """Return the mean over targets and rows of the L1 change of the weights."""
    return float(np.abs(after - before).sum(2).mean())


def support_flips(before: Array, after: Array) -> float:
    """Return how many experts an example takes up or drops, on average."""
    return float(((before > SUPPORT) != (after > SUPPORT)).sum(2).mean())


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
