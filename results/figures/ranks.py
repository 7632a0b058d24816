"""Ranks over tasks: the critical-difference diagram."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from gatelab.results.comparison.ranking import LEAST_GATES, LEAST_TASKS, Ranking
from gatelab.results.figures.style import INK, WIDTH, looks, whole

ROW = 0.28
"""Inches of height for a gate's name."""


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
    figure = Figure(figsize=(WIDTH, 1.2 + ROW * len(ranking.mean_ranks)), layout="constrained")
    axes = figure.add_subplot()
    look = looks(list(ranking.mean_ranks))
    drawn = critical_difference_diagram(
        dict(ranking.mean_ranks),
        _p_values(ranking),
        ax=axes,
        color_palette={gate: look[gate].color for gate in ranking.mean_ranks},
        text_h_margin=0.01 * len(ranking.mean_ranks),
        label_fmt_left="{label} ({rank:.3g})",
        label_fmt_right="({rank:.3g}) {label}",
        crossbar_props={"color": INK},
    )
    for label in drawn["labels"]:
        label.set_color(INK)  # a gate's colour is for lines: small letters need more contrast
    whole(axes.xaxis)
    axes.set_title(
        f"{ranking.metric.replace('/', ' ')}: mean rank over {len(ranking.ranks)} tasks, 1 is "
        f"best; bars join gates that do not differ (CD {ranking.critical_difference:.3g})",
        pad=18,
    )
    return figure


def _p_values(ranking: Ranking) -> pd.DataFrame:
    """Return Nemenyi's p-values; without Friedman's significance no pair differs."""
    gates = list(ranking.mean_ranks)
    found = pd.DataFrame(1.0, index=gates, columns=gates)
    for pair in ranking.significant:
        found.loc[pair.first, pair.second] = found.loc[pair.second, pair.first] = pair.p
    return found
