"""The verdict: its first line is the answer, and nothing is praised that baselines equal."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest
from compared import HIGH, LOSS, LOW, MIDDLE, ROUGH, compared
from scipy import stats

from gatelab.results.comparison import compare_runs, inference
from gatelab.results.comparison.equivalence import equivalences
from gatelab.results.comparison.evidence import chance_better
from gatelab.results.comparison.inference import pairwise, smallest_difference
from gatelab.results.comparison.score_grids import score_grid
from gatelab.results.comparison.verdict import sentences
from gatelab.tracking.runs import RunRecord, SweepRecord

ALONE = "Undecided: top_k is the only gate with a test loss."


@pytest.mark.parametrize(
    ("losses", "metric", "line"),
    [
        (
            {"top_k": LOW, "softmax": MIDDLE},
            LOSS,
            "top_k wins: its test loss is significantly lower than that of every other gate.",
        ),
        (
            {"top_k": LOW, "softmax": MIDDLE},
            "test/mean/r2",
            "softmax wins: its test mean/r2 is significantly higher than that of every other gate.",
        ),
        (
            {"top_k": LOW, "softmax": MIDDLE, "single": HIGH},
            LOSS,
            "top_k wins: its test loss is significantly lower than that of every other gate and "
            "baseline.",
        ),
        (
            {"top_k": LOW, "single": HIGH},
            LOSS,
            "top_k wins: its test loss is significantly lower than that of every baseline.",
        ),
        (
            {"top_k": LOW, "softmax": ROUGH},
            LOSS,
            "Undecided: top_k's test loss is not significantly lower than that of softmax.",
        ),
        (
            {"top_k": LOW, "softmax": MIDDLE, "random_k": ROUGH},
            LOSS,
            "Undecided: top_k's test loss is not significantly lower than that of random_k.",
        ),
        (
            {"top_k": ROUGH, "softmax": MIDDLE, "random_k": LOW},
            LOSS,
            "No gate wins: the baseline random_k has the lowest test loss.",
        ),
        (
            {"top_k": MIDDLE, "softmax": HIGH, "random_k": LOW},
            LOSS,
            "No gate wins: the baseline random_k has a significantly lower test loss.",
        ),
        ({"top_k": LOW}, LOSS, ALONE),
        (
            {"top_k": LOW, "softmax": MIDDLE, "single": []},
            LOSS,
            "top_k wins: its test loss is significantly lower than that of every other gate.",
        ),
        ({"top_k": LOW, "oracle": HIGH}, LOSS, ALONE),
        ({"top_k": HIGH, "oracle": LOW}, LOSS, ALONE),
        ({"top_k": LOW, "softmax": [], "oracle": HIGH}, LOSS, ALONE),
        (
            {"top_k": LOW, "softmax": [math.nan] * 4, "d": [math.inf] * 4, "single": ROUGH},
            LOSS,
            "Undecided: top_k's test loss is not significantly lower than that of softmax and d.",
        ),
        (
            {"single": LOW, "random_k": ROUGH},
            LOSS,
            "Undecided: no gate that selects has a test loss.",
        ),
        (
            {"top_k": MIDDLE, "softmax": HIGH, "oracle": LOW},
            LOSS,
            "top_k wins: its test loss is significantly lower than that of every other gate.",
        ),
    ],
)
def test_the_first_line_is_the_answer(
    losses: Mapping[str, Sequence[float]], metric: str, line: str
) -> None:
    comparison = compared(losses, metric=metric)
    assert sentences(comparison, metric)[0] == line


@pytest.mark.parametrize("margin", [None, 0.5])
@pytest.mark.parametrize("other", ["higher", "lower"])
def test_a_ceiling_makes_nobody_one_of_two(other: str, margin: float | None) -> None:
    """A gate or a baseline beside it alone is the only one, wherever such are counted."""
    for gate, role in (("top_k", "gate"), ("single", "baseline")):
        mine, best = (MIDDLE, HIGH if other == "higher" else LOW)
        said = sentences(compared({gate: mine, "oracle": best}), margin=margin)
        assert said[-2].startswith(f"{gate} is the only {role} with a test loss: 0.2167 (95%")
        assert said[-1].startswith(f"oracle's is {other} by ")
        lowest = sentences(compared({gate: mine, "mine": HIGH, "oracle": best}), margin=margin)
        assert any(line.startswith(f"{gate} has the lowest test loss, 0.2167") for line in lowest)


def test_within_a_margin_baselines_are_compared_where_nobody_is_a_gate() -> None:
    losses = {"single": LOW, "random_k": [x + d for x, d in zip(LOW, [1, 2, 1, 3], strict=True)]}
    near = {"single": LOW, "random_k": [x + 0.001 * i for i, x in enumerate(LOW)], "oracle": HIGH}
    said = sentences(compared(near), margin=0.5)
    (test,) = equivalences(compared(near), LOSS, 0.5)
    assert test.p_holm < 0.05 and said[0].startswith("random_k is as good as single within 50%: ")
    said = sentences(compared(losses), margin=0.5)
    assert said[:2] == [
        "No gate wins: the baseline single has a significantly lower test loss.",
        "No other baseline is shown to be as good as single within 50%.",
    ]
    for gate in ([], [math.nan] * 4):  # who is no answer, as only gates are then asked about
        said = sentences(compared({"top_k": gate, **near}), margin=0.5)
        assert said[1] == "No gate is shown to be as good as another within 50%."


def test_what_is_not_finite_is_not_counted_as_tested() -> None:
    """Holm's correction is of one pair, a and b; those of c, and of d with one seed, are none."""
    losses = {"a": ROUGH, "b": LOW, "c": [0.3, math.nan, 0.3, 0.2], "d": [0.3]}
    comparison = compared(losses)
    assert inference.testable(comparison, LOSS) == 1
    assert comparison.tests[0].p_holm == comparison.tests[0].p
    assert math.isnan(chance_better(comparison.tests[1], "a", -1))
    least = smallest_difference(comparison, LOSS, "a", "b")
    assert least == smallest_difference(compared({"a": ROUGH, "b": LOW}), LOSS, "a", "b")
    limits = [line for line in sentences(comparison) if line.startswith("With ")]
    assert limits[1].endswith("(their smallest p is 0.125).")
    few = compared({"a": LOW, "b": [*ROUGH[:3]], "c": [math.nan] * 4})
    assert all(line.startswith("With 3 seeds ") for line in sentences(few) if "With " in line)
    none = sentences(compared({"a": LOW, "c": [math.nan] * 4}))
    assert not any(line.startswith("With ") for line in none)


