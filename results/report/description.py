"""The description of a sweep's run, which MLflow renders above everything else."""

from __future__ import annotations

from urllib.parse import quote

from gatelab.results.comparison import Comparison
from gatelab.results.comparison.score_grids import score_grid
from gatelab.results.comparison.tables import markdown
from gatelab.results.comparison.verdict import leading, sentences
from gatelab.results.report.conditions_grid import without_folders
from gatelab.tracking.views import SweepLinks

MOST_CHARACTERS = 7500
"""MLflow cuts a tag at 8,000, in the middle of a table."""
FIRST = 2
"""Of the sentences after the answer those that stand before the picture."""


def description(comparison: Comparison, links: SweepLinks, picture: str = "") -> str:
    """Return the answer, links, a picture, the table and the rest of the verdict, in Markdown.

    Args:
        comparison: Of the sweep.
        links: To the pages of the sweep.
        picture: The path of a figure among the artifacts of the sweep's run; empty: there is none.
    """
    said = [without_folders(sentence) for sentence in sentences(comparison)]
    first = len(leading(comparison))
    grid = score_grid(comparison)
    parts = [
        f"**{said[first - 1]}**",
        _listed([*said[: first - 1], *said[first : first + FIRST]]),
        f"**[Report with all figures]({links.report})** · [The gates in a table]({links.gates})",
        f"![Test scores by gate](get-artifact?path={quote(picture)}&run_uuid={links.run})"
        if picture
        else "",
        _listed(said[first + FIRST :]),
        markdown(grid).rstrip(),
        f"*{grid.caption.replace('*', chr(92) + '*')}*",
    ]
    parts = [part for part in parts if part]
    while len(text := "\n\n".join(parts)) > MOST_CHARACTERS and len(parts) > 1:
        parts.pop()
    return text[:MOST_CHARACTERS]


def _listed(said: list[str]) -> str:
    return "\n".join(f"- {sentence}" for sentence in said)
