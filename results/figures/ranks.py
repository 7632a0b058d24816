"""Ranks over tasks: the critical-difference diagram."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import offset_copy

from gatelab.results.comparison.ranking import LEAST_GATES, LEAST_TASKS, Ranking
from gatelab.results.figures.labels import LINE, TITLE_LETTER, lines, wrapped
from gatelab.results.figures.style import INK, WIDTH, looks, whole

ROW = 0.28
"""Inches of height for a gate's name."""
GAP = 3
"""Points between a gate's line and its name."""


def critical_differences(ranking: Ranking) -> Figure:
    """Draw mean ranks; a bar joins gates that do not differ significantly.

    Raises:
        ValueError: If the ranks could not be tested.

    Source: Demšar, Statistical Comparisons of Classifiers over Multiple Data Sets, 2006;
    scikit-posthocs draws.
    """
    from scikit_posthocs import critical_difference_diagram  # here: it takes a second to import

    if not ranking.tested:
        raise ValueError(
            f"A diagram of ranks needs {LEAST_TASKS} tasks and {LEAST_GATES} gates that all of "
            f"them have, but got ({len(ranking.ranks)}, {len(ranking.mean_ranks)})."
        )
    names = {gate: wrapped(gate) for gate in ranking.mean_ranks}
    row = max(ROW, LINE * lines([*names]) + 0.03)
    figure = Figure(layout="constrained")
    axes, look = figure.add_subplot(), looks([*names])
    drawn = critical_difference_diagram(
        {names[gate]: rank for gate, rank in ranking.mean_ranks.items()},
        _p_values(ranking).rename(index=names, columns=names),
        ax=axes,
        color_palette={names[gate]: look[gate].color for gate in names},
        text_h_margin=0.01 * len(names),
        label_fmt_left="{label} ({rank:.3g})",
        label_fmt_right="({rank:.3g}) {label}",
        crossbar_props={"color": INK},
    )
    for label in drawn["labels"]:
        _set_beside_its_line(figure, label)
    rows = -min(label.get_position()[1] for label in drawn["labels"])
    figure.set_size_inches(WIDTH, 0.9 + row * rows)
    axes.margins(x=0)  # names begin where the axis ends, however short a layout makes it
    whole(axes.xaxis)
    figure.suptitle(wrapped(_title(ranking), int(WIDTH / TITLE_LETTER)), fontsize=9)
    return figure


def _set_beside_its_line(figure: Figure, label: Text) -> None:
    """Set a label a little off its line, in ink: small letters need more contrast than lines."""
    label.set_color(INK)
    aside = -GAP if label.get_horizontalalignment() == "right" else GAP
    label.set_transform(offset_copy(label.get_transform(), figure, aside, units="points"))


def _title(ranking: Ranking) -> str:
    return (
        f"{ranking.metric.replace('/', ' ')}: mean rank over {len(ranking.ranks)} tasks, 1 is "
        f"best; bars join gates that do not differ (CD {ranking.critical_difference:.3g})"
    )


def _p_values(ranking: Ranking) -> pd.DataFrame:
    """Return Nemenyi's p-values; without Friedman's significance no pair differs."""
    gates = list(ranking.mean_ranks)
    found = pd.DataFrame(1.0, index=gates, columns=gates)
    for pair in ranking.significant:
        found.loc[pair.first, pair.second] = found.loc[pair.second, pair.first] = pair.p
    return found