def test_a_gate_that_is_no_better_than_a_baseline_is_not_praised() -> None:
    losses = {
        "top_k": LOW,
        "softmax": ROUGH,
        "random_k": [x + 0.001 * i for i, x in enumerate(ROUGH)],
    }
    said = sentences(compared(losses))
    assert not any("wins" in line for line in said)
    assert "top_k is not significantly better than the baseline random_k." in said
    alike = sentences(compared(losses), margin=0.5)
    assert alike[0].startswith("softmax is as good as top_k within 50%: ")
    assert alike[1] == "top_k is not significantly better than the baseline random_k."
    assert not any("random_k is as good" in line for line in alike), "it is no gate"


def test_another_metric_changes_no_order() -> None:
    losses, extra = {"a": ROUGH, "b": LOW}, {"gate/entropy": [0.0] * 4, "test/a/loss": [0.0] * 4}
    assert sentences(compared(losses, extra=extra))[0] == (
        "Undecided: b's test loss is not significantly lower than that of a."
    )


def test_as_good_as_within_a_margin() -> None:
    near = [x + 0.0002 * i for i, x in enumerate(LOW)]
    comparison = compared({"dselect_k": near, "softmax": LOW, "top_k": HIGH})
    said = sentences(comparison, margin=0.01)
    assert said[0].startswith(
        "dselect_k is as good as softmax within 1%: the difference in test loss is less than 0.001"
    )
    assert said[0].endswith(" after Holm's correction).")
    narrow = sentences(comparison, margin=0.0001)
    assert narrow[0].startswith("Undecided: ")
    assert narrow[1] == "No other gate is shown to be as good as softmax within 0.01%."
    worse = [x + 0.0002 * i for i, x in enumerate(HIGH)]
    behind = sentences(compared({"a": LOW, "b": HIGH, "c": worse}), margin=0.01)
    assert behind[1] == "No other gate is shown to be as good as a within 1%.", "b and c are level"
    won = sentences(compared({"a": LOW, "b": MIDDLE}), margin=2)
    assert won[0].startswith("a wins") and won[1].startswith("b is as good as a within 200%")
    with pytest.raises(ValueError, match="--margin must be above 0"):
        sentences(comparison, margin=0.0)


