"""The end of a sweep: its report goes where its runs are."""

from __future__ import annotations

from pathlib import Path

from gatelab.results.comparison import Comparison
from gatelab.results.report.description import description
from gatelab.results.review import Review, read_review
from gatelab.sweeps.driver.home import Home
from gatelab.tracking.mlflow_read import sweep_page
from gatelab.tracking.recorder import Recorder
from gatelab.tracking.schema import Artifacts, Tags


def record_report(home: Home, recorder: Recorder) -> Comparison:
    """Compare from the record, and add the report with all its files to it."""
    from gatelab.results.figures.catalogue import (
        file_name,  # here: matplotlib takes a second to import
    )

    review = read_review(home.uri, home.name)
    report = home.path / "report"
    for path in _write(review, report):
        folder = path.parent.relative_to(report)
        recorder.log_artifact(home.name, path, "" if folder == Path() else str(folder))
    for gate in review.comparison.gates:
        heatmap = report / "figures" / f"weights-{file_name(gate)}.png"
        if heatmap.exists():
            recorder.log_artifact(f"{home.name}/{gate}", heatmap)
    page = sweep_page(home.uri, home.name)
    gate_runs = [run.run_id for run in review.record.of("gate")]
    recorder.set_tags(
        home.name, {Tags.DESCRIPTION: description(review.comparison, page, gate_runs)}
    )
    return review.comparison


def _write(review: Review, folder: Path) -> list[Path]:
    from gatelab.results.report.files import write_report  # here: as above

    written = write_report(review, folder)
    review.comparison.to_csv(folder / Artifacts.COMPARISON_CSV)
    review.comparison.to_json(folder / Artifacts.COMPARISON_JSON)
    return [*written, folder / Artifacts.COMPARISON_CSV, folder / Artifacts.COMPARISON_JSON]
