"""Expert-selection metrics on examples worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from gatelab.gates.metrics import (
    adjusted_rand,
    group_agreement,
    overlap_metrics,
    recovery_metrics,
    seed_agreement,
    selection_metrics,
    support_flips,
    weight_change,
)

# Two targets, two rows, four experts.
WEIGHTS = np.array(
    [
        [[0.5, 0.5, 0, 0], [1.0, 0, 0, 0]],
        [[0, 0.25, 0.25, 0.5], [0, 0.2, 0.3, 0.4]],
    ]
)


def test_by_hand() -> None:
    found = selection_metrics(WEIGHTS, k=2, targets=["a", "b"])
    assert found["a/experts_per_example"] == 1.5
    assert found["b/experts_per_example"] == 3
    assert found["experts_per_example"] == 2.25
    assert (found["a/at_most_k"], found["b/at_most_k"], found["at_most_k"]) == (1, 0, 0.5)
    assert (found["a/exactly_k"], found["exactly_k"]) == (0.5, 0.25)
    assert found["a/entropy"] == pytest.approx(math.log(2) / 2)
    assert found["b/weight_sum"] == pytest.approx(0.95)
    assert (found["a/weight_sum_below_one"], found["b/weight_sum_below_one"]) == (0, 0.5)
    # Importance of a: 0.75, 0.25, 0, 0; mean 0.25, variance (0.25 + 0 + 0.0625 x 2) / 4.
    assert found["a/importance_cv2"] == pytest.approx(0.09375 / 0.0625)
    # Load of a: 1, 0.5, 0, 0; mean 0.375, variance 0.171875.
    assert found["a/load_cv2"] == pytest.approx(0.171875 / 0.140625)
    assert found["dead_experts"] == 0
    # a relies on experts 0 and 1, b on 1, 2 and 3.
    assert found["shared_experts"] == 1
    assert found["jaccard"] == pytest.approx(1 / 4)
    assert found["shared_experts_null"] == 1.0


def test_a_gate_without_k_has_no_metric_of_k() -> None:
    assert not {"at_most_k", "exactly_k", "shared_experts_null"} & set(
        selection_metrics(WEIGHTS, k=None)
    )


def test_dead_experts_are_dead_for_every_target() -> None:
    only = np.zeros((2, 3, 4))
    only[0, :, 0] = only[1, :, 1] = 1
    assert selection_metrics(only, k=1)["dead_experts"] == 2


def test_gap_between_related_and_unrelated_targets() -> None:
    supports = np.array([[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1], [0, 1, 1, 0]], dtype=bool)
    found = overlap_metrics(supports, 2, [0, 0, 1, 1])
    # Pairs: 01 related 1; 23 related 1/3; 02 0, 03 1/3, 12 0, 13 1/3.
    assert found["jaccard_related"] == pytest.approx((1 + 1 / 3) / 2)
    assert found["jaccard_unrelated"] == pytest.approx(1 / 6)
    assert found["jaccard_gap"] == pytest.approx(2 / 3 - 1 / 6)


def one_hot(rows: list[list[int]], num_experts: int) -> np.ndarray:
    weights = np.zeros((len(rows), 1, num_experts))
    for target, experts in enumerate(rows):
        weights[target, 0, experts] = 1 / len(experts)
    return weights


def test_recovery_up_to_the_order_of_experts() -> None:
    truth = [{0, 1}, {0, 1}, {2, 3}]
    perfect = recovery_metrics(one_hot([[3, 5], [3, 5], [0, 2]], 6), truth)
    assert perfect == {"precision": 1, "recall": 1, "f1": 1, "exact_recovery": 1}
    half = recovery_metrics(one_hot([[3], [3], [0, 2]], 6), truth)
    assert (half["precision"], half["recall"]) == (1, pytest.approx(4 / 6))
    assert half["exact_recovery"] == pytest.approx(1 / 3)
    all_of_them = recovery_metrics(one_hot([[0, 1, 2, 3]] * 3, 4), truth)
    assert (all_of_them["precision"], all_of_them["recall"]) == (0.5, 1)
    fewer_experts = recovery_metrics(one_hot([[0], [0], [1]], 2), truth)
    assert (fewer_experts["precision"], fewer_experts["recall"]) == (1, 0.5)


def test_adjusted_rand_is_scikit_learns() -> None:
    """And by hand: of the pairs of four, one is together in both, two in each, of six in all."""
    assert adjusted_rand([0, 0, 1, 1], [0, 0, 1, 2]) == pytest.approx((1 - 1 / 3) / (1.5 - 1 / 3))
    random = np.random.default_rng(0)
    for _ in range(200):
        first, second = random.integers(0, random.integers(1, 6, 2)[:, None], (2, 9))
        found = adjusted_rand(first.tolist(), second)
        assert found == pytest.approx(adjusted_rand_score(first, second), abs=1e-12)
    assert adjusted_rand([3], [1]) == adjusted_rand_score([3], [1])


def test_group_agreement() -> None:
    apart = one_hot([[0], [0], [1], [1]], 3)
    assert group_agreement(apart, [5, 5, 2, 2]) == 1
    assert group_agreement(apart, [0, 1, 0, 1]) < 0.1


def test_stability() -> None:
    before, after = one_hot([[0], [1]], 3), one_hot([[0], [1, 2]], 3)
    assert weight_change(before, after) == pytest.approx(0.5)  # 0 and 1, averaged
    assert support_flips(before, after) == 0.5
    assert weight_change(before, before) == support_flips(before, before) == 0


def test_seeds_agree_up_to_the_order_of_experts() -> None:
    first = np.array([[0.9, 0.1, 0], [0, 0.2, 0.8]])
    assert seed_agreement([first, first[:, [2, 0, 1]]]) == pytest.approx(1)
    assert seed_agreement([first, np.full((2, 3), 1 / 3)]) < 0.9
    assert math.isnan(seed_agreement([first]))
