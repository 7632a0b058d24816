"""Recovery: whether gates find the experts and the groups of targets that a task has planted."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.floating]


def recovery_metrics(
    mean: Array, supports: npt.NDArray[np.bool_], truth: Sequence[Collection[int]]
) -> dict[str, float]:
    """Return precision, recall and F1 of the planted experts, after the best matching of experts.

    Experts have no order, so learnt ones are matched to planted ones by the Hungarian method, to
    put as much weight as can be where it belongs. Kuhn, The Hungarian Method, 1955.

    Args:
        mean: The targets' mean weights, ``(targets, num_experts)``.
        supports: The experts that each relies on, like ``mean``.
        truth: The planted experts of each target.
    """
    from scipy.optimize import linear_sum_assignment  # here: SciPy takes a second to import

    planted = np.zeros((len(truth), max(max(experts) for experts in truth) + 1), dtype=bool)
    for target, experts in enumerate(truth):
        planted[target, list(experts)] = True
    learnt, wanted = linear_sum_assignment(-(mean.T @ planted))
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


def group_agreement(mean: Array, groups: Sequence[int]) -> float:
    """Return how well clusters of targets by their weights agree with the planted groups.

    Average-linkage clusters of the targets' mean weights by cosine distance, as many as there are
    groups; the adjusted Rand index of Hubert and Arabie, 1985: 1 for the same, 0 by chance. It
    sees what supports cannot: that targets which all use every expert weigh them differently.

    Args:
        mean: The targets' mean weights, ``(targets, num_experts)``.
        groups: The planted group of each target.
    """
    from scipy.cluster.hierarchy import fcluster, linkage  # here: SciPy takes a second to import

    mean = mean + 1e-12  # a target without weight has no direction
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
