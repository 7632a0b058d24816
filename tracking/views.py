"""Views: the addresses at which MLflow's pages show a sweep, and the columns of its table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from gatelab.tracking.queries import of_no_stage, of_sweep
from gatelab.tracking.schema import Artifacts, Metrics

TRAINING = "workflowType=machine_learning"
"""In an address: MLflow's side bar has what training leaves, not what language models do."""


@dataclass(frozen=True)
class SweepLinks:
    """The parts of addresses after MLflow's own that show a sweep."""

    experiment: str
    run: str
    """The ids."""
    sweep: str
    """Its name."""

    @property
    def page(self) -> str:
        """Of the sweep's run: the verdict, the table, the files."""
        return f"{self._run}?{TRAINING}"

    @property
    def report(self) -> str:
        """Of the report, in its run's artifacts."""
        return f"{self._run}/artifacts/{Artifacts.REPORT}?{TRAINING}"

    @property
    def gates(self) -> str:
        """Of the table of the gates' runs, with the columns that matter."""
        key = quote(view_key(self.sweep))
        return f"#/experiments/{self.experiment}/runs?viewStateShareKey={key}&{TRAINING}"

    @property
    def _run(self) -> str:
        return f"#/experiments/{self.experiment}/runs/{self.run}"


def view_key(sweep: str) -> str:
    """Return the key under which the experiment keeps the view of a sweep's gates."""
    return f"gatelab-{sweep}"


def gates_view(sweep: str, metrics: Sequence[str]) -> dict[str, object]:
    """Return a view of a sweep's run and its gates', the lowest test loss first.

    It is what MLflow's own "Share" keeps of the table of runs.

    Args:
        sweep: Its name.
        metrics: Keys of the columns, beside what every sweep has.
    """
    shown = (*metrics, Metrics.EXPERTS_PER_ROW, Metrics.SEARCH_EPOCHS, Metrics.TRAIN_SECONDS)
    return {
        "searchFilter": of_sweep(sweep, of_no_stage("search", "evaluate")),
        "orderByKey": f"metrics.`{Metrics.TEST_LOSS}`",
        "orderByAsc": True,
        "selectedColumns": [
            "tags.`role`",
            *(f"metrics.`{key}`" for key in dict.fromkeys((Metrics.TEST_LOSS, *shown))),
        ],
        "runsHiddenMode": "SHOWALL",
        "viewMaximized": False,
    }