@pytest.mark.parametrize(
    ("used", "kept", "k", "line"),
    [
        ([7.9] * 4, [0.0] * 4, "1", "d did not become sparse: 7.9 experts an example, its k is 1."),
        (
            [1.9] * 4,
            [0.98] * 4,
            "2",
            "d did not become sparse: 1.9 experts an example, and 2.0% of the examples use more "
            "than its k.",
        ),
        (
            [7.9] * 4,
            [0.25] * 4,
            "",
            "d did not become sparse: 7.9 experts an example, and 75.0% of the examples use more "
            "than its k.",
        ),
        ([1.0] * 4, [0.99] * 4, "1", ""),
    ],
)
def test_a_gate_that_did_not_keep_its_k_is_said_first(
    used: list[float], kept: list[float], k: str, line: str
) -> None:
    extra = {"gate/experts_per_example": used, "gate/at_most_k": kept}
    said = sentences(compared({"d": LOW, "e": MIDDLE}, k=k, extra=extra))
    assert said[0] == (line or said[0]) and said[bool(line)].startswith("d wins")
    assert not any("sparse" in text for text in said[bool(line) :])


def test_a_gate_that_settled_before_epoch_2_is_warned_of() -> None:
    early = {"gate/settled_epoch": [1, 1, 3, 2]}
    losses = {"dselect_k": LOW, "top_k": MIDDLE}
    warning = (
        "Warning: dselect_k settled before epoch 2 on 2 of 4 seeds: it chose its experts before "
        "they had learnt anything to be chosen by."
    )
    assert warning in sentences(compared(losses, extra=early, hardens=["dselect_k"]))
    late = {"gate/settled_epoch": [2, 9, 3, 2]}
    for extra, hardens in ((early, ["top_k"]), (late, ["dselect_k"])):
        said = sentences(compared(losses, extra=extra, hardens=hardens))
        assert not any("settled" in line for line in said), "top_k is sparse from the start"


def test_a_gate_that_became_sparse_when_it_had_overfitted_is_warned_of() -> None:
    rise = {"gate/rise_while_dense": [0.1, 0.39, 0.3, 0.0]}
    losses = {"dselect_k": LOW, "top_k": [*MIDDLE, 0.2]}  # of a seed more, which is not dselect_k's
    warning = (
        "Warning: dselect_k became sparse after it had begun to overfit on 2 of 4 seeds: before "
        "that its val loss rose by up to 39% from its lowest. A lower `training.max_epochs` makes "
        "it sparse sooner."
    )
    assert warning in sentences(compared(losses, extra=rise, hardens=["dselect_k"]))
    little = {"gate/rise_while_dense": [0.1, 0.07, 0.1, 0.0]}
    said = sentences(compared(losses, extra=little, hardens=["dselect_k"]))
    assert not any("overfit" in line for line in said)


def test_chances_are_of_students_posterior() -> None:
    """The mean's posterior is t around the one seen, in standard errors."""
    comparison = compared({"a": ROUGH, "b": LOW, "oracle": HIGH})
    (test, *_) = comparison.tests
    apart = np.subtract(ROUGH, LOW)
    below = stats.t.cdf(-apart.mean() / (apart.std(ddof=1) / 2), 3)
    assert chance_better(test, "a", -1) == pytest.approx(below)
    assert chance_better(test, "b", -1) == pytest.approx(1 - below)
    assert chance_better(test, "a", 1) == pytest.approx(1 - below)
    (said,) = (line for line in sentences(comparison) if line.startswith("P("))
    assert said.startswith(f"P(b better than a) = {1 - below:.2f} (Student's posterior")
    assert not any(line.startswith("P(") for line in sentences(compared({"a": [1.0], "b": [2.0]})))


