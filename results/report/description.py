"""The description of a sweep's run, which MLflow renders above everything else."""

from __future__ import annotations

import json
from collections.abc import Sequence
from urllib.parse import quote

from gatelab.results.comparison import Comparison
from gatelab.results.comparison.score_grids import score_grid
from gatelab.results.comparison.tables import markdown
from gatelab.results.comparison.verdict import sentences
from gatelab.tracking.mlflow_read import TRAINING
from gatelab.tracking.schema import Artifacts

MOST_CHARACTERS = 7500
"""MLflow cuts a tag at 8,000, in the middle of a table."""


def description(comparison: Comparison, page: str, gate_runs: Sequence[str]) -> str:
    """Return links, the verdict in words and the table, in Markdown.

    Args:
        comparison: Of the sweep.
        page: The part of an address that shows the sweep's run (``mlflow_read.sweep_page``).
        gate_runs: The ids of the gates' runs.
    """
    verdict = [f"- {sentence}" for sentence in sentences(comparison)]
    grid = score_grid(comparison)
    parts = [
        _links(page, gate_runs),
        "\n".join(verdict),
        markdown(grid).rstrip(),
        f"*{grid.caption.replace('*', chr(92) + '*')}*",
    ]
    text = "\n\n".join(parts)
    return text if len(text) <= MOST_CHARACTERS else "\n\n".join(parts[:2])[:MOST_CHARACTERS]


def _links(page: str, gate_runs: Sequence[str]) -> str:
    experiment = page.split("/")[2]
    runs, experiments = quote(json.dumps(list(gate_runs))), quote(json.dumps([experiment]))
    compare = f"#/compare-runs?runs={runs}&experiments={experiments}&{TRAINING}"
    return (
        f"**[Report with all figures]({page}/artifacts/{Artifacts.REPORT}?{TRAINING})** · "
        f"[The gates side by side]({compare})"
    )
