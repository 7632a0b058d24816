"""Expert-selection metrics on examples worked out by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import adjusted_rand_score

from gatelab.gates.metrics import (
    overlap_metrics,
    regular_supports,
    seed_agreement,
    usage_metrics,
)
from gatelab.gates.recovery import adjusted_rand, group_agreement, recovery_metrics
from gatelab.gates.usage import support_flips, usage_of, weight_change

# Two targets, two rows, four experts.
WEIGHTS = np.array(
    [
        [[0.5, 0.5, 0, 0], [1.0, 0, 0, 0]],
        [[0, 0.25, 0.25, 0.5], [0, 0.2, 0.3, 0.4]],
    ]
)


def selection_metrics(
    weights: Any, k: int | None, known: Any = None, **named: Any
) -> dict[str, float]:
    """Return the metrics of weights ``(targets, rows, num_experts)``."""
    counted = None if known is None else torch.as_tensor(known)
    return usage_metrics(usage_of(torch.as_tensor(weights), k, counted), **named)


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
    # Two of four experts and three of four: 2 x 3 / 4, whatever k says.
    assert found["shared_experts_null"] == 1.5
    # The first row runs experts 0 and 1 for a, and 1, 2 and 3 for b; the second 0, and 1, 2 and 3.
    assert found["experts_per_row"] == 4
    # Of the four examples of both targets 2, 3, 2 and 2 use the experts: mean 9/4, variance 3/16.
    assert found["pooled_load_cv2"] == pytest.approx(3 / 16 / (81 / 16))
    # Their weights add up to 1.5, 0.95, 0.55 and 0.9: mean 0.975.
    squares = sum((w - 0.975) ** 2 for w in (1.5, 0.95, 0.55, 0.9)) / 4
    assert found["pooled_importance_cv2"] == pytest.approx(squares / 0.975**2)


def test_a_gate_without_k_has_no_metric_of_k() -> None:
    found = selection_metrics(WEIGHTS, k=None)
    assert not {"at_most_k", "exactly_k"} & set(found)
    assert found["shared_experts_null"] == 1.5, "which is of what targets rely on"


def test_balance_over_all_targets_tells_spread_from_crowd() -> None:
    """Within a target one of four experts is as uneven as can be either way: 3."""
    spread, crowd = one_hot([[0], [1], [2], [3]], 4), one_hot([[0]] * 4, 4)
    found = [selection_metrics(weights, k=1) for weights in (spread, crowd)]
    assert [f["load_cv2"] for f in found] == [f["importance_cv2"] for f in found] == [3, 3]
    for name in ("pooled_load_cv2", "pooled_importance_cv2"):
        assert [f[name] for f in found] == [0, pytest.approx(3)]
    assert [f["experts_per_row"] for f in found] == [4, 1]
    assert [f["experts_per_example"] for f in found] == [1, 1]


@pytest.mark.parametrize(("targets", "expected"), [(2, 3.75), (8, 10.5), (32, 15.8)])
def test_experts_a_row_of_independent_choices(targets: int, expected: float) -> None:
    """One expert is missed by all T targets with chance (1 - 2/n)^T: n (1 - (1 - 2/n)^T) run."""
    random, experts, rows = np.random.default_rng(0), 16, 4_000
    chosen = random.random((targets, rows, experts)).argsort(2) < 2
    found = selection_metrics(chosen / 2, k=2)["experts_per_row"]
    formula = experts * (1 - (1 - 2 / experts) ** targets)
    assert formula == pytest.approx(expected, abs=0.03)
    assert found == pytest.approx(formula, abs=0.1)


def test_the_null_is_what_random_supports_share() -> None:
    """Of 8 experts one target relies on 6 and one on 3: 18/8, not 2 x 2 / 8."""
    random, shared = np.random.default_rng(0), []
    for _ in range(4_000):
        order = random.random((2, 8)).argsort(1)
        supports = np.stack([order[0] < 6, order[1] < 3])
        found = overlap_metrics(supports)
        shared.append(found["shared_experts"])
    assert found["shared_experts_null"] == 18 / 8
    assert np.mean(shared) == pytest.approx(18 / 8, abs=0.05)


KNOWN = np.array([[True, False], [True, True]])


def test_rows_of_which_a_target_is_not_known_do_not_count() -> None:
    found = selection_metrics(WEIGHTS, k=2, targets=["a", "b"], known=KNOWN)
    assert found["a/experts_per_example"] == 2, "of the first row alone"
    assert found["experts_per_example"] == 2.5
    assert found["a/exactly_k"] == 1
    assert found["a/entropy"] == pytest.approx(math.log(2))
    assert found["a/load_cv2"] == found["a/importance_cv2"] == 1, "1, 1, 0, 0"
    # The second row runs what b weighs: 1, 2 and 3.
    assert found["experts_per_row"] == 3.5
    # Three examples count, of which 1, 3, 2 and 2 use the experts.
    assert found["pooled_load_cv2"] == pytest.approx((1 + 1) / 4 / 4)
    assert found["shared_experts"] == 1


def test_a_row_without_any_known_target_does_not_count() -> None:
    known = np.array([[True, False], [True, False]])
    found = selection_metrics(WEIGHTS, k=2, known=known)
    assert found["experts_per_row"] == 4
    assert found == selection_metrics(WEIGHTS[:, :1], k=2)
    nobody = np.array([[False, False], [True, True]])
    assert selection_metrics(WEIGHTS, k=2, known=nobody, targets=["a"])["a/entropy"] == (
        pytest.approx(math.log(2) / 2)
    ), "a target that is never known is measured on all rows"


def test_changes_are_of_known_rows() -> None:
    before, after = torch.zeros(1, 2, 2), torch.zeros(1, 2, 2)
    before[0, :, 0] = after[0, 0, 0] = after[0, 1, 1] = 1
    assert weight_change(before, after) == support_flips(before, after) == 1
    first = torch.tensor([[True, False]])
    assert weight_change(before, after, first) == support_flips(before, after, first) == 0


def test_dead_experts_are_dead_for_every_target() -> None:
    only = np.zeros((2, 3, 4))
    only[0, :, 0] = only[1, :, 1] = 1
    assert selection_metrics(only, k=1)["dead_experts"] == 2


def test_gap_between_related_and_unrelated_targets() -> None:
    supports = np.array([[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1], [0, 1, 1, 0]], dtype=bool)
    found = overlap_metrics(supports, [0, 0, 1, 1])
    # Pairs: 01 related 1; 23 related 1/3; 02 0, 03 1/3, 12 0, 13 1/3.
    assert found["jaccard_related"] == pytest.approx((1 + 1 / 3) / 2)
    assert found["jaccard_unrelated"] == pytest.approx(1 / 6)
    assert found["jaccard_gap"] == pytest.approx(2 / 3 - 1 / 6)


def one_hot(rows: list[list[int]], num_experts: int) -> np.ndarray:
    weights = np.zeros((len(rows), 1, num_experts))
    for target, experts in enumerate(rows):
        weights[target, 0, experts] = 1 / len(experts)
    return weights


def recovered(rows: list[list[int]], num_experts: int, truth: list[set[int]]) -> dict[str, float]:
    mean = one_hot(rows, num_experts)[:, 0]
    return recovery_metrics(mean, regular_supports(mean), truth)


def test_recovery_up_to_the_order_of_experts() -> None:
    truth = [{0, 1}, {0, 1}, {2, 3}]
    perfect = recovered([[3, 5], [3, 5], [0, 2]], 6, truth)
    assert perfect == {"precision": 1, "recall": 1, "f1": 1, "exact_recovery": 1}
    half = recovered([[3], [3], [0, 2]], 6, truth)
    assert (half["precision"], half["recall"]) == (1, pytest.approx(4 / 6))
    assert half["exact_recovery"] == pytest.approx(1 / 3)
    all_of_them = recovered([[0, 1, 2, 3]] * 3, 4, truth)
    assert (all_of_them["precision"], all_of_them["recall"]) == (0.5, 1)
    fewer_experts = recovered([[0], [0], [1]], 2, truth)
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
    apart = one_hot([[0], [0], [1], [1]], 3)[:, 0]
    assert group_agreement(apart, [5, 5, 2, 2]) == 1
    assert group_agreement(apart, [0, 1, 0, 1]) < 0.1


def test_what_is_equal_in_truth_is_0() -> None:
    """Means of equal overlaps, and shares of 1/7, differ by rounding."""
    targets, groups = 10, [0] * 3 + [1] * 7
    weights = np.zeros((targets, 1, targets + 1))
    weights[:, :, 0] = weights[np.arange(targets), :, np.arange(targets) + 1] = 0.5
    found = selection_metrics(weights, k=None, truth_groups=groups)
    assert found["jaccard"] == pytest.approx(1 / 3) and found["jaccard_gap"] == 0
    found = selection_metrics(np.full((2, 1, 7), 1 / 7), k=None)
    assert found["importance_cv2"] == found["pooled_importance_cv2"] == 0


def test_groups_are_seen_where_every_target_uses_every_expert() -> None:
    """Where supports are all alike the gap is 0, whatever the weights."""
    groups = [0, 1, 0, 1]
    rows = [[0.26, 0.24, 0.25, 0.25], [0.24, 0.26, 0.25, 0.25]]
    weights = np.array([rows[g] for g in groups])[:, None, :]
    found = selection_metrics(weights, k=None, truth_groups=groups)
    assert (found["jaccard"], found["jaccard_gap"], found["group_agreement"]) == (1, 0, 1)
    alike = np.full((4, 1, 4), 0.25)
    found = selection_metrics(alike, k=None, truth_groups=groups)
    assert (found["jaccard_gap"], found["group_agreement"]) == (0, 0), "there is nothing to see"


def test_stability() -> None:
    rows = [[0], [1]], [[0], [1, 2]]
    before, after = (torch.from_numpy(one_hot(each, 3)) for each in rows)
    assert float(weight_change(before, after)) == pytest.approx(0.5)  # 0 and 1, averaged
    assert support_flips(before, after) == 0.5
    assert weight_change(before, before) == support_flips(before, before) == 0


def test_seeds_agree_up_to_the_order_of_experts() -> None:
    first = np.array([[0.9, 0.1, 0], [0, 0.2, 0.8]])
    assert seed_agreement([first, first[:, [2, 0, 1]]]) == pytest.approx(1)
    assert seed_agreement([first, np.full((2, 3), 1 / 3)]) < 0.9
    assert math.isnan(seed_agreement([first]))


def test_members_at_once_are_each_alone() -> None:
    draws = torch.Generator().manual_seed(0)
    weights = torch.rand(5, 3, 40, 4, generator=draws).relu()
    weights = torch.where(weights > 0.4, weights, 0)
    known = torch.rand(3, 40, generator=draws) > 0.5
    for counted in (None, known):
        together = usage_of(weights, 2, counted).members()
        for own, usage in zip(weights, together, strict=True):
            assert usage_metrics(usage) == selection_metrics(own, k=2, known=counted)
