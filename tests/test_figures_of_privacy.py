"""What privacy costs, drawn: by hand, and in a report where anything is private alone."""

from __future__ import annotations

from dataclasses import replace

import pytest
from made_reviews import small

from gatelab.results.comparison import Comparison, compare_runs
from gatelab.results.figures.catalogue import all_figures
from gatelab.results.figures.privacy import deltas, privacy
from gatelab.tracking.runs import RunRecord, SweepRecord

SPENT = {"noisy": 0.5, "less_noisy": 8.0}
LOSSES = {"noisy": (0.4, 0.6), "less_noisy": (0.2, 0.4), "open": (0.1, 0.3), "joint": (0.7, 0.9)}


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    """Two private gates, one that is not but learns so too, and one of another learner."""
    runs = [RunRecord("s", "s", "FINISHED", {}, {}, {"stage": "sweep", "end": "finished"})]
    for gate, losses in LOSSES.items():
        told = {} if gate == "joint" else {"learner/spread": 1.0}
        if gate in SPENT:
            told |= {"learner/epsilon_pld": SPENT[gate], "learner/delta": 0.05}
        for seed, loss in enumerate(losses):
            tags = {"stage": "evaluate", "gate": gate, "seed": str(seed), "end": "finished"}
            metrics = {"test/loss": loss, **told}
            runs.append(RunRecord("e", "e", "FINISHED", {"gate": gate}, metrics, tags))
    return compare_runs(SweepRecord("s", tuple(runs)))


def test_a_private_gate_is_a_point_and_one_that_is_not_a_line(comparison: Comparison) -> None:
    drawn = privacy(comparison)
    assert drawn is not None
    (axes,) = drawn.axes
    points = {line.get_label(): line.get_xydata().tolist() for line in axes.lines}
    assert points["noisy"] == [pytest.approx([0.5, 0.5])]
    assert points["less_noisy"] == [pytest.approx([8.0, 0.3])]
    assert [y for _, y in points["open, not private"]] == pytest.approx([0.2, 0.2])
    named = {str(name) for name in points if not str(name).startswith("_")}
    assert named == {"noisy", "less_noisy", "open, not private"}
    assert deltas(comparison) == "0.05"


def test_without_a_private_gate_there_is_none(comparison: Comparison) -> None:
    scores = tuple(it for it in comparison.scores if it.metric != "learner/epsilon_pld")
    assert privacy(replace(comparison, scores=scores)) is None


def test_a_report_has_it_where_anything_is_private(comparison: Comparison) -> None:
    review = small()
    assert "privacy" not in [plate.name for plate in all_figures(review)]
    plates = {it.name: it for it in all_figures(replace(review, comparison=comparison))}
    assert plates["privacy"].note.endswith("at delta = 0.05. Dashed: the mean of gates that learn "
                                           "by the same learner without privacy.")  # fmt: skip
