"""Figures where gates lack cells: they show what tables and tests have, never other means."""

from __future__ import annotations

import math

import numpy as np
import pytest
from matplotlib.figure import Figure

from gatelab.results.comparison import compare_runs
from gatelab.results.figures.scores import difference_panels
from gatelab.results.figures.targets import target_means, targets_figure
from gatelab.results.review import target_table
from gatelab.tracking.runs import SweepRecord
from tests.recorded_scores import Score, recorded

LOSS = "test/loss"
ORACLE = {"oracle": "ceiling"}


def _points(drawn: Figure | None) -> list[list[float]]:
    """Return what a figure's first panel has as dots, a list for each row."""
    assert drawn is not None
    lines = (line for line in drawn.axes[0].lines if line.get_marker() == ".")
    return [np.asarray(line.get_xdata()).tolist() for line in lines]


def test_differences_are_over_the_splits_that_both_gates_have() -> None:
    """The second split's losses are higher by 1; a gate without it is not better.

    Of the first repeat b is 0.1 behind on the one split that it has, of the second 0.2 and 0.4 on
    two: 0.3.
    """
    scores: list[Score] = [("a", r, s, 2 * r, {LOSS: 1.0 + s + r}) for r in (0, 1) for s in (0, 1)]
    scores += [("b", 0, 0, 0, {LOSS: 1.1})]
    scores += [("b", 1, 0, 2, {LOSS: 2.2}), ("b", 1, 1, 2, {LOSS: 3.4})]
    comparison = compare_runs(recorded(scores))
    assert comparison.leader(LOSS) == "b", "by the mean of what it has"
    (points,) = _points(difference_panels(comparison))
    assert points == pytest.approx([-0.1, -0.3])
    assert np.mean(points) == pytest.approx(comparison.tests[0].difference)


def test_what_single_precision_cannot_tell_is_no_difference() -> None:
    scores: list[Score] = [
        (gate, 0, 0, seed, {LOSS: 1.0 + seed + (1e-8 + 0.5 * (seed == 2)) * (gate == "b")})
        for gate in "ab"
        for seed in range(3)
    ]
    (points,) = _points(difference_panels(compare_runs(recorded(scores))))
    assert points == [0, 0, pytest.approx(0.5)]


def _by_target(lost: bool = True, targets: int = 4) -> SweepRecord:
    """b is behind a by 0.05 everywhere, and lacks two of three seeds of the second split."""
    return recorded(
        (gate, 0, split, seed, {LOSS: 4 * (1 + split + more)} | own)
        for split in range(2)
        for seed in range(3)
        for gate, more in (("a", 0.0), ("b", 0.05))
        if not (lost and gate == "b" and split == 1 and seed > 0)
        for own in [{f"test/t{target}/loss": 1 + split + more for target in range(targets)}]
    )


def test_targets_by_gates_have_the_means_of_the_table() -> None:
    """By split: (1 + 2) / 2 and (1.05 + 2.05) / 2; over runs b had (3 x 1.05 + 2.05) / 4 = 1.3."""
    record = _by_target()
    comparison = compare_runs(record)
    found = target_means(target_table(record), comparison, "val/loss", ["a", "b"])
    for one in found:
        np.testing.assert_allclose(one.means, [1.5, 1.55])
        assert one.best.tolist() == [True, False]
        for gate, mean in zip("ab", one.means, strict=True):
            score = comparison.score(gate, f"test/{one.name}/loss")
            assert score is not None and score.mean == mean
        # Both deviate by 1 from one split to the other: 0.5 around the mean, sqrt(0.5).
        np.testing.assert_allclose(one.behind, [0, 0.05 / math.sqrt(0.5)])


def test_few_targets_have_a_dot_for_each_unit() -> None:
    record = _by_target(targets=2)
    drawn = targets_figure(target_table(record), compare_runs(record))
    first, second = _points(drawn)
    assert (first, second) == (pytest.approx([1, 2]), pytest.approx([1.05, 2.05]))


def test_a_ceiling_is_never_the_best_of_a_target() -> None:
    """It is 2 ahead of a, which is 1 ahead of b: of one seed in shares of the widest gap."""
    scores: list[Score] = [
        (gate, 0, 0, 0, {LOSS: 4 * loss} | {f"test/t{i}/loss": loss for i in range(4)})
        for gate, loss in (("a", 3.0), ("b", 4.0), ("oracle", 1.0))
    ]
    record = recorded(scores, ORACLE)
    comparison = compare_runs(record)
    found = target_means(target_table(record), comparison, "val/loss", ["a", "b", "oracle"])
    for one in found:
        assert one.best.tolist() == [True, False, False] and one.behind.tolist() == [0, 1, 0]
    drawn = targets_figure(target_table(record), comparison)
    assert drawn is not None
    bold = {text.get_text() for text in drawn.axes[0].texts if text.get_fontweight() == "bold"}
    assert bold == {"3.000"}


def test_level_gates_are_both_the_best() -> None:
    scores: list[Score] = [
        (gate, 0, 0, 0, {LOSS: loss} | {f"test/t{i}/loss": loss for i in range(4)})
        for gate, loss in (("a", 0.3), ("b", 0.1 + 0.2))
    ]
    record = recorded(scores)
    found = target_means(target_table(record), compare_runs(record), "val/loss", ["a", "b"])
    assert all(one.best.all() for one in found)


def test_a_gate_of_which_a_seed_is_undefined_has_no_mean_and_a_metric_that_nobody_has_is_none() -> (
    None
):
    scores: list[Score] = []
    for gate, values in {"a": [0.7, 0.8], "b": [math.nan, 0.9]}.items():
        for seed, value in enumerate(values):
            own = {f"test/t{i}/auroc": value for i in range(3)} | {"test/t3/auroc": math.nan}
            own |= {f"test/t{i}/accuracy": 0.5 + 0.1 * seed for i in range(4)}
            scores.append((gate, 0, 0, seed, {LOSS: 1.0} | own))
    record = recorded(scores)
    table, comparison = target_table(record), compare_runs(record)
    first, *_, last = target_means(table, comparison, "val/mean/auroc", ["a", "b"])
    np.testing.assert_allclose(first.means, [0.75, math.nan])
    assert first.best.tolist() == [True, False]
    assert last.name == "t3 (accuracy)" and last.means.tolist() == pytest.approx([0.55, 0.55])
