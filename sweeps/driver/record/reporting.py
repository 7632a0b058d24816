"""The end of a sweep: its report goes where its runs are."""

from __future__ import annotations

from pathlib import Path

from gatelab.results.comparison import Comparison
from gatelab.results.comparison.headline import main_metric
from gatelab.results.comparison.verdict import leading
from gatelab.results.report.conditions_grid import without_folders
from gatelab.results.report.description import description
from gatelab.results.review import Review
from gatelab.sweeps.home.home import Home
from gatelab.tracking.recorder import Recorder
from gatelab.tracking.schema import Artifacts, Metrics, Tags
from gatelab.tracking.views import SweepLinks, gates_view, view_key

PICTURE = "figures/scores.svg"
"""Of the report's files the one that the sweep's page shows."""


def record_report(home: Home, recorder: Recorder, review: Review, links: SweepLinks) -> Comparison:
    """Add the report of what was read back, with all its files, to the record."""
    # Here: matplotlib takes a second to import.
    from gatelab.results.figures.plate import file_name
    from gatelab.results.figures.selection import weights_heatmap
    from gatelab.results.figures.style import save_figure

    report = home.path / "report"
    for path in _write(review, report):
        folder = path.parent.relative_to(report)
        recorder.log_artifact(home.name, path, "" if folder == Path() else str(folder))
    for gate in review.comparison.gates if any(report.glob("figures/*")) else ():
        heatmap = weights_heatmap(review.weights, gate)
        if heatmap is not None:
            path = report / "weights" / f"weights-{file_name(gate)}.png"
            path.parent.mkdir(exist_ok=True)
            save_figure(heatmap, path)
            recorder.log_artifact(f"{home.name}/{gate}", path)
    _show(home, recorder, review, links, (report / PICTURE).exists())
    return review.comparison


def _show(
    home: Home, recorder: Recorder, review: Review, links: SweepLinks, pictured: bool
) -> None:
    """Let MLflow's pages show the answer: tags, a description, numbers, a view of the gates."""
    comparison = review.comparison
    tags = {
        Tags.VERDICT: without_folders(leading(comparison)[-1]),
        Tags.DESCRIPTION: description(comparison, links, PICTURE if pictured else ""),
    }
    main = main_metric(comparison, review.record.objective)
    best = comparison.leader(Metrics.TEST_LOSS)
    if best is not None:
        tags[Tags.BEST] = best
        step = sum(budget.evaluated for budget in comparison.budgets)  # more after a resume
        recorder.log_metrics(home.name, step, headline(comparison, best, main))
    recorder.set_tags(home.name, tags)
    view = gates_view(home.name, [main] if main else [])
    recorder.share_view(home.name, view_key(home.name), view)


def headline(comparison: Comparison, best: str, main: str | None) -> dict[str, float]:
    """Return what the sweep's run carries: the best gate's scores, and the epochs of all."""
    keys = (Metrics.TEST_LOSS, main, Metrics.EXPERTS_PER_ROW)
    scores = {key: comparison.score(best, key) for key in keys if key}
    found = {key: score.mean for key, score in scores.items() if score is not None}
    epochs = [b.epochs for b in comparison.budgets if b.epochs is not None and b.searched]
    return found | ({Metrics.SEARCH_EPOCHS: float(sum(epochs))} if epochs else {})


def _write(review: Review, folder: Path) -> list[Path]:
    from gatelab.results.report.files import write_report  # here: as above

    written = write_report(review, folder)
    review.comparison.to_csv(folder / Artifacts.COMPARISON_CSV)
    review.comparison.to_json(folder / Artifacts.COMPARISON_JSON)
    return [*written, folder / Artifacts.COMPARISON_CSV, folder / Artifacts.COMPARISON_JSON]
