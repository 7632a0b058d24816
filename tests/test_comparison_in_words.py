"""A comparison in words: its sentences, and the cells of its tables."""

from __future__ import annotations

import numpy as np
import pytest

from gatelab.results.comparison import Comparison, compare_runs
from gatelab.results.comparison.inference import pairwise, smallest_difference
from gatelab.results.comparison.score_grids import pair_grid, score_grid, shown_metrics
from gatelab.results.comparison.statistics import smallest_effect
from gatelab.results.comparison.tables import Grid, markdown, p_value
from gatelab.results.comparison.verdict import sentences
from gatelab.results.report.page import _meanings
from gatelab.results.report.page_grids import predictive_grids
from gatelab.tracking.runs import SweepRecord
from tests.recorded_losses import LOSSES, many, record, render, run, said


@pytest.fixture
def comparison() -> Comparison:
    return compare_runs(record(LOSSES))


def test_table(comparison: Comparison) -> None:
    text = render(score_grid(comparison))
    assert "0.105 ± 0.021*" in text
    assert all(len(line) <= 100 for line in text.splitlines())
    assert "| test loss | **0.105 ± 0.021*** |" in markdown(score_grid(comparison))
    only = score_grid(comparison, ["gate/entropy"])
    assert [row[0] for row in only.rows][0] == "gate entropy"
    assert not any("loss" in row[0] for row in only.rows)


def test_names_are_no_markup() -> None:
    comparison = compare_runs(record({"[red]a": [0.1, 0.2], "b|c": [0.2, 0.4]}))
    assert "[red]a" in render(score_grid(comparison))
    assert "[red]x" in render(Grid("[b]title", ["[b]column"], [["[red]x"]], "[b]caption"))
    assert "b\\|c" in markdown(score_grid(comparison))


def test_sentences(comparison: Comparison) -> None:
    assert sentences(comparison) == [
        "a wins: its test loss is significantly lower than that of every other gate.",
        "dead has no score: no trial finished: boom.",
        "P(a better than c) = 0.999 and P(a better than b) > 0.999 (Student's posterior of the "
        "mean difference, flat prior).",
        "Of the trials, 1 of 2 (a, b, c) and 0 of 2 (dead) were trained to the end.",
        "The verdict speaks of these configurations, found by one search each, on one split, with "
        "4 seeds: how scores vary over searches and splits is not seen.",
        "With 4 seeds a true difference must be 0.03 from b and 0.065 from c to be found "
        "significant in 4 of 5 repetitions; a smaller one stays hidden more often.",
        "With 4 seeds the paired t-test decides: tests by ranks and by sign flips can never be "
        "significant (their smallest p is 0.125, 0.38 corrected for 3 pairs).",
        "a has the lowest test loss, 0.105 (95% interval 0.08446 to 0.1255), over 4 seeds.",
        "b's is higher by 0.103 (95% interval 0.0873 to 0.118): significant, p < 0.001 after "
        "Holm's correction.",
        "c's is higher by 0.105 (95% interval 0.0719 to 0.138): significant, p = 0.0041 after "
        "Holm's correction.",
    ]
    higher = sentences(comparison, "test/mean/accuracy")[-3:-1]
    assert higher[0].startswith("a has the highest test mean/accuracy, 0.895 (")
    assert higher[1].startswith("b's is lower by 0.102 (95% interval 0.0873 to 0.118): significant")
    assert "no better and worse" in said(comparison, "gate/entropy")
    assert "No gate has a test f1" in said(comparison, "test/f1")


def test_what_could_stay_hidden_is_said() -> None:
    losses = {"a": [0.10, 0.12, 0.11, 0.09, 0.10], "b": [0.10, 0.15, 0.12, 0.08, 0.12]}
    comparison = compare_runs(record(losses))
    spread = np.std(np.subtract(losses["a"], losses["b"]), ddof=1)
    least = smallest_difference(comparison, "test/loss", "a", "b")
    assert least == pytest.approx(spread * smallest_effect(5))
    assert f"With 5 seeds a true difference must be {least:.2g} from b to be" in said(comparison)
    assert "smallest p is 0.0625)." in said(comparison)


def test_six_seeds_are_enough_for_ranks_of_two_gates_but_not_of_three() -> None:
    losses = {
        gate: (0.1 + 0.01 * np.random.default_rng(1).normal(size=6)).tolist() for gate in "ab"
    }
    assert "can never be significant" not in said(compare_runs(record(losses)))
    assert "can never be significant" in said(compare_runs(record({**losses, "c": losses["a"]})))