def test_it_says_on_what_it_rests() -> None:
    counts = {"search/finished": 2.0, "search/pruned": 8.0, "search/failed": 0.0}
    said = sentences(compared({"a": LOW, "b": MIDDLE}, counts=counts))
    assert "2 of 10 trials of each gate were trained to the end." in said
    assert (
        "The verdict speaks of these configurations, found by one search each, on one split, with "
        "4 seeds: how scores vary over searches and splits is not seen."
    ) in said
    old = sentences(compared({"a": LOW, "b": MIDDLE}))
    assert not any("trained to the end" in line for line in old), "of which nothing is recorded"


@pytest.mark.parametrize(
    ("ends", "line"),
    [
        ([(2, 8), (2, 8)], "2 of 8 trials of each gate were"),
        ([(0, 8), (0, 8)], "0 of 8 trials of each gate were"),
        ([(1, 8), (1, 8)], "1 of 8 trials of each gate was"),
        ([(1, 1), (1, 1)], "1 of 1 trial of each gate was"),
        ([(0, 1), (0, 1)], "0 of 1 trial of each gate was"),
        ([(2, 8)], "2 of 8 trials of g0 were"),
        ([(2, 8), (4, 16), (2, 8)], "Of the trials, 2 of 8 (g0, g2) and 4 of 16 (g1) were"),
        (
            [(2, 8), (3, 8), (4, 8)],
            "Of the trials, 2 of 8 (g0), 3 of 8 (g1) and 4 of 8 (g2) were",
        ),
        ([(2, 8), (5, 8), (3, 8), (4, 8)], "2 to 5 of 8 trials a gate were"),
        (
            [(2, 8), (4, 16), (16, 16), (3, 3), (2, 8)],
            "3 of 3, 2 of 8 and 4 to 16 of 16 trials a gate were",
        ),
    ],
)
def test_trials_are_told_of_as_many_as_the_gates_had(
    ends: Sequence[tuple[int, int]], line: str
) -> None:
    """Sweeps side by side have budgets of their own."""
    comparison = compared({f"g{index}": LOW for index in range(len(ends))})
    budgets = [
        replace(budget, finished=done, pruned=of - done)
        for budget, (done, of) in zip(comparison.budgets, ends, strict=True)
    ]
    said = sentences(replace(comparison, budgets=tuple(budgets)))
    assert f"{line} trained to the end." in said


def test_over_splits_it_speaks_of_splits() -> None:
    losses = {"a": [0.1, 0.2, 0.12, 0.2], "b": [0.2, 0.5, 0.2, 0.6]}
    said = sentences(compared(losses, splits=2, test_to_train="0.5"))
    assert (
        "The verdict speaks of these configurations, found by one search each, on 2 splits, with "
        "2 seeds: how scores vary over searches is not seen."
    ) in said
    assert (
        "Splits of the same rows overlap, so the corrected resampled t-test decides "
        "(variance x (1/2 + 0.5))."
    ) in said
    assert any(line.startswith("With 2 splits a true difference must be") for line in said)
    assert not any("seeds a true" in line or "over 4" in line for line in said)
    plain = sentences(compared(losses, splits=2))
    assert "The split is the unit of the t-test." in plain


def test_baselines_and_ceilings_are_set_apart() -> None:
    comparison = compared({"oracle": LOW, "random_k": HIGH, "top_k": MIDDLE})
    assert comparison.gates == ("top_k", "random_k", "oracle")
    grid = score_grid(comparison)
    assert grid.columns == ("metric", "top_k", "random_k (baseline)", "oracle (ceiling)")
    assert [cell.startswith("**") for cell in grid.rows[0][1:]] == [True, False, False]
    assert grid.rows[0][1].endswith("*")
    assert not comparison.beats_all(LOSS, "oracle")


def test_a_gate_of_the_users_own_may_be_a_baseline() -> None:
    """It is what its run declares; without a word, or with an unknown one, it is a gate."""
    comparison = compared({"mine": LOW, "odd": MIDDLE, "plain": HIGH})
    assert [(s.gate, s.role) for s in comparison.subjects] == [
        ("odd", "gate"),
        ("plain", "gate"),
        ("mine", "baseline"),
    ]
    assert sentences(comparison)[0].startswith("No gate wins: the baseline mine has a ")


