"""Several tasks: ranks, their tests, what is said and drawn of them."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from matplotlib.text import Text
from scipy import stats

from gatelab.results.comparison.rank_report import rank_grid, rank_sentences
from gatelab.results.comparison.ranking import Ranking, critical_difference, rank_gates
from gatelab.results.comparison.tables import markdown
from gatelab.results.figures.ranks import critical_differences
from gatelab.results.figures.style import lay_out, save_figure

BY_TASK = {
    "t1": {"a": 0.1, "b": 0.2, "c": 0.3},
    "t2": {"a": 0.1, "b": 0.3, "c": 0.2},
    "t3": {"a": 0.2, "b": 0.2, "c": 0.5},
}


def many(tasks: int, gates: int) -> Ranking:
    """Return a ranking in which gates differ clearly."""
    random = np.random.default_rng(0)
    return rank_gates(
        {f"t{t}": {f"g{g}": g + 0.5 * random.normal() for g in range(gates)} for t in range(tasks)},
        "test/loss",
        -1,
    )


def test_ranks_by_hand() -> None:
    ranking = rank_gates(BY_TASK, "test/loss", -1)
    assert ranking.ranks["t2"] == {"a": 1, "c": 2, "b": 3}
    assert ranking.ranks["t3"] == {"a": 1.5, "b": 1.5, "c": 3}, "level gates share ranks"
    assert ranking.mean_ranks == pytest.approx({"a": 3.5 / 3, "b": 6.5 / 3, "c": 8 / 3})
    assert ranking.gates == ("a", "b", "c")


@pytest.mark.parametrize("direction", [-1, 1])
def test_gates_that_single_precision_cannot_tell_apart_are_level(direction: int) -> None:
    """As in a comparison, where c is level with the best, and d with c but not with the best."""
    first, last = (0.1 + 0.2 + 0.3) / 3, (0.3 + 0.2 + 0.1) / 3  # `sum` rounds once since 3.12
    assert first != last
    c, d = (0.2 * (1 - direction * share) for share in (7e-7, 1.4e-6))
    means = {"a": first, "b": last, "c": c, "d": d, "e": 0.2 - 0.1 * direction}
    ranking = rank_gates({f"t{i}": means for i in range(3)}, "test/mean/r2", direction)
    assert ranking.mean_ranks == {"a": 2, "b": 2, "c": 2, "d": 4, "e": 5}
    best = [row[0] for row in rank_grid(ranking).rows if "**" in row[1]]
    assert best == ["a", "b", "c"]
    assert rank_sentences(ranking)[0].startswith("a, b and c have the best mean rank")


def test_more_can_be_better() -> None:
    assert rank_gates(BY_TASK, "test/mean/f1", 1).gates[0] == "c"


def test_friedman_is_scipys() -> None:
    ranking = rank_gates(BY_TASK, "test/loss", -1)
    columns = ([BY_TASK[t][g] for t in BY_TASK] for g in "abc")
    assert ranking.friedman == pytest.approx(stats.friedmanchisquare(*columns).pvalue)


def test_nemenyi_is_the_studentized_range() -> None:
    ranking = many(6, 4)
    for pair in ranking.pairs:
        first, second = ranking.mean_ranks[pair.first], ranking.mean_ranks[pair.second]
        assert pair.difference == pytest.approx(first - second)
        q = abs(first - second) / math.sqrt(4 * 5 / (6 * 6))
        p = stats.studentized_range.sf(q * math.sqrt(2), 4, np.inf)
        assert pair.p == pytest.approx(p, abs=1e-6)
        assert (pair.p < 0.05) == (abs(pair.difference) > ranking.critical_difference)
    assert 0 < len(ranking.significant) < len(ranking.pairs)


@pytest.mark.parametrize(
    ("gates", "q"), [(2, 1.960), (3, 2.343), (4, 2.569), (5, 2.728), (10, 3.164)]
)
def test_critical_difference_is_demsars(gates: int, q: float) -> None:
    """Table 5(a) of his paper; and its example, four classifiers on fourteen sets: 1.25."""
    scale = math.sqrt(gates * (gates + 1) / (6 * 20))
    assert critical_difference(gates, 20) / scale == pytest.approx(q, abs=1.5e-3)
    assert critical_difference(4, 14) == pytest.approx(1.25, abs=0.005)


def test_all_level() -> None:
    level = {"a": 1.0, "b": 1.0, "c": 1.0}
    ranking = rank_gates({"t1": level, "t2": level}, "test/loss", -1)
    assert ranking.friedman == 1
    assert rank_sentences(ranking)[0].startswith("a, b and c have the best mean rank by test loss")


def test_gates_that_some_task_lacks_have_no_rank() -> None:
    values = {"t1": {"a": 1.0, "b": 2.0, "d": 0.5}, "t2": {"b": 1.0, "a": 2.0, "c": math.nan}}
    ranking = rank_gates(values, "test/loss", -1)
    assert ranking.ranks["t1"] == {"a": 1, "b": 2}, "d, which t2 lacks, takes no rank from them"
    assert set(ranking.gates) == {"a", "b", "d"}
    assert not ranking.tested
    assert rank_sentences(ranking) == [
        "a and b have the best mean rank by test loss, 1.5 over 2 tasks.",
        "d has no score on t2, so it has no rank.",
        "The ranks are not tested: that takes 2 tasks and 3 gates that all of them have, but "
        "there are 2 and 2.",
    ]
    row = next(row for row in rank_grid(ranking).rows if row[0] == "d")
    assert row == ("d", "0.5", "-", "-")


def test_no_gate_that_all_tasks_have() -> None:
    values = {"t1": {"a": 1.0, "b": 2.0}, "t2": {"c": 1.0}, "t3": {"a": 1.0}, "t4": {}}
    assert rank_sentences(rank_gates(values, "test/loss", -1)) == [
        "t4 has no test loss yet, so the ranks are without it.",
        "No gate has a score on each of t1, t2 and t3, so none has a rank.",
    ]


def test_a_task_without_scores_waits() -> None:
    ranking = rank_gates({**BY_TASK, "t4": {}}, "test/loss", -1)
    assert ranking.mean_ranks == rank_gates(BY_TASK, "test/loss", -1).mean_ranks
    said = rank_sentences(ranking)
    assert said[0] == "a has the best mean rank by test loss, 1.17 over 3 tasks."
    assert said[1] == "t4 has no test loss yet, so the ranks are without it."
    assert not rank_gates({"t1": {}, "t2": {}}, "test/loss", -1).gates


def test_one_task_is_said_as_one() -> None:
    said = rank_sentences(rank_gates({"t1": BY_TASK["t1"], "t2": {}}, "test/loss", -1))
    assert said[0] == "a has the best mean rank by test loss, 1 over 1 task."


def test_what_two_tasks_cannot_show_is_said() -> None:
    ranking = rank_gates({t: BY_TASK["t1"] for t in ("t1", "t2")}, "test/loss", -1)
    assert not ranking.decidable
    assert rank_sentences(ranking)[-1] == (
        "2 tasks are too few: mean ranks must be 2.34 apart to differ significantly (Nemenyi), "
        "and those of 3 gates are never more than 2 apart."
    )


def test_sentences_name_the_pairs_that_differ() -> None:
    said = rank_sentences(many(12, 3))
    assert said[1].startswith("The gates' ranks differ (Friedman's test, p < 0.001).")
    assert said[2].startswith("Mean ranks more than 0.957 apart differ significantly (Nemenyi): g0")


def test_no_pair_differs_where_friedman_finds_nothing() -> None:
    """Though the ranks of a and d are further apart than the critical difference."""
    orders = ("cabd", "acbd", "abcd", "abdc")
    ranking = rank_gates(
        {f"t{i}": {g: float(order.index(g)) for g in "abcd"} for i, order in enumerate(orders)},
        "test/loss",
        -1,
    )
    assert ranking.mean_ranks["d"] - ranking.mean_ranks["a"] > ranking.critical_difference
    assert ranking.friedman > 0.05
    assert ranking.significant == []
    assert rank_sentences(ranking)[1:] == [
        "The gates' ranks do not differ significantly (Friedman's test, p = 0.058), so no pair "
        "is singled out."
    ]


def test_a_grid_has_the_shorter_side_across() -> None:
    few, wide = rank_grid(many(2, 4)), rank_grid(many(9, 4))
    assert (few.columns[0], few.columns[-1], len(few.rows)) == ("gate", "mean rank", 4)
    assert (wide.columns[0], wide.rows[-1][0], len(wide.rows)) == ("task", "mean rank", 10)
    assert "| **-0" in markdown(few) or "| **0" in markdown(few), "the best is bold"
    assert "(1)" in few.rows[0][1]


def test_frame() -> None:
    frame = many(2, 3).to_frame()
    assert list(frame.columns) == ["task", "metric", "gate", "mean", "rank", "mean_rank"]
    assert len(frame) == 6
    lone = rank_gates({"t1": {"a": 1.0}, "t2": {"b": 1.0}}, "test/loss", -1).to_frame()
    assert lone["rank"].isna().all()


@pytest.mark.parametrize("gates", [3, 16])
def test_diagram(gates: int, tmp_path: Path) -> None:
    ranking = many(8, gates)
    figure = critical_differences(ranking)
    texts = {text.get_text() for text in figure.axes[0].texts}
    assert any(text.startswith("g0 (") for text in texts), "the best is on the left"
    assert len(texts) == gates
    save_figure(figure, tmp_path / "ranks.png")
    assert (tmp_path / "ranks.png").read_bytes().startswith(b"\x89PNG")


def test_nothing_of_a_diagram_leaves_it() -> None:
    """A title over the narrow axis that long names leave was longer than the figure."""
    names = [f"a_package_of_mine.gates_of_mine:a_gate_with_a_name_{index}" for index in range(8)]
    losses = {f"t{task}": {g: 0.1 * i * task for i, g in enumerate(names)} for task in range(1, 9)}
    figure = critical_differences(rank_gates(losses, "test/mean/two_against_two", -1))
    lay_out(figure)
    whole = figure.bbox.padded(1)
    texts = [text for text in figure.findobj(Text) if text.get_text() and text.get_visible()]
    assert len(texts) > len(names)
    for text in texts:
        box = text.get_window_extent()
        assert whole.x0 <= box.x0 and box.x1 <= whole.x1, text.get_text()
    assert figure.axes[0].get_window_extent().width > 0.3 * whole.width, (
        "of the axis is enough left"
    )


def test_a_diagram_joins_all_where_friedman_finds_nothing() -> None:
    level = rank_gates({**BY_TASK, "t4": {"a": 3, "b": 2, "c": 1}}, "test/loss", -1)
    lines = critical_differences(level).axes[0].lines
    bars = [line for line in lines if len(set(np.asarray(line.get_ydata()))) == 1]
    assert [len(np.asarray(bar.get_xdata())) for bar in bars] == [3]


def test_no_diagram_without_a_test() -> None:
    with pytest.raises(ValueError, match=r"needs 2 tasks and 3 gates .* got \(1, 3\)"):
        critical_differences(rank_gates({"t1": BY_TASK["t1"]}, "test/loss", -1))