def test_one_seed_has_no_interval_and_no_test() -> None:
    comparison = compare_runs(record({"a": [0.1], "b": [0.2]}))
    assert "b's is higher by 0.1; one seed cannot tell that from chance." in said(comparison)
    assert "±" not in render(score_grid(comparison)).partition("mean ±")[0]


def test_one_gate_has_nobody_to_beat() -> None:
    comparison = compare_runs(record({"a": [0.1, 0.2]}))
    assert "a is the only gate with a test loss: 0.15 (95% interval" in said(comparison)
    assert not comparison.beats_all("test/loss", "a")


def test_level_gates_share_the_first_place() -> None:
    comparison = compare_runs(record({"a": [0.1, 0.2], "b": [0.2, 0.1], "c": [0.3, 0.5]}))
    assert comparison.leaders("test/loss") == ["a", "b"]
    assert "a and b are level with the lowest test loss, 0.15." in said(comparison)
    row = next(row for row in score_grid(comparison).rows if row[0] == "test loss")
    assert [cell.startswith("**") for cell in row[1:]] == [True, True, False, False]


def test_many_targets_show_means_only() -> None:
    metrics = {f"test/t{i}/r2": 0.5 for i in range(20)} | {"test/loss": 1.0, "test/mean/r2": 0.5}
    runs = (run("evaluate", "a", seed=0, metrics=metrics),)
    comparison = compare_runs(SweepRecord("s", runs))
    assert shown_metrics(comparison) == ["test/loss", "test/mean/r2"]
    assert len(comparison.to_frame()) == 22


def test_a_mean_says_of_how_many_targets_it_is() -> None:
    metrics = {"test/loss": 1.0, "test/mean/auroc": 0.7, "test/mean/f1": 0.6}
    metrics |= {"defined/test/auroc": 28.0, "targets/test/auroc": 29.0}
    runs = [run("evaluate", gate, seed=0, metrics=metrics) for gate in "ab"]
    titles = [row[0] for row in score_grid(compare_runs(SweepRecord("s", tuple(runs)))).rows]
    assert titles[:3] == ["test loss", "test mean/auroc (28 of 29 targets)", "test mean/f1"]
    fewer = run("evaluate", "c", seed=0, metrics={**metrics, "defined/test/auroc": 27.0})
    comparison = compare_runs(SweepRecord("s", (*runs, fewer)))
    assert score_grid(comparison).rows[1][0] == "test mean/auroc (27 to 28 of 29 targets)"
    (grid,) = predictive_grids(comparison)
    assert grid.rows[1][0] == "mean: auroc (27 to 28 of 29 targets)"
    assert [*_meanings([grid], {"auroc": "x", "f1": "y", "r2": "z"})] == [{"auroc": "x", "f1": "y"}]


def test_many_gates_are_rows_with_the_best_first() -> None:
    comparison = many()
    lines = markdown(score_grid(comparison)).splitlines()
    assert lines[0].startswith("| gate | test loss |")
    named = [line.split("|")[1].strip() for line in lines[2:]]
    assert named[:8] == [f"gate{i}" for i in reversed(range(8))]
    assert "dead" in named[8:], "without a score last"
    assert lines[2].split("|")[2].strip().startswith("**0.1")
    assert all(len(line) <= 100 for line in render(score_grid(comparison)).splitlines())
    by_accuracy = score_grid(comparison, ["test/mean/accuracy"]).rows
    assert [row[0] for row in by_accuracy][:8] == named[:8], "the highest first"


def test_many_gates_are_listed_in_a_sentence() -> None:
    assert "After Holm's correction its difference from every other gate is significant." in said(
        many()
    )
    random = np.random.default_rng(0)
    losses = {
        f"g{i}": (0.5 + (0.2 * (i > 6)) + 0.01 * random.normal(size=5)).tolist() for i in range(9)
    }
    verdict = said(compare_runs(record(losses)))
    assert "its difference from g7 and g8 is significant." in verdict
    assert "is not significant." in verdict
    assert "to be found significant in 4 of 5" in verdict


def test_pairs_of_many_gates_are_the_best_ones() -> None:
    comparison = many()
    grid = pair_grid(comparison, "test/loss", pairwise(comparison, "test/loss"))
    assert len(grid.rows) == 7
    assert all("gate7" in row[0] for row in grid.rows)
    assert "Holm's correction for 28 pairs" in grid.caption
    assert all(len(line) <= 100 for line in render(grid).splitlines())


@pytest.mark.parametrize(
    ("p", "text"),
    [(0.0004, "<0.001"), (0.0498, "0.0498"), (0.05, "0.05"), (0.0504, "0.05"), (1, "1")],
)
def test_p_values_are_on_their_side_of_the_level(p: float, text: str) -> None:
    assert p_value(p) == text
