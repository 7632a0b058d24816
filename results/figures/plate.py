"""A figure of a review with what is said beside it, and what the sections of a report share."""

from __future__ import annotations

import re
from typing import NamedTuple

from matplotlib.figure import Figure

from gatelab.results.comparison.score_grids import by_mean
from gatelab.results.figures.panels import MOST_TOGETHER
from gatelab.results.review import Review
from gatelab.tracking.schema import Metrics

NOT_EVALUATED = "Nothing has been evaluated yet."


class Plate(NamedTuple):
    """A figure for a page, or the reason why there is none."""

    name: str
    """Of its file, and unique."""
    title: str
    caption: str
    """How to read it, in one sentence; without a figure why not."""
    figure: Figure | None
    note: str = ""
    """What exactly is drawn."""


def plate(
    name: str, title: str, figure: Figure | None, caption: str, absent: str, note: str = ""
) -> Plate:
    """Return a plate whose caption says why it is absent where there is no figure."""
    return Plate(name, title, absent if figure is None else caption, figure, note)


def best_gates(review: Review) -> list[str]:
    """Return a few gates: those of the lowest test loss, or before any the first ones."""
    found = by_mean(review.comparison, Metrics.TEST_LOSS) or review.comparison.tested
    return [gate for gate in found if gate in review.comparison.tested][:MOST_TOGETHER]


def others_said(review: Review) -> str:
    """Return what is said of the lines that stand behind those of a panel."""
    return " Grey: all other gates." if len(review.comparison.tested) > MOST_TOGETHER else ""


def file_name(gate: str) -> str:
    """Return a gate's name as a part of a file's."""
    return re.sub(r"[^\w.-]", "_", gate)
