"""A constant prediction that is far off leaves the axis to those that are to be compared."""

from __future__ import annotations

import pytest
from compared import HIGH, LOW, MIDDLE, compared
from matplotlib.axes import Axes

from gatelab.results.figures import scores

FAR = [4.5, 4.6, 4.7, 4.6]


def _axes(**losses: list[float]) -> Axes:
    drawn = scores.score_panels(compared(losses))
    assert drawn is not None
    return drawn.axes[0]


def _said(axes: Axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


@pytest.mark.parametrize(
    ("constant", "said"), [(FAR, "4.600 →"), ([-value for value in FAR], "← -4.600")]
)
def test_a_constant_far_off_is_a_number_at_the_edge(constant: list[float], said: str) -> None:
    axes = _axes(top_k=LOW, softmax=MIDDLE, single=HIGH, constant=constant)
    assert _said(axes) == [said]
    low, high = axes.get_xlim()
    assert 0 < low < min(LOW) and max(HIGH) < high < 0.5
    assert axes.get_xscale() == "linear"


def test_a_constant_among_the_others_is_drawn() -> None:
    axes = _axes(top_k=LOW, softmax=HIGH, constant=[0.5, 0.51, 0.52, 0.5])
    assert _said(axes) == [] and axes.get_xlim()[1] > 0.52


def test_a_baseline_that_learns_is_drawn_wherever_it_is() -> None:
    axes = _axes(top_k=LOW, softmax=MIDDLE, single=FAR)
    assert _said(axes) == [] and axes.get_xlim()[1] > 4.6


def test_a_constant_alone_is_drawn() -> None:
    axes = _axes(constant=FAR)
    assert _said(axes) == [] and axes.get_xlim()[1] > 4.6


def test_differences_from_the_best_leave_a_constant_out_too() -> None:
    drawn = scores.difference_panels(compared({"top_k": LOW, "softmax": MIDDLE, "constant": FAR}))
    assert drawn is not None
    assert _said(drawn.axes[0]) == ["4.485 →"]
    assert drawn.axes[0].get_xlim()[0] <= 0 and drawn.axes[0].get_xlim()[1] < 0.5
