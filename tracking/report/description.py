"""The description of a sweep's run, which MLflow renders above everything else."""

from __future__ import annotations

from tracking.comparison import Comparison
from tracking.comparison.grids import score_grid
from tracking.comparison.tables import markdown
from tracking.comparison.verdict import sentences

MOST_CHARACTERS = 7500
"""MLflow cuts a tag at 8,000, in the middle of a table."""


def description(comparison: Comparison) -> str:
    """Return the verdict in words and the table, in Markdown."""
    verdict = "\n".join(f"- {sentence}" for sentence in sentences(comparison))
    grid = score_grid(comparison)
    parts = [
        f"## {grid.title}",
        verdict,
        markdown(grid).rstrip(),
        f"*{grid.caption.replace('*', chr(92) + '*')}*",
        "The whole report, with figures: **report.html** under *Artifacts*. The gates' runs lie "
        "inside this one in the experiment's table; select them to compare them side by side.",
    ]
    text = "\n\n".join(parts)
    if len(text) > MOST_CHARACTERS:
        del parts[2:4]
        text = "\n\n".join(parts)[:MOST_CHARACTERS]
    return text
