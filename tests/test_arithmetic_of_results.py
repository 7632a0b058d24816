"""A comparison in numbers worked out by hand: differences, pairs, leaders, summaries, pictures."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from gatelab.results.comparison import Comparison, compare_runs, inference
from gatelab.results.comparison.best_trials import Better, best_trials
from gatelab.results.comparison.differences import differences
from gatelab.results.comparison.inference import pairwise, smallest_difference
from gatelab.results.comparison.ranking import rank_gates
from gatelab.results.comparison.score_grids import score_grid
from gatelab.results.comparison.statistics import smallest_effect
from gatelab.results.comparison.tables import brief, number
from gatelab.results.comparison.verdict import sentences
from gatelab.results.costs import costs, trained_seconds
from gatelab.results.figures import courses, selection
from gatelab.results.figures.scores import cost_panels
from gatelab.results.report.page_grids import cost_grids
from gatelab.results.review import read_review
from gatelab.sweeps.driver.record.run_words import directions
from gatelab.tasks import DigitsPairs, SyntheticGroups
from gatelab.tracking.runs import RunRecord, SweepRecord
from gatelab.tracking.schema import Directions

LOSS = "test/loss"


def run(stage: str, gate: str, metrics: Mapping[str, float], **tags: str) -> RunRecord:
    found = {"stage": stage, "gate": gate, "task": "t", "end": "finished", **tags}
    return RunRecord("id", "name", "FINISHED", {}, metrics, found)


def compared(losses: Mapping[str, Mapping[int, float]], metric: str = LOSS) -> Comparison:
    """Compare gates by their values on seeds."""
    runs = [run("sweep", "", {}, **{"metrics.higher": "r2"})]
    runs += [
        run("evaluate", gate, {metric: value}, seed=str(seed))
        for gate, values in losses.items()
        for seed, value in values.items()
    ]
    return compare_runs(SweepRecord("s", tuple(runs)))


def test_single_precision_is_taken_out_of_each_difference() -> None:
    """Of 2,000 a millionth is 0.002: less than that is none, more is left alone.

    The unit is of the pair's larger value, on either side and of either sign.
    """
    theirs = [1999.9985, 1000.0, 1.0]
    ours = [2000.0, 2000.0, 1.0015]
    for sign in (1, -1):
        first, second = [sign * x for x in ours], [sign * x for x in theirs]
        apart = pytest.approx([0, sign * 1000, sign * 0.0015], abs=1e-12)
        assert differences(first, second).tolist() == apart
        assert (-differences(second, first)).tolist() == apart
    apart = differences([2000.0, 2000.0, 3.5], [1999.9975, 1000.0, 3.0]).tolist()
    assert apart == pytest.approx([0.0025, 1000, 0.5])
    small = differences([1e-9, 3e-9], [2e-9, 5e-9]).tolist()
    assert small == pytest.approx([-1e-9, -2e-9]), "small values have small units"


def test_means_within_single_precision_lead_together() -> None:
    near, far = 0.5 * (1 + 8e-7), 0.5 * (1 + 2e-6)
    assert compared({"a": {0: near}, "b": {0: 0.5}, "c": {0: far}}).leaders(LOSS) == ["a", "b"]
    higher = compared({"a": {0: near}, "b": {0: 0.5}, "c": {0: far}}, "test/mean/r2")
    assert higher.leaders("test/mean/r2") == ["c"], "and b and c are not within it of each other"


def test_directions_are_the_metrics_own() -> None:
    """A sweep records them with its run, for whoever compares it."""
    task = SyntheticGroups(num_targets=2)
    names = ("r2", "mse", "mae", "rmse", "accuracy", "f1", "auroc")
    assert directions(task, names) == Directions(("r2",), ("mae", "mse", "rmse"))
    assert directions(task, None) == Directions(("r2",), ("rmse",))
    assert directions(DigitsPairs(), names) == Directions(("accuracy", "f1"))


def test_pairs_with_one_seed_in_common_are_not_tested_and_not_corrected_for() -> None:
    """a and b have three seeds in common, a and c two, b and c one: two tests, not three.

    Of a - b = -1, -2, -6: mean -3, deviation sqrt(7); of a - c = -4 and -6: sqrt(2).
    """
    comparison = compared(
        {
            "a": {0: 1.0, 1: 2.0, 2: 3.0, 3: 3.0},
            "b": {0: 2.0, 1: 4.0, 2: 9.0},
            "c": {2: 7.0, 3: 9.0},
        }
    )
    assert inference.testable(comparison, LOSS) == 2
    least = smallest_difference(comparison, LOSS, "a", "b")
    assert least == pytest.approx(7**0.5 * smallest_effect(3, 2))
    assert least > 1.1 * 7**0.5 * smallest_effect(3, 1)
    pairs = {(p.first, p.second): p for p in pairwise(comparison, LOSS)}
    assert pairs["a", "b"].difference == pytest.approx(-3)
    assert (pairs["a", "c"].n, pairs["a", "c"].smallest) == (
        2,
        pytest.approx(2**0.5 * smallest_effect(2, 2)),
    )
    # -3 / sqrt(7 / 3) = -1.964 with 2 degrees of freedom: p = 1 - t / sqrt(2 + t^2).
    t = 3 / (7 / 3) ** 0.5
    p_ab = 1 - t / (2 + t * t) ** 0.5
    # -5 / (sqrt(2) / sqrt(2)) = -5 with 1: p = 1 - 2 / pi atan(t).
    p_ac = 1 - 2 / np.pi * np.arctan(5)
    assert (pairs["a", "b"].p, pairs["a", "c"].p) == pytest.approx((p_ab, p_ac))
    assert pairs["a", "c"].p_holm == pytest.approx(2 * p_ac)
    assert pairs["a", "b"].p_holm == pytest.approx(max(p_ab, 2 * p_ac))
    tests = {(t.first, t.second): t for t in comparison.tests}
    assert tests["a", "c"].p_holm == pytest.approx(2 * p_ac)
    assert (tests["b", "c"].n, tests["b", "c"].difference) == (1, 2)
    limits = [line for line in sentences(comparison) if line.startswith("With ")]
    assert [line.startswith("With 2 to 3 seeds ") for line in limits] == [True, True]


def test_a_p_value_of_the_level_itself_is_not_significant() -> None:
    comparison = compared({"a": {0: 1.0, 1: 2.0}, "b": {0: 3.0, 1: 5.0}})
    (test,) = comparison.tests
    assert [replace(test, p_holm=p).significant for p in (0.0499, 0.05)] == [True, False]
    assert [Better("a", "b", p).significant for p in (0.0499, 0.05)] == [True, False]


@pytest.mark.parametrize(("seeds", "apart"), [(7, 0.7), (10, 0.3), (10, 1 / 3)])
def test_differences_that_are_the_same_have_no_spread_to_plan_by(seeds: int, apart: float) -> None:
    """In floating point their deviation is 1e-16, which told of a difference of 1e-16 to find."""
    first = {seed: 0.5 + 0.017 * seed for seed in range(seeds)}
    comparison = compared({"a": first, "b": {seed: x + apart for seed, x in first.items()}})
    assert math.isnan(smallest_difference(comparison, LOSS, "a", "b"))
    assert not any("a true difference" in line for line in sentences(comparison))


def test_pairs_are_ranked_by_the_precision_of_the_values() -> None:
    """Of 1, 2, -2 and 2 rows of 200: the last three are level as they are, not as rounded.

    The sizes rank 1 and, three times, 3. The negative one has 3 of 10: so little have 5 of the 16
    choices of signs, and as many the positive ones. The sum is 3, as far from 0 as in 10 of them.
    """
    rows = {"a": [191, 182, 150, 154], "b": [190, 180, 152, 152]}
    accuracies = {
        gate: {seed: float(np.float32(n) / np.float32(200)) for seed, n in enumerate(found)}
        for gate, found in rows.items()
    }
    (pair,) = pairwise(compared(accuracies, "test/mean/r2"), "test/mean/r2")
    assert pair.p_wilcoxon == pair.p_permutation == 10 / 16


def test_no_gate_is_better_by_rounding() -> None:
    comparison = compared({"a": {0: 0.1, 1: 0.2, 2: 0.3}, "b": {0: 0.3, 1: 0.2, 2: 0.1}})
    first, second = comparison.scores
    assert first.mean != second.mean, "in floating point one is"
    (pair,) = pairwise(comparison, LOSS)
    assert (pair.better, math.isnan(pair.p_welch)) == ("", True)


def test_the_better_gate_is_so_over_all_its_seeds() -> None:
    """On the seeds in common a is lower by 1, over all of its own it is higher by 2."""
    comparison = compared({"a": {0: 1.0, 1: 2.0, 2: 9.0}, "b": {0: 2.0, 1: 3.0}})
    (pair,) = pairwise(comparison, LOSS)
    assert (pair.n, pair.difference, pair.better) == (2, -1, "b")


def test_a_seed_that_still_runs_is_not_lost() -> None:
    ends = ("finished", "failed", "", "finished", "failed", "failed")
    runs = [run("evaluate", "a", {LOSS: 1.0}, seed=str(i), end=e) for i, e in enumerate(ends)]
    (budget,) = compare_runs(SweepRecord("s", tuple(runs))).budgets
    assert (budget.evaluated, budget.lost) == (2, 3)


def test_seeds_too_few_for_ranks_and_signs() -> None:
    """Of 2 seeds their smallest p is 2 / 2^2; three times that is no more than 1."""
    comparison = compared({g: {0: i + 1.0, 1: i + 2.5 * i} for i, g in enumerate("abc")})
    (said,) = (line for line in sentences(comparison) if "smallest p" in line)
    assert "(their smallest p is 0.5, 1 corrected for 3 pairs)" in said


@pytest.mark.parametrize(
    ("half", "text"),
    [
        (50, "12 ± 50"),
        (5, "12.3 ± 5.0"),
        (0.5, "12.35 ± 0.50"),
        (0.05, "12.346 ± 0.050"),
        (0.0005, "12.346 ± 0.001"),
        (0, "12.35"),
        (np.nan, "12.35"),
    ],
)
def test_a_mean_has_the_digits_that_its_interval_leaves(half: float, text: str) -> None:
    assert number(12.3456, half) == text


@pytest.mark.parametrize(
    ("mean", "half", "text"),
    [
        (0.954, 0.0051, "0.954 ± 0.005"),
        (0.35, 0.00034, "0.35000 ± 0.00034"),
        (0.000533, 0.00123, "0.0005 ± 0.0012"),
        (0.000533, 0.00012, "0.00053 ± 0.00012"),
        (0.000994, 0.00012, "0.00099 ± 0.00012"),
        (-0.0004, 0.0003, "-0.00040 ± 0.00030"),
        (-0.0004, 0.05, "0.000 ± 0.050"),
        (0.0000533, 0.000012, "(5.3 ± 1.2)e-5"),
        (-1.23e-6, 3e-5, "(-0.1 ± 3.0)e-5"),
        (4.5e12, 1.2e11, "(4.50 ± 0.12)e12"),
        (8688, 84, "8,688 ± 84"),
        (0.000533, np.nan, "0.000533"),
        (0.3, 1e-17, "0.3"),
        (0.0, 5e-324, "0"),
    ],
)
def test_a_small_mean_is_told_from_another_and_from_nothing(
    mean: float, half: float, text: str
) -> None:
    """Losses of 0.0005 and 0.001 once were both 0.001 ± 0.001, and 0.0004 was 0.000 ± 0.000."""
    assert number(mean, half) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.91, "0.910"), (0, "0.000"), (12.3456, "12.35"), (0.0005333, "0.00053"), (5e-5, "5e-05")],
)
def test_a_narrow_cell_has_two_digits_of_its_number(value: float, text: str) -> None:
    assert brief(value) == text


@pytest.mark.parametrize(("trials", "best"), [(29, 1), (31, 2), (69, 3), (71, 4)])
def test_best_trials_are_the_nearest_number_to_a_twentieth(trials: int, best: int) -> None:
    """1.45, 1.55, 3.45 and 3.55 of the losses 1, 2, 3 and so on; one of three was pruned."""
    runs = [
        run("search", "a", {"val/loss": float(i)}, end="pruned" if i % 3 == 0 else "finished")
        for i in range(1, trials + 1)
    ]
    (summary,) = best_trials([SweepRecord("s", tuple(runs))]).summaries
    finished = [1, 2, 4, 5][:best]
    assert (summary.trials, summary.values) == (trials, tuple(map(float, finished)))
    assert summary.mean == pytest.approx(sum(finished) / best)
    if best == 3:  # 1, 2 and 4: deviations -4/3, -1/3 and 5/3
        assert summary.error == pytest.approx(((16 + 1 + 25) / 9 / 2 / 3) ** 0.5)


def test_three_gates_on_four_tasks() -> None:
    """Friedman's chi2 = 12 N / (k (k + 1)) sum (R - (k + 1) / 2)^2; of 2 degrees p = e^(-chi2 / 2).

    Three gates in the same order on four tasks: 12 x 4 / 12 x (1 + 0 + 1) = 8.
    """
    ranking = rank_gates({f"t{i}": {"a": 1.0, "b": 2.0, "c": 3.0} for i in range(4)}, LOSS, -1)
    assert ranking.friedman == pytest.approx(np.exp(-4))
    apart = {(p.first, p.second): p.difference for p in ranking.pairs}
    assert apart == {("a", "b"): -1, ("a", "c"): -2, ("b", "c"): -1}
    assert [(p.first, p.second) for p in ranking.significant] == [("a", "c")]


WEIGHTS = [  # gate, seed, target, group, expert, weight, load
    *[("a", "0", "x", None, e, w, u) for e, (w, u) in enumerate([(0.5, 1.0), (0.5, 0.6), (0, 0)])],
    *[("a", "0", "y", None, e, w, u) for e, (w, u) in enumerate([(0, 0), (0.96, 1), (0.04, 0.2)])],
    *[("a", "1", "x", None, e, w, u) for e, (w, u) in enumerate([(0, 0), (0, 0), (1, 0.4)])],
    *[("a", "1", "y", None, e, w, u) for e, (w, u) in enumerate([(0, 0), (0, 0), (1, 1.0)])],
]


def test_overlap_and_load_are_means_over_seeds() -> None:
    """Of the first seed x relies on 0 and 1, y on 1 alone, for 4% is too little: 1 of 2 experts.

    Of the second seed both rely on 2. Means over targets of the loads are 0.5, 0.8 and 0.1, and
    then 0, 0 and 0.7, each from the highest on.
    """
    columns = ["gate", "seed", "target", "group", "expert", "weight", "load"]
    table = pd.DataFrame(WEIGHTS, columns=columns)
    drawn, loads = selection.overlap(table, ["a"]), selection.load_curves(table, ["a"])
    assert drawn is not None and loads is not None
    overlap = np.asarray(drawn.axes[0].images[0].get_array())
    np.testing.assert_allclose(overlap, [[1, (1 / 2 + 1) / 2], [(1 / 2 + 1) / 2, 1]])
    (line,) = loads.axes[0].lines
    np.testing.assert_allclose(np.asarray(line.get_ydata()), [1.5 / 2, 0.5 / 2, 0.1 / 2])


def test_a_course_is_the_mean_of_what_is_finite() -> None:
    rows = [("a", str(seed), 1, "val/loss", v) for seed, v in enumerate([1, 2, 6, np.inf, np.nan])]
    columns = ["gate", "seed", "epoch", "metric", "value"]
    found = courses.summary(pd.DataFrame(rows, columns=columns), "val/loss")["a"]
    assert found.to_dict("list") == {"mean": [3], "min": [1], "max": [6], "count": [3]}


def test_costs_are_of_seeds_that_finished() -> None:
    """Of 1 and 2 seconds: 1.5, and t(0.975, 1) = 12.706 times a deviation over sqrt(2) of 0.5."""
    ends = [("0", "finished", 1.0), ("1", "finished", 2.0), ("2", "failed", 99.0)]
    runs = [
        run("evaluate", "a", {"time/train_seconds": s, "model/parameters": 51210.0}, seed=n, end=e)
        for n, e, s in ends
    ]
    record = SweepRecord("s", tuple(runs))
    comparison = compare_runs(record)
    assert costs(comparison)["time/train_seconds"] == {"a": {"0": 1.0, "1": 2.0}}
    (grid,) = cost_grids(comparison, record)
    assert grid.rows == [["a", "1.7 min", "1.5 ± 6.4", "51,210"]], "102 s in all: failures cost too"


def test_a_cost_whose_mean_is_whole_has_its_interval() -> None:
    """Of 7004, 7004, 5404, 7004 and 3804: 6044 ± 2.776 x 1431.1 / sqrt(5)."""
    counts = [7004.0, 7004.0, 5404.0, 7004.0, 3804.0]
    own = "model/active_parameters"
    runs = [run("evaluate", "a", {own: count}, seed=str(i)) for i, count in enumerate(counts)]
    record = SweepRecord("s", tuple(runs))
    (grid,) = cost_grids(compare_runs(record), record)
    assert grid.rows[0][-1] == "6,044 ± 1,777"


def test_costs_over_splits_of_the_same_rows_have_the_corrected_interval() -> None:
    """Of 10 to 14 seconds: 12 ± 2.776 x 1.581 x sqrt(1/5 + 1/4) = 2.945; 1.96 if independent."""
    own = "time/train_seconds"
    runs = [
        run("evaluate", "a", {own: 10.0 + i}, seed="0", split_seed=str(i), test_to_train="0.25")
        for i in range(5)
    ]
    record = SweepRecord("s", tuple(runs))
    comparison = compare_runs(record)
    (grid,) = cost_grids(comparison, record)
    assert grid.rows[0][-1] == "12.0 ± 2.9" == score_grid(comparison, [own]).rows[0][1]
    drawn = cost_panels(comparison)
    assert drawn is not None
    lines = [np.asarray(line.get_xdata()) for line in drawn.axes[0].lines]
    (ends,) = (places for places in lines if len(places) == 2)
    np.testing.assert_allclose(ends, [12 - 2.945, 12 + 2.945], atol=0.001)


def test_training_in_all_is_of_every_member_also_of_trials_that_were_pruned() -> None:
    """Of three members a trial: 3 x (2 + 0.5) + 4 seconds of a; of b 3 x 1."""
    own = "time/train_seconds"
    runs = [
        RunRecord("id", "s", "", {"search.seeds": "3"}, {}, {"stage": "sweep"}),
        run("search", "a", {own: 2.0}),
        run("search", "a", {own: 0.5}, end="pruned"),
        run("search", "a", {}, end="failed"),
        run("evaluate", "a", {own: 4.0}),
        run("search", "b", {own: 1.0}),
    ]
    record = SweepRecord("s", tuple(runs))
    assert [trained_seconds(record, gate) for gate in ("a", "b", "c")] == [11.5, 3.0, None]
    assert trained_seconds(record) == 14.5


def test_curves_end_with_the_last_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    """One step after it stands what the best weights gave."""
    ended = run("evaluate", "a", {"val/loss": 0.5}, seed="3", **{"end.epoch": "2"})
    review = "gatelab.results.review"
    record = SweepRecord("s", (ended,))
    monkeypatch.setattr(f"{review}.read_sweep", lambda *_, **__: record)
    monkeypatch.setattr(f"{review}.history", lambda *_: [(1, 0.9), (2, 0.6), (3, 0.5)])
    rows = read_review("uri", "s").curves.to_numpy().tolist()
    assert rows == [["a", "3", 1, "val/loss", 0.9], ["a", "3", 2, "val/loss", 0.6]]