AT_ONE_K = {"top_k.k1": "top_k", "top_k.k4": "top_k"}


def test_a_row_is_shown_and_takes_part_in_nothing() -> None:
    """It has the best loss, and changes no word and no p-value of the others."""
    losses = {"top_k": MIDDLE, "softmax": HIGH, "single": [x + 0.1 for x in HIGH]}
    plain = compared(losses)
    found = compared({"top_k.k1": LOW, **losses, "top_k.k4": ROUGH}, rows=AT_ONE_K, k="1")
    assert sentences(found) == sentences(plain)
    assert found.tests == plain.tests
    assert found.gates == ("top_k", "softmax", "top_k.k1", "top_k.k4", "single")
    assert found.tested == ["top_k", "softmax", "single"]
    assert found.leaders(LOSS) == ["top_k"] and not found.beats_all(LOSS, "top_k.k1")
    assert repr(pairwise(found, LOSS)) == repr(pairwise(plain, LOSS))  # with NaN
    assert equivalences(found, LOSS, 0.1) == equivalences(plain, LOSS, 0.1)
    grid = score_grid(found)
    assert grid.columns[3] == "top_k at k = 1" and grid.rows[0][3].startswith("0.115 ±")


def test_rows_of_a_gate_that_two_sweeps_have_are_called_as_the_gate_is() -> None:
    titles = {"top_k (s 1)", "top_k (s 2)", "top_k at k = 1"}
    one = compared({"top_k": LOW, "top_k.k1": LOW}, rows=AT_ONE_K, k="1")
    assert one.subject("top_k.k1").label == "top_k at k = 1"
    tags = {"stage": "gate", "gate": "top_k.k1", "row_of": "top_k"}
    row = RunRecord("g", "g", "", {"gate.k": "1"}, {}, tags)
    gate = RunRecord("g", "g", "", {}, {}, {"stage": "gate", "gate": "top_k"})
    found = compare_runs(SweepRecord("s", (gate, row)), SweepRecord("s", (gate,)))
    assert {subject.label for subject in found.subjects} == titles - {"top_k at k = 1"} | {
        "top_k (s 1) at k = 1"
    }


def test_a_constant_prediction_has_scores_and_nothing_else() -> None:
    """It was not searched, and so no number of trials is said of it."""
    losses = {"top_k": LOW, "softmax": MIDDLE, "constant": [0.5] * 4}
    comparison = compared(losses)
    assert sentences(comparison)[0].endswith("than that of every other gate and baseline.")
    rows = {row[0]: row[1:] for row in score_grid(comparison).rows}
    assert rows["test loss"][2] == "0.5"
    assert rows["finished/pruned/failed"][2] == "-"
    assert not any("0 of 0" in line for line in sentences(comparison))
    assert comparison.conditions[0].searched == 0 and not comparison.budgets[2].searched


def test_epochs_are_a_row_where_they_are_recorded() -> None:
    counts = {"search/finished": 2.0, "search/pruned": 8.0, "search/failed": 0.0}
    row = ["epochs", "75 (7.5 a trial)", "75 (7.5 a trial)"]
    counted = compared({"a": LOW, "b": MIDDLE}, counts={**counts, "search/epochs": 75.0})
    assert score_grid(counted).rows[-2] == row
    assert all(r[0] != "epochs" for r in score_grid(compared({"a": LOW}, counts=counts)).rows)


def test_epochs_are_added_up_over_trials_where_these_are_read() -> None:
    tags = {"stage": "search", "gate": "a", "end": "pruned"}
    trials = [
        RunRecord("t", "t", "FINISHED", {}, {}, {**tags, "end.epoch": epoch}) for epoch in "539"
    ]
    going_on = RunRecord("t", "t", "RUNNING", {}, {}, {**tags, "end": ""})
    (budget,) = compare_runs(SweepRecord("s", (*trials, going_on))).budgets
    assert (budget.epochs, budget.trials) == (17, 3)
    unknown = RunRecord("t", "t", "FINISHED", {}, {}, tags)
    assert compare_runs(SweepRecord("s", (*trials, unknown))).budgets[0].epochs is None
