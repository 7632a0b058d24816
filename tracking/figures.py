"""Figures: the only file that draws."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from tracking.comparison import Comparison

MOST_NUMBERS = 200
"""Up to so many cells a heatmap says its numbers."""


def weights_heatmap(
    weights: npt.NDArray[np.floating], targets: Sequence[str], title: str
) -> Figure:
    """Draw the mean weight that every target gives every expert, ``(targets, num_experts)``."""
    rows, columns = weights.shape
    figure = Figure(
        figsize=(2.2 + 0.55 * columns, 1.4 + max(0.18, 0.5 - rows / 100) * rows), dpi=120
    )
    axes = figure.add_subplot()
    image = axes.imshow(
        weights, cmap="Blues", vmin=0, vmax=max(float(weights.max()), 1e-9), aspect="auto"
    )
    axes.set_xticks(range(columns), [str(i) for i in range(columns)])
    axes.set_yticks(range(rows), targets, fontsize=9 if rows <= 32 else 6)
    axes.set_xlabel("expert")
    axes.set_title(title, fontsize=10)
    if rows * columns <= MOST_NUMBERS:
        for (row, column), value in np.ndenumerate(weights):
            color = "white" if value > 0.6 * weights.max() else "black"
            axes.text(
                column, row, f"{value:.2f}", ha="center", va="center", color=color, fontsize=8
            )
    figure.colorbar(image, ax=axes, label="mean weight")
    figure.tight_layout()
    return figure


def comparison_plot(comparison: Comparison, metric: str = "test/loss") -> Figure:
    """Draw a metric's mean and 95% interval by gate."""
    figure = Figure(figsize=(6, 1.2 + 0.5 * len(comparison.gates)), dpi=120)
    axes = figure.add_subplot()
    for row, gate in enumerate(comparison.gates):
        score = comparison.score(gate, metric)
        if score is not None:
            half = np.nan_to_num(score.high - score.mean)
            axes.errorbar(score.mean, row, xerr=half, fmt="o", capsize=4, color="tab:blue")
    axes.set_yticks(range(len(comparison.gates)), comparison.gates)
    axes.set_ylim(len(comparison.gates) - 0.5, -0.5)
    axes.set_xlabel(f"{metric.replace('/', ' ')}: mean and 95% interval over seeds")
    axes.set_title(comparison.sweep, fontsize=10)
    axes.grid(axis="x", alpha=0.3)
    figure.tight_layout()
    return figure


def save(figure: Figure, path: str | Path) -> None:
    """Write a figure as a PNG file."""
    figure.savefig(path)
